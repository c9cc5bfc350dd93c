"""What an archive's folder holds is true to its layers, valid, whole, and the same when it is written again."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import socket
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow.parquet as pq
import pyogrio
import pystac
import pytest
import rasterio
import shapely
from affine import Affine
from conftest import LEGEND, blobs
from made_archive import PLACED, Made, publish
from pystac.extensions.mlm import MLMExtension
from rasterio.windows import from_bounds
from stac_rules import validate

import geoseg
from geoseg.archive.publish import publish_archive
from geoseg.archive.record import SceneRecord
from geoseg.archive.report.read_records import read_records
from geoseg.core.spec import PredictSpec
from geoseg.errors import WriteError


@pytest.fixture(scope="module")
def made(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return publish(tmp_path_factory.mktemp("archive"), tiny_model)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_records_are_found_again_from_layers_alone(made: Made) -> None:
    assert sorted(record.name for record in made.done) == sorted([*PLACED, "points"])
    for record in made.done:
        run = json.loads((made.out / record.layers / "run.json").read_text())
        assert record.class_areas_m2 == {entry["name"]: entry["area_m2"] for entry in run["classes"]}
        assert record.valid_pixels == 90 * 110 - 20 * 30
        assert set(record.timings) == {"predict_s", "layers_s", "publish_s"}
        assert shapely.geometry.shape(record.footprint).is_valid


@pytest.mark.usefixtures("no_network")
def test_the_catalogue_is_valid_and_leads_to_every_scene_and_the_model(made: Made) -> None:
    root = pystac.Catalog.from_file(str(made.files.catalogue))
    assert validate(root) == 2 + len(made.done) + 1
    collection = root.get_child("scenes")
    assert isinstance(collection, pystac.Collection)
    assert {item.id for item in collection.get_items()} == {record.name for record in made.done}
    boxes = np.array([shapely.geometry.shape(record.footprint).bounds for record in made.done])
    whole = [*boxes[:, :2].min(axis=0), *boxes[:, 2:].max(axis=0)]
    assert collection.extent.spatial.bboxes[0] == pytest.approx(whole)
    for asset in collection.assets.values():
        assert Path(str(asset.get_absolute_href())).is_file()


@pytest.mark.usefixtures("no_network")
def test_the_rules_that_items_are_held_to_refuse_what_the_extensions_refuse(made: Made) -> None:
    root = pystac.Catalog.from_file(str(made.files.catalogue))
    (model,) = root.get_items()

    def spoil(change: Any) -> None:
        other = model.clone()
        change(other)
        with pytest.raises(pystac.STACValidationError):
            validate(other)

    spoil(lambda item: item.properties.pop("mlm:input"))
    spoil(lambda item: item.properties.pop("bands"))
    spoil(lambda item: item.properties.update({"mlm:nonsense": 1}))
    spoil(lambda item: item.assets["model"].extra_fields.pop("mlm:artifact_type"))
    spoil(lambda item: item.assets["model"].roles.remove("mlm:model"))
    spoil(lambda item: item.assets["model"].extra_fields.update({"file:checksum": "abc"}))


def test_the_model_item_tells_the_network_and_holds_its_weights(made: Made, tiny_model: Path) -> None:
    (item,) = pystac.Catalog.from_file(str(made.files.catalogue)).get_items()
    model = MLMExtension.ext(item)
    assert model.mlm_name == "tiny"
    assert model.architecture == "unet"
    assert model.input[0].bands == ["red", "green", "blue"]
    assert [entry["name"] for entry in item.properties["bands"]] == ["red", "green", "blue"]
    assert len(model.output[0].result.shape) == 4
    weights = Path(str(item.assets["model"].get_absolute_href()))
    assert weights.read_bytes() == tiny_model.read_bytes()
    digest = hashlib.sha256(tiny_model.read_bytes()).hexdigest()
    assert item.assets["model"].extra_fields["file:checksum"] == "1220" + digest


def test_a_model_whose_file_is_not_at_hand_is_told_all_the_same(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(made.out, out)
    publish_archive(out, made.records)
    root = pystac.Catalog.from_file(str(out / "catalog.json"))
    validate(root)
    (item,) = root.get_items()
    told = json.loads(Path(str(item.assets["model"].get_absolute_href())).read_text())
    assert told["name"] == "tiny"
    assert not list(out.rglob("*.safetensors")), "the copy of an earlier call is gone"


def test_the_index_holds_each_scene_with_its_areas_and_links(made: Made) -> None:
    frame = geopandas.read_parquet(made.files.index).set_index("name")
    assert len(frame) == len(made.records)
    assert frame.crs.to_string() == "OGC:CRS84"
    for record in made.done:
        row = frame.loc[record.name]
        assert row.state == "done"
        for entry in LEGEND.classes:
            assert row[f"area_m2_{entry.name}"] == record.class_areas_m2[entry.name]
        assert row.geometry.normalize().equals_exact(shapely.geometry.shape(record.footprint).normalize(), 1e-9)
        assert row.predict_s == record.timings["predict_s"]
        for link in ("item", "classes", "segments", "preview"):
            assert (made.out / row[link]).is_file()
    failed = frame[frame.state == "failed"]
    assert sorted(failed.exit_code) == [3, 5]
    assert frame.loc["later"].geometry is None
    assert "line\ufffdbreak é" in frame.index
    assert frame[frame.state != "done"].area_m2_roof.isna().all()
    geo = json.loads(pq.read_schema(made.files.index).metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    assert geo["columns"]["geometry"]["bbox"] == pytest.approx(frame.total_bounds)


def test_the_footprints_are_the_index(made: Made) -> None:
    index = geopandas.read_parquet(made.files.index).set_index("name")
    layer = pyogrio.read_dataframe(made.files.footprints, layer="scenes").set_index("name")
    assert layer.state.to_dict() == index.state.to_dict()
    there = index.geometry.notna()
    drawn, told = (frame.geometry[there].to_numpy() for frame in (layer, index))
    assert shapely.equals(drawn, told).all()


def test_the_mosaics_show_every_pixel_of_every_scene(made: Made) -> None:
    vrts = {path.stem: path for path in (made.out / "_catalogue").glob("classes-*.vrt")}
    assert set(vrts) == {"classes-EPSG_32632", "classes-EPSG_4326"}
    for name, vrt in (("plain", 32632), ("beside", 32632), ("degrees", 4326)):
        with rasterio.open(made.out / name / f"{name}_classes.tif") as source:
            codes, bounds = source.read(1), source.bounds
        with rasterio.open(vrts[f"classes-EPSG_{vrt}"], driver="VRT") as mosaic:
            assert mosaic.crs.to_epsg() == vrt
            seen = mosaic.read(1, window=from_bounds(*bounds, mosaic.transform), out_shape=codes.shape)
            assert mosaic.nodata == 255
            assert mosaic.colormap(1)[1] == (0xD7, 0x30, 0x1F, 255)
        assert (seen == codes).mean() > (0.97 if name == "beside" else 0.999), name


@pytest.mark.parametrize("layer", ["classes", "confidence"])
@pytest.mark.parametrize("name", ["turned", "points"])
def test_rotated_scenes_are_turned_north_up_in_their_place(made: Made, name: str, layer: str) -> None:
    with rasterio.open(made.out / name / f"{name}_{layer}.tif") as source:
        codes = source.read(1)
        transform = source.transform if name == "turned" else Affine(0.5, 0.05, 500300, 0, -0.5, 5400000)
    rows, cols = np.nonzero(np.ones((90, 110)))
    points = [transform * (c + 0.5, r + 0.5) for r, c in zip(rows, cols, strict=True)]
    with rasterio.open(made.out / "_catalogue" / f"{layer}-EPSG_32632.vrt", driver="VRT") as mosaic:
        seen = np.array([value[0] for value in mosaic.sample(points)]).reshape(90, 110)
    # a pixel's centre lies at most half a pixel of each grid beside the one it is taken from
    assert (seen == codes).mean() > 0.85
    assert (seen[:15, :25] == 255).all()


@pytest.mark.parametrize("layer", ["classes", "confidence"])
def test_a_raster_cut_short_of_a_rotated_scene_leaves_the_rest_of_the_archive_published(
    made: Made, layer: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(made.out, out)
    (out / "turned" / f"turned_{layer}.tif").write_bytes(b"II*\0")
    files = publish_archive(out, made.records, legend=LEGEND)
    assert "turned" in files.missing
    assert files.report.is_file()
    ident = hashlib.sha256(b"turned").hexdigest()[:16]
    left_out = f"{ident}.vrt" if layer == "classes" else f"{layer}-{ident}.vrt"
    assert not (out / "_catalogue" / "upright" / left_out).exists(), "pruned"
    mosaic = (out / "_catalogue" / f"{layer}-EPSG_32632.vrt").read_text()
    assert left_out not in mosaic
    assert "plain" in mosaic
    classes = (out / "_catalogue" / "classes-EPSG_32632.vrt").read_text()
    assert (f"upright/{ident}.vrt" in classes) is (layer != "classes"), "its other layers stay"


def test_every_raster_of_the_scenes_is_on_the_map(tiny_model: Path, write_scene: Any, tmp_path: Path) -> None:
    spec = PredictSpec(uncertainty=True, probabilities=True, vector=False)
    layers = geoseg.predict(write_scene(blobs((90, 110))), tiny_model, tmp_path / "out", spec=spec)
    records = list(read_records(tmp_path / "out"))
    files = publish_archive(tmp_path / "out", iter(records), legend=LEGEND, title="Rasters", model=tiny_model)
    names = {"classes", "confidence", "entropy", *(f"probability_{code}" for code in LEGEND.codes)}
    vrts = {path.name.removesuffix("-EPSG_32632.vrt"): path for path in (tmp_path / "out/_catalogue").glob("*.vrt")}
    assert vrts.keys() - {"imagery"} == names
    for name in names:
        with rasterio.open(vrts[name], driver="VRT") as mosaic, rasterio.open(layers.bundle.by_role()[name]) as source:
            np.testing.assert_array_equal(mosaic.read(), source.read())
            assert (mosaic.nodata, mosaic.dtypes) == (source.nodata, source.dtypes)
    assert files.project is not None
    with zipfile.ZipFile(files.project) as project:
        document = project.read(project.namelist()[0]).decode()
    assert all(f"./_catalogue/{path.name}" in document for path in vrts.values())


class _Tags(HTMLParser):
    """Checks that tags close, and keeps what links there are."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.hrefs: list[str] = []
        self.idents: list[str] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "input", "br", "img"}:
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), "no script in attributes"
            own = tag == "img" and str(value).startswith("./_catalogue/thumbnails/")
            assert name != "src" or own, "nothing is loaded but the archive's own thumbnails"
            self.hrefs += [str(value)] if name == "href" else []
            self.idents += [str(value)] if name == "id" else []

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_web_report_stands_alone_and_links_to_what_is_there(made: Made) -> None:
    text = made.files.report.read_text()
    page = _Tags()
    page.feed(text)
    page.close()
    assert page.open == []
    assert "http" not in text.replace("http-equiv", ""), "nothing comes over a network"
    assert "@import" not in text
    assert "url(" not in text
    assert len(page.idents) == len(set(page.idents))
    for href in page.hrefs:
        if href.startswith("#"):
            assert href[1:] in page.idents
        elif not href.endswith("catalog.json"):
            assert (made.out / href).exists(), href
    for record in made.records[:-2]:
        assert record.name in page.words
    assert "</td><b>|x" in page.words, "names are text, not markup"
    assert "Nördlinger <Ries>" in page.words
    assert text.count("<tr id=") == len(made.records)
    shown = re.findall(r'<img src="([^"]*)"', text)
    assert len(shown) == len(made.done)
    assert all((made.out / source).is_file() for source in shown)
    assert text.count('class="scene"') + text.count('class="spot"') >= len(made.done) + 1


