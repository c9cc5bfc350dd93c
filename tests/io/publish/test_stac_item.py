"""The STAC item is valid, points at real files with true digests, and says where the layers come from."""

import hashlib
import json
import socket
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import unquote

import pystac
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox
from pystac.validation.stac_validator import JsonSchemaSTACValidator

from geoseg.core.card import ModelCard
from geoseg.core.layer import whole_class_map_schema
from geoseg.io.publish.bundle import Bundle
from geoseg.io.publish.grid import LayerGrid
from geoseg.io.publish.stac_item import Run, Source, href, without_secrets, write_item

CARD = ModelCard.model_validate(
    {
        "name": "town-unet",
        "title": "Town",
        "architecture": {"name": "unet"},
        "bands": [{"name": "red"}, {"name": "green", "mean": 0.4, "std": 0.2}],
        "gsd_m": {"min": 0.1, "max": 1},
        "legend": {
            "classes": [
                {"code": 0, "name": "other land", "colour": "#80a080"},
                {"code": 2, "name": "other-land", "colour": "#e31a1c"},
                {"code": 3, "name": "水", "colour": "#0000ff"},
            ]
        },
        "licence": "MIT",
        "weights_sha256": "ab" * 32,
    }
)
UTM = LayerGrid(geobox=GeoBox((40, 60), Affine(0.5, 0, 500000, 0, -0.5, 3000000), "EPSG:32645"))
RUN = Run(finished=datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC), software={"geoseg": "0.1.0"}, facts={"tiles": 12})


def written(folder, stem="scene", grid=UTM, source=None):
    bundle = Bundle(directory=folder / stem, stem=stem)
    bundle.directory.mkdir()
    for number, path in enumerate((bundle.classes, bundle.confidence, bundle.segments, bundle.project, bundle.preview)):
        path.write_bytes(bytes([number]) * 100)
    write_item(
        bundle,
        whole_class_map_schema(CARD.legend),
        grid=grid,
        card=CARD,
        source=source or Source(uri=str(folder / f"{stem}.tif")),
        run=RUN,
    )
    return bundle, json.loads(bundle.item.read_text())


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize(
    "grid",
    [
        UTM,
        LayerGrid(geobox=GeoBox((40, 60), Affine(0.1, 0, 177, 0, -0.1, 50), "EPSG:4326")),
        LayerGrid(geobox=GeoBox((40, 60), Affine(1, 0, 0, 0, -1, 0), 'LOCAL_CS["site",UNIT["metre",1]]')),
        LayerGrid(geobox=GeoBox((40, 60), Affine(1, 0, 0, 0, -1, 0), None)),
    ],
    ids=["metres", "antimeridian", "a site's own", "no CRS"],
)
def test_the_item_is_valid_stac(tmp_path, no_network, grid):
    _, item = written(tmp_path, grid=grid)
    assert item["stac_version"] == "1.1.0"
    # the extensions' schemas are not on this machine; the core's are
    core = JsonSchemaSTACValidator().validate_core(item, pystac.STACObjectType.ITEM, "1.1.0")
    assert core is not None
    assert pystac.Item.from_dict(item).id == "scene"


def test_an_item_by_itself_claims_no_collection_and_one_in_an_archive_links_to_it(tmp_path):
    _, item = written(tmp_path)
    assert "collection" not in item
    assert [link["rel"] for link in item["links"]] == ["derived_from"]
    (tmp_path / ".geoseg" / "scenes").mkdir(parents=True)
    _, item = written(tmp_path, stem="other")
    assert item["collection"] == "scenes"
    links = {link["rel"]: link["href"] for link in item["links"]}
    assert links | {"derived_from": ""} == {
        "root": "../catalog.json",
        "parent": "../collection.json",
        "collection": "../collection.json",
        "derived_from": "",
    }


def test_the_antimeridian_splits_the_footprint(tmp_path):
    _, item = written(tmp_path, grid=LayerGrid(geobox=GeoBox((40, 60), Affine(0.1, 0, 177, 0, -0.1, 50), "EPSG:4326")))
    assert item["geometry"]["type"] == "MultiPolygon"
    assert item["bbox"] == pytest.approx([177, 46, -177, 50])


def test_a_scene_without_a_place_has_no_geometry_and_no_bbox(tmp_path):
    _, item = written(tmp_path, grid=LayerGrid(geobox=GeoBox((40, 60), Affine(1, 0, 0, 0, -1, 0), None)))
    assert item["geometry"] is None
    assert "bbox" not in item


def test_assets_point_at_the_files_with_true_digests(tmp_path):
    bundle, _ = written(tmp_path)
    item = pystac.Item.from_file(bundle.item)
    assert set(item.assets) == {"classes", "confidence", "segments", "project", "preview"}
    for asset in item.assets.values():
        with open(asset.get_absolute_href(), "rb") as file:  # noqa: PTH123 - the href, as any reader opens it
            content = file.read()
        assert asset.extra_fields["file:checksum"] == "1220" + hashlib.sha256(content).hexdigest()
        assert asset.extra_fields["file:size"] == len(content) == 100
        assert asset.roles
        assert asset.media_type


def test_files_that_do_not_exist_are_not_listed(tmp_path):
    bundle, _ = written(tmp_path)
    bundle.confidence.unlink()
    write_item(bundle, whole_class_map_schema(CARD.legend), grid=UTM, card=CARD, source=Source(uri="s.tif"), run=RUN)
    assert "confidence" not in json.loads(bundle.item.read_text())["assets"]


