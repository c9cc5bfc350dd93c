"""STAC as a source: static catalogues written by pystac, local and over http, and an API with pages."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import geopandas
import pystac
import pytest
import shapely

from geoseg.archive.config import ArchiveConfig
from geoseg.archive.run import run_archive
from geoseg.archive.sources.config import StacSource
from geoseg.archive.sources.find import find_scenes
from geoseg.archive.sources.scene_ref import SceneRef
from geoseg.archive.sources.stac_choice import ItemChoice
from geoseg.errors import SceneError, UsageError


def found(path: str | Path, *, allow_remote: bool = False, **options: Any) -> list[SceneRef]:
    source = {"kind": "stac", "path": str(path), **options}
    config = ArchiveConfig.model_validate(
        {"source": source, "model": "m", "out": "o", "opening": {"allow_remote": allow_remote}}
    )
    return list(find_scenes(config))


def item(number: int, href: str, collection: str | None = None) -> pystac.Item:
    west = 7.0 + number
    box = [west, 50.0, west + 0.5, 50.5]
    made = pystac.Item(
        id=f"item{number}",
        geometry=shapely.geometry.mapping(shapely.box(*box)),
        bbox=box,
        datetime=datetime(2020 + number, 5, 1, tzinfo=UTC),
        properties={},
        collection=collection,
    )
    made.add_asset("image", pystac.Asset(href=href, media_type=pystac.MediaType.GEOTIFF, roles=["data"]))
    return made


@pytest.fixture
def catalogue(tmp_path: Path, write_scene: Any) -> Path:
    """A catalogue of two collections, written by pystac; each item beside its scene."""
    root = pystac.Catalog(id="root", description="all")
    extent = pystac.Extent(pystac.SpatialExtent([[0, 0, 1, 1]]), pystac.TemporalExtent([[None, None]]))
    for name, numbers in (("north", (0, 1)), ("south", (1, 2))):
        collection = pystac.Collection(id=name, description=name, extent=extent, license="CC0-1.0")
        root.add_child(collection)
        for number in numbers:
            collection.add_item(item(number, "./scene.tif"))
    folder = tmp_path / "catalogue"
    root.normalize_and_save(str(folder), pystac.CatalogType.SELF_CONTAINED)
    scene = write_scene().read_bytes()
    for path in folder.glob("*/*/*.json"):
        (path.parent / "scene.tif").write_bytes(scene)
    return folder / "catalog.json"


def serve(handler: Any) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def served(catalogue: Path) -> Iterator[str]:
    yield from serve(partial(Quiet, directory=str(catalogue.parent)))


def test_a_catalogue_is_walked_as_pystac_walks_it(catalogue: Path) -> None:
    expected = pystac.Catalog.from_file(str(catalogue)).get_items(recursive=True)
    refs = found(catalogue)
    assert sorted(ref.uri for ref in refs) == sorted(made.get_self_href() for made in expected)
    assert sorted(ref.name for ref in refs) == ["north--item0", "north--item1", "south--item1", "south--item2"]


def test_items_are_chosen_by_collection_place_and_time(catalogue: Path) -> None:
    def names(**options: Any) -> list[str]:
        return [ref.name for ref in found(catalogue, **options)]

    assert names(collections=["south"]) == ["south--item1", "south--item2"]
    assert names(bbox=[7.2, 50.1, 7.3, 50.2]) == ["north--item0"]
    assert names(bbox=[8.5, 50.1, -170, 51]) == ["north--item1", "south--item1", "south--item2"], "past 180 degrees"
    assert names(datetime="2021-05-01T00:00:00Z") == ["north--item1", "south--item1"]
    assert names(datetime="2021-01-01/..") == ["north--item1", "south--item1", "south--item2"]
    assert names(datetime="../2020-12-31") == ["north--item0"]
    assert len(names(max_items=3)) == 3


def cloudy(catalogue: Path, covers: dict[str, Any]) -> None:
    """Tell the cloud cover of items."""
    for path in catalogue.parent.glob("*/*/*.json"):
        document = json.loads(path.read_text())
        if document["id"] in covers:
            document["properties"]["eo:cloud_cover"] = covers[document["id"]]
            path.write_text(json.dumps(document))


def test_items_are_chosen_by_cloud_cover(catalogue: Path) -> None:
    cloudy(catalogue, {"item0": 20, "item1": 20.5})
    assert [ref.name for ref in found(catalogue, max_cloud_percent=20)] == ["north--item0"], "item2 does not tell it"
    names = [ref.name for ref in found(catalogue, max_cloud_percent=100)]
    assert names == ["north--item0", "north--item1", "south--item1"]
    cloudy(catalogue, {"item0": "clear", "item1": None, "item2": True})
    assert found(catalogue, max_cloud_percent=100) == []


def test_items_are_chosen_by_an_area_in_any_crs(catalogue: Path, tmp_path: Path) -> None:
    apart = shapely.MultiPolygon([shapely.box(7.1, 50.1, 7.2, 50.2), shapely.box(9.1, 50.1, 9.2, 50.4)])
    frame = geopandas.GeoDataFrame(geometry=[apart], crs="EPSG:4326")
    for name, crs in (("a.geojson", "EPSG:4326"), ("b.gpkg", "EPSG:32632")):
        frame.to_crs(crs).to_file(tmp_path / name)
        refs = found(catalogue, area=str(tmp_path / name))
        assert [ref.name for ref in refs] == ["north--item0", "south--item2"], name
        assert len(found(catalogue, bbox=tuple(apart.bounds))) == 4
    for path in catalogue.parent.glob("*/*/*.json"):
        path.write_text(path.read_text().replace('"Polygon"', '"Polygons"'))
    assert [ref.name for ref in found(catalogue, area=str(tmp_path / "a.geojson"))] == ["north--item0", "south--item2"]
    with pytest.raises(SceneError, match=r"none\.geojson"):
        found(catalogue, area=str(tmp_path / "none.geojson"))
    with pytest.raises(UsageError, match="opening: allow_remote"):
        found(catalogue, area="https://host/area.geojson")


@pytest.mark.parametrize(
    ("crs", "area", "touched"),
    [
        ("EPSG:4326", shapely.box(179, -18, 181, -16), {179.5, -179.5}),
        ("EPSG:4326", shapely.box(-170, -18, 170, -16), {0.0, 90.0}),
        ("EPSG:32760", shapely.box(800_000, 8_100_000, 850_000, 8_200_000), {179.5, -179.5}),
        ("EPSG:3832", shapely.box(3_100_000, -2_000_000, 3_400_000, -1_800_000), {179.5, -179.5}),
    ],
)
def test_areas_on_the_antimeridian(crs: str, area: shapely.Polygon, touched: set[float], tmp_path: Path) -> None:
    geopandas.GeoDataFrame(geometry=[area], crs=crs).to_file(tmp_path / "area.gpkg")
    source = StacSource(kind="stac", path="catalog.json", area=str(tmp_path / "area.gpkg"))
    choice = ItemChoice.of(source, allow_remote=False)
    boxes = {lon: shapely.box(lon - 0.4, -17.5, lon + 0.4, -16.5) for lon in (179.5, -179.5, 0.0, 90.0)}
    items = {lon: {"geometry": shapely.geometry.mapping(box)} for lon, box in boxes.items()}
    assert {lon for lon, item in items.items() if choice.takes(item)} == touched


def test_an_area_around_a_pole_is_refused(tmp_path: Path) -> None:
    box = shapely.box(-1e6, -1e6, 1e6, 1e6)
    geopandas.GeoDataFrame(geometry=[box], crs="EPSG:3413").to_file(tmp_path / "area.gpkg")
    source = StacSource(kind="stac", path="catalog.json", area=str(tmp_path / "area.gpkg"))
    with pytest.raises(SceneError, match="around a pole"):
        ItemChoice.of(source, allow_remote=False)


def test_an_area_is_found_beside_the_configuration(catalogue: Path, tmp_path: Path) -> None:
    geopandas.GeoDataFrame(geometry=[shapely.box(7, 50, 7.2, 50.2)], crs="EPSG:4326").to_file(tmp_path / "area.geojson")
    (tmp_path / "archive.yaml").write_text(
        "source: {kind: stac, path: catalogue/catalog.json, area: area.geojson}\nmodel: town-unet\nout: out\n"
    )
    config = ArchiveConfig.read(tmp_path / "archive.yaml")
    assert [ref.name for ref in find_scenes(config)] == ["north--item0"]


def test_the_same_catalogue_over_http(catalogue: Path, served: str) -> None:
    local, remote = found(catalogue), found(f"{served}/catalog.json", allow_remote=True)
    assert [ref.name for ref in remote] == [ref.name for ref in local]
    assert all(ref.uri.startswith(served) and ref.stamp for ref in remote)


def test_an_archive_over_http_is_segmented_and_then_known(make_archive: Any, served: str) -> None:
    remote = make_archive(0).model_dump() | {
        "source": {"kind": "stac", "path": f"{served}/north/collection.json"},
        "opening": {"allow_remote": True},
    }
    config = ArchiveConfig.model_validate(remote)
    report = run_archive(config)
    assert (report.done, report.failed) == (2, ())
    assert (config.out / "north--item0" / "north--item0_classes.tif").exists()
    assert (run_archive(config).skipped, run_archive(config).done) == (2, 0)


@pytest.mark.parametrize(
    "href", ["file:///etc/passwd", "/etc/passwd", "../../../etc/x.json", "http://169.254.169.254/"]
)
def test_a_link_that_leads_astray_is_not_followed(catalogue: Path, href: str) -> None:
    path = catalogue.parent / "north" / "collection.json"
    document = json.loads(path.read_text())
    document["links"] += [{"rel": "item", "href": href}]
    path.write_text(json.dumps(document))
    refs = found(catalogue, allow_remote=True)
    assert len(refs) == 5, "it is listed, so that its failure is recorded"
    document["links"][-1]["rel"] = "child"
    path.write_text(json.dumps(document))
    with pytest.raises(SceneError, match="links to"):
        found(catalogue, allow_remote=True)


def test_a_circle_of_catalogues_ends(catalogue: Path) -> None:
    path = catalogue.parent / "north" / "collection.json"
    document = json.loads(path.read_text())
    document["links"] += [{"rel": "child", "href": "../catalog.json"}, {"rel": "child", "href": "./collection.json"}]
    path.write_text(json.dumps(document))
    assert len(found(catalogue)) == 4


@pytest.mark.parametrize("text", ["{", "[]", '{"type": "Topology"}', ""])
def test_a_broken_catalogue_is_said_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "catalog.json").write_text(text)
    with pytest.raises(SceneError, match=r"catalog\.json"):
        found(tmp_path / "catalog.json")


class Api(BaseHTTPRequestHandler):
    """An API of seven items, three a page; the pages after the first are posted for. Fails once."""

    asked: list[dict[str, Any]]
    failures: list[int]
    conforms: tuple[str, ...]

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        host = f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]
        if parts.path == "/":
            links = [{"rel": "search", "href": f"{host}/search"}]
            self.answer({"type": "Catalog", "id": "api", "conformsTo": self.conforms, "links": links})
        elif parts.path == "/collections/ortho":
            self.answer({"type": "Collection", "id": "ortho", "links": [{"rel": "items", "href": f"{host}/search"}]})
        else:
            asked = {key: value[0] for key, value in parse_qs(parts.query).items()}
            self.asked.append(asked)
            self.page(host, 0, int(asked["limit"]))

    def do_POST(self) -> None:
        host = f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.failures:
            self.send_error(self.failures.pop())
            return
        self.page(host, body["token"], body["limit"])

    def page(self, host: str, start: int, limit: int) -> None:
        items = [item(n, f"{host}/{n}.tif", "ortho").to_dict(include_self_link=False) for n in range(7)]
        for made in items:
            made["links"] = [{"rel": "self", "href": f"{host}/collections/ortho/items/{made['id']}"}]
        links = []
        if start + limit < 7:
            body = {"token": start + limit, "limit": limit}
            links = [{"rel": "next", "href": f"{host}/search", "method": "POST", "body": body}]
        self.answer({"type": "FeatureCollection", "features": items[start : start + limit], "links": links})

    def answer(self, document: dict[str, Any]) -> None:
        text = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture
def api() -> Iterator[str]:
    Api.asked, Api.failures, Api.conforms = [], [], ("item-search",)
    yield from serve(Api)


def test_an_api_is_read_page_by_page(api: str) -> None:
    Api.failures = [503]
    refs = found(api + "/", allow_remote=True, limit=3, collections=["ortho"], bbox=[0, 0, 90, 90])
    assert [ref.name for ref in refs] == [f"ortho--item{n}" for n in range(7)]
    assert refs[0].uri == f"{api}/collections/ortho/items/item0"
    assert Api.asked == [{"limit": "3", "collections": "ortho", "bbox": "0.0,0.0,90.0,90.0"}]
    assert [ref.name for ref in found(f"{api}/collections/ortho", allow_remote=True)] == [ref.name for ref in refs]


def test_an_api_narrows_its_answer_as_far_as_it_can(api: str, tmp_path: Path) -> None:
    geopandas.GeoDataFrame(geometry=[shapely.box(7, 50, 8.2, 50.5)], crs="EPSG:4326").to_file(tmp_path / "a.geojson")
    options: dict[str, Any] = {"area": str(tmp_path / "a.geojson"), "allow_remote": True}
    assert [ref.name for ref in found(api, **options)] == ["ortho--item0", "ortho--item1"]
    assert found(api, **options, max_cloud_percent=12.5) == [], "no item tells its cloud cover"
    Api.conforms = ("item-search", "http://www.opengis.net/spec/cql2/1.0/conf/cql2-text")
    assert found(api, **options, max_cloud_percent=12.5) == []
    box = {"limit": "100", "bbox": "7.0,50.0,8.2,50.5"}
    assert Api.asked == [box, box, box | {"filter": "eo:cloud_cover <= 12.5", "filter-lang": "cql2-text"}]


def test_an_api_that_refuses_is_an_error_at_once(api: str) -> None:
    Api.failures = [403]
    with pytest.raises(SceneError, match="403"):
        found(api, allow_remote=True, limit=3)