def test_the_reports_tell_the_same_totals(made: Made) -> None:
    short = made.files.markdown.read_text()
    assert "| done | 5 |" in short
    assert "| failed | 2 |" in short
    assert "| **all** | **8** |" in short
    assert made.files.facts.area_m2 == pytest.approx(sum(sum(r.class_areas_m2.values()) for r in made.done))
    assert "\\<no CRS\\>" in short


def test_written_again_it_is_the_same_bytes_and_what_is_gone_leaves_no_trace(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "Nördlinger <Ries>"
    shutil.copytree(made.out, out)
    foreign = out / "_catalogue" / "notes.txt"
    foreign.write_text("mine")
    publish_archive(out, made.records, legend=LEGEND)
    first = contents(out)
    (out / "_catalogue" / "items-00007.json").write_text("{}")
    publish_archive(out, made.records, legend=LEGEND)
    assert contents(out) == first
    fewer = [record for record in made.records if record.name not in ("degrees", "turned")]
    publish_archive(out, fewer)
    assert not (out / "_catalogue" / "classes-EPSG_4326.vrt").exists()
    assert len({file.stem.rpartition("-")[2] for file in (out / "_catalogue" / "upright").iterdir()}) == 1, "one scene"
    assert foreign.read_text() == "mine"
    for record in made.done:
        assert contents(out / record.layers) == contents(made.out / record.layers), "layers are left as they lie"


@pytest.mark.slow
def test_a_disk_that_fails_at_any_file_leaves_whole_ones_and_the_next_call_mends_it(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    shutil.copytree(made.out, out)
    publish_archive(out, made.records, legend=LEGEND, title="Ries")
    wanted = contents(out)
    names = [name for name in wanted if name.startswith("_catalogue") or "/" not in name]
    replace = os.replace
    calls = 0
    for fail_at in range(1, 100):
        for name in names:
            (out / name).unlink(missing_ok=True)
        calls = 0

        def fail(source: Any, target: Any, **options: Any) -> None:
            nonlocal calls
            calls += not str(target).startswith("/proc")
            if calls == fail_at:  # noqa: B023 - called in this turn only
                raise OSError(errno.ENOSPC, "No space left on device")
            replace(source, target, **options)

        monkeypatch.setattr("geoseg.io.files.writing.os.replace", fail)
        try:
            publish_archive(out, made.records, legend=LEGEND, title="Ries")
        except WriteError:
            monkeypatch.undo()
            found = contents(out)
            assert [name for name in found if found[name] != wanted[name]] == [], "what is there is whole"
            assert "catalog.json" not in found, "the root comes last"
            continue
        monkeypatch.undo()
        break
    assert fail_at > 8
    assert contents(out) == wanted


def test_layers_that_are_gone_are_told_and_not_linked(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(made.out, out)
    shutil.rmtree(out / "plain")
    (out / "beside" / "beside.stac.json").write_text("{")
    sly = made.done[0].model_copy(update={"name": "sly", "layers": "../elsewhere"})
    files = publish_archive(out, [*made.records, sly])
    assert sorted(files.missing) == ["beside", "plain", "sly"]
    root = pystac.Catalog.from_file(str(files.catalogue))
    assert validate(root) == 2 + 3 + 1
    frame = geopandas.read_parquet(files.index).set_index("name")
    assert frame.item.notna().sum() == 3
    assert frame.loc["plain"].state == "done"


def item_only(out: Path, made: Made, count: int) -> Iterator[SceneRecord]:
    """Records of many scenes of which nothing but the item lies there."""
    like = made.done[0]
    item = (made.out / like.layers / f"{like.name}.stac.json").read_text()
    for number in range(count):
        name = f"scene{number:05d}"
        (out / name).mkdir()
        (out / name / f"{name}.stac.json").write_text(
            item.replace(f'"id": "{like.name}"', f'"id": "{name}", "collection": "scenes"')
        )
        yield like.model_copy(update={"name": name, "layers": name})


def test_thousands_of_scenes_are_paged_and_each_is_reached_once(made: Made, tmp_path: Path) -> None:
    files = publish_archive(tmp_path, item_only(tmp_path, made, 2001), legend=LEGEND)
    pages = sorted(path.name for path in (tmp_path / "_catalogue").glob("items-*.json"))
    assert pages == ["items-00001.json", "items-00002.json", "items-00003.json"]
    root = pystac.Catalog.from_file(str(files.catalogue))
    links = [link for page in root.get_child("scenes").get_children() for link in page.get_item_links()]
    found = {Path(str(link.get_absolute_href())) for link in links}
    assert len(links) == len(found) == 2001
    assert all(path.is_file() for path in found)
    publish_archive(tmp_path, [], legend=LEGEND)
    assert not list((tmp_path / "_catalogue").glob("items-*.json"))