def test_classes_carry_values_names_and_colours(tmp_path):
    _, item = written(tmp_path)
    classes = item["assets"]["classes"]["classification:classes"]
    assert [c["value"] for c in classes] == [0, 2, 3, 255]
    assert [c["title"] for c in classes[:3]] == ["other land", "other-land", "水"]
    assert [c["color_hint"] for c in classes[:3]] == ["80A080", "E31A1C", "0000FF"]
    names = [c["name"] for c in classes]
    assert len(set(names)) == 4
    assert all(name.replace("_", "").replace("-", "").isascii() and name for name in names)
    assert classes[3]["nodata"] is True


def test_the_grid_is_told(tmp_path):
    _, item = written(tmp_path)
    told = item["properties"]
    assert told["proj:code"] == "EPSG:32645"
    assert told["proj:shape"] == [40, 60]
    assert told["proj:transform"] == [0.5, 0, 500000, 0, -0.5, 3000000, 0, 0, 1]
    assert told["proj:bbox"] == [500000, 2999980, 500030, 3000000]
    assert told["gsd"] == pytest.approx(0.5, rel=1e-3)


def test_a_crs_without_a_code_is_told_as_wkt(tmp_path):
    crs = "+proj=laea +lat_0=27 +lon_0=85 +datum=WGS84"
    _, item = written(tmp_path, grid=LayerGrid(geobox=GeoBox((40, 60), Affine(1, 0, 0, 0, -1, 0), crs)))
    assert item["properties"]["proj:code"] is None
    assert "Lambert Azimuthal" in item["properties"]["proj:wkt2"]


def test_the_scene_the_model_and_the_run_are_told(tmp_path):
    source = Source(
        uri=str(tmp_path / "scene.tif"),
        sha256="cd" * 32,
        acquired=datetime(2020, 1, 2, 3, tzinfo=timezone(timedelta(hours=5))),
    )
    _, item = written(tmp_path, source=source)
    told = item["properties"]
    assert told["datetime"] == "2020-01-01T22:00:00Z"
    assert told["processing:datetime"] == "2026-05-04T03:02:01Z"
    assert told["processing:software"] == {"geoseg": "0.1.0"}
    assert told["geoseg:model"]["name"] == "town-unet"
    assert told["geoseg:model"]["input"][0]["bands"] == ["red", "green"]
    assert told["geoseg:model"]["input"][0]["value_scaling"][1] == {"type": "z-score", "mean": 0.4, "stddev": 0.2}
    assert told["geoseg:weights_checksum"] == "1220" + "ab" * 32
    assert told["geoseg:tiles"] == 12
    (link,) = item["links"]
    assert link["rel"] == "derived_from"
    assert link["href"] == "../scene.tif"
    assert link["file:checksum"] == "1220" + "cd" * 32


def test_every_field_with_a_prefix_belongs_to_an_extension_that_is_declared(tmp_path):
    _, item = written(tmp_path)
    declared = {uri.split("/")[3] for uri in item["stac_extensions"]}
    prefix_of = {"proj": "projection"}
    fields = [*item["properties"], *(name for asset in item["assets"].values() for name in asset)]
    prefixes = {name.split(":")[0] for name in fields if ":" in name} - {"geoseg"}
    assert {prefix_of.get(prefix, prefix) for prefix in prefixes} == declared


def test_no_secret_of_an_address_is_told(tmp_path):
    _, item = written(tmp_path, source=Source(uri="https://me:pass@host.org:8/a%20b.tif?sig=abc#x"))
    assert item["links"][0]["href"] == "https://host.org:8/a%20b.tif"
    assert "pass" not in json.dumps(item["links"])
    _, item = written(tmp_path, stem="same", source=Source(uri="/vsicurl/https://me:pass@host.org/a.tif?sig=abc"))
    assert item["links"][0]["href"] == "https://host.org/a.tif"


def test_a_file_address_leads_to_the_file(tmp_path):
    scene = tmp_path / "my scenes" / "50%.tif"
    bundle, item = written(tmp_path, source=Source(uri=scene.as_uri()))
    assert (bundle.directory / unquote(item["links"][0]["href"])).resolve() == scene


@pytest.mark.parametrize("path", ["a?b#c.tif", "/x://y@z/a.tif", "C:a@b.tif"])
def test_paths_are_no_addresses(path):
    assert without_secrets(path) == path


@pytest.mark.parametrize("stem", ["a b", "é漢", 'it\'s "x" & y', "a+b~[c]"])
def test_pystac_finds_files_of_odd_names(tmp_path, stem):
    bundle, _ = written(tmp_path, stem=stem)
    item = pystac.Item.from_file(bundle.item)
    assert item.assets["classes"].get_absolute_href() == str(bundle.classes)


def test_what_an_address_would_misread_is_escaped():
    assert href("50%25 #1?\n.tif") == "50%2525 %231%3F%0A.tif"


def test_the_same_run_gives_the_same_item(tmp_path):
    bundle, _ = written(tmp_path)
    before = bundle.item.read_bytes()
    write_item(
        bundle,
        whole_class_map_schema(CARD.legend),
        grid=UTM,
        card=CARD,
        source=Source(uri=str(tmp_path / "scene.tif")),
        run=RUN,
    )
    assert bundle.item.read_bytes() == before
