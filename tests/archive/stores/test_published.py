"""Catalogue, map, reports and one layer of an archive on a real S3-compatible server: as those of one in a folder."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import rasterio
import yaml
from affine import Affine
from conftest import blobs
from object_server import BUCKET

from geoseg.archive.archive import Archive
from geoseg.archive.outputs.store_copy import StoreCopy
from geoseg.archive.outputs.store_manifest import StoreManifest
from geoseg.archive.outputs.store_output import StoreOutput
from geoseg.archive.run import run_archive
from geoseg.cli.main import app
from geoseg.io.objects.object_folder import ObjectFolder
from geoseg.process.command import run_command

STORE = f"s3://{BUCKET}/maps"


def call(*arguments: str) -> int:
    return run_command(partial(app, args=list(arguments), standalone_mode=False), debug=False)


def published(server: Any) -> dict[str, bytes]:
    keys = (key.removeprefix("maps/") for key in server.keys("maps/"))
    return {key: server.get(f"maps/{key}") for key in keys if not key.startswith(("area", ".geoseg/scenes"))}


def copied(server: Any, folder: Path) -> Path:
    """Copy the whole prefix, as other tools do."""
    for key in server.keys("maps/"):
        path = folder / key.removeprefix("maps/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(server.get(key))
    return folder


class Traffic:
    """What a machine reads from the store, and writes there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.read: list[str] = []
        self.written: list[str] = []
        download, upload = ObjectFolder.download, ObjectFolder.upload

        def reading(folder: ObjectFolder, path: str, file: Path) -> str | None:
            self.read.append(path)
            return download(folder, path, file)

        def writing(folder: ObjectFolder, path: str, file: Path) -> str:
            self.written.append(path)
            return upload(folder, path, file)

        monkeypatch.setattr(ObjectFolder, "download", reading)
        monkeypatch.setattr(ObjectFolder, "upload", writing)


def test_what_is_published_is_that_of_an_archive_in_a_folder(
    on_store: Any, make_archive: Any, object_server: Any, tmp_path: Path
) -> None:
    run_archive(on_store(title="Maps", one_layer="pmtiles"))
    run_archive(make_archive(0, title="Maps", one_layer="pmtiles"))
    near, far = tmp_path / "out", copied(object_server, tmp_path / "copy" / "maps")
    names = {path.relative_to(near).as_posix() for path in near.rglob("*") if path.is_file()}
    there = {path.relative_to(far).as_posix() for path in far.rglob("*") if path.is_file()}
    own = {".geoseg/grids.json", "_catalogue/imagery-EPSG_32632.vrt"}  # imagery of a folder of this machine
    links = {name for name in there if name.startswith("_catalogue/items/")}  # items were made outside an archive
    assert there - links == {name for name in names - own if not name.endswith(".lock")}
    assert len(links) == 2

    parts = [path.relative_to(near).as_posix() for path in (near / "_joined").rglob("*.parquet")]
    assert len(parts) == 2
    for name in parts:
        assert gpd.read_parquet(near / name).equals(gpd.read_parquet(far / name)), name
    for name in ("_catalogue/classes-EPSG_32632.vrt", "_catalogue/confidence-EPSG_32632.vrt"):
        with rasterio.open(near / name) as first, rasterio.open(far / name) as second:
            assert (first.read() == second.read()).all()
            assert first.read().any()
    polygons = [gpd.read_file(place / "_catalogue/segments-EPSG_32632.gpkg", layer="segments") for place in (near, far)]
    assert polygons[0].equals(polygons[1])
    assert len(polygons[0]) > 0
    for place in (near, far):
        with zipfile.ZipFile(io.BytesIO((place / "archive.qgz").read_bytes())) as project:
            text = project.read(project.namelist()[0]).decode()
        assert "./_catalogue/classes-EPSG_32632.vrt" in text
    catalogue = json.loads((far / "catalog.json").read_text())
    assert {link["rel"] for link in catalogue["links"]} >= {"root", "child"}
    collection = json.loads((far / "collection.json").read_text())
    for link in collection["links"]:
        assert (far / link["href"]).is_file(), link
    assert "Maps" in (far / "report.html").read_text()


def test_a_rotated_scene_is_on_the_map(on_store: Any, object_server: Any, write_scene: Any, tmp_path: Path) -> None:
    config = on_store(scenes=1)
    turned = Affine.translation(500_000, 5_400_000) * Affine.rotation(20) * Affine.scale(1, -1)
    write_scene(blobs((90, 80), seed=3), name="area9.tif", transform=turned)
    run_archive(config)
    far = copied(object_server, tmp_path / "copy" / "maps")
    (upright,) = [path for path in (far / "_catalogue/upright").glob("*.vrt") if "-" not in path.name]
    with rasterio.open(upright) as raster:
        assert (raster.read(1) != 255).any()


def test_a_machine_reads_and_writes_only_what_changed(
    on_store: Any, object_server: Any, write_scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    traffic = Traffic(monkeypatch)
    run_archive(on_store())
    assert traffic.read == [], "the machine that made the scenes has what it needs"
    before = published(object_server)

    write_scene(blobs((150, 140), seed=7), name="area1.tif")
    traffic.read.clear()
    traffic.written.clear()
    run_archive(on_store())
    assert traffic.read == []
    assert not [path for path in traffic.written if path.startswith("_catalogue/models")]
    assert len([path for path in traffic.written if path.startswith("_catalogue/thumbnails")]) == 1
    after = published(object_server)
    assert after["scenes.parquet"] != before["scenes.parquet"]
    stale = {key for key in before if key.startswith("_catalogue/thumbnails/")} - after.keys()
    assert len(stale) == 1, "the thumbnail of the scene as it was"

    traffic.read.clear()
    write_scene(blobs((150, 140), seed=8), name="area1.tif")
    run_archive(on_store("two"))
    assert {path.partition("/")[0] for path in traffic.read} == {"area0", "_catalogue", ".geoseg"}
    assert not [path for path in traffic.read if path.endswith(".tif")], "no raster is read"
    lines = object_server.get("maps/.geoseg/history.jsonl").decode().splitlines()
    assert len(lines) == 3, "the history goes on from machine to machine"


def test_one_run_publishes_and_what_came_meanwhile_is_not_forgotten(on_store: Any, object_server: Any) -> None:
    config = on_store()
    run_archive(config)
    one, two = (StoreOutput(STORE, on_store(machine).out) for machine in ("one", "two"))
    one.mark_outdated()
    with one.held("a"), two.held("b"):
        with one.publishing("a") as first:
            assert first is not None
            assert not StoreOutput(STORE, config.out).published
            with two.publishing("b") as second:
                assert second is None, "it would publish the same"
            (first.folder / "report.md").write_text("by one")
        assert two.published
        assert object_server.get("maps/report.md") == b"by one"
        with one.publishing("a") as first:
            two.mark_outdated()  # a scene is done
        assert not StoreOutput(STORE, config.out).published
        with two.publishing("b") as second:
            assert second is not None
        assert StoreOutput(STORE, config.out).published


def test_a_publication_whose_run_died_is_taken_over(on_store: Any, object_server: Any) -> None:
    run_archive(on_store())
    object_server.put("maps/.geoseg/published", b"dead-run")
    archive = Archive(on_store("two"))
    assert not archive.published
    report = run_archive(on_store("two"))
    assert (report.done, report.skipped) == (0, 2)
    assert object_server.get("maps/.geoseg/published") == b""


def test_a_report_on_request(
    on_store: Any, object_server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], write_scene: Any
) -> None:
    run_archive(on_store())
    write_scene(blobs((150, 140), seed=7), name="area5.tif")
    path = tmp_path / "archive.yaml"
    path.write_text(yaml.safe_dump(on_store("two").model_dump(mode="json")))
    assert call("archive", "report", str(path), "--title", "Other", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["files"]["report"] == f"{STORE}/report.html"
    assert told["scenes"] == {"done": 2, "waiting": 1}
    assert b"Other" in object_server.get("maps/report.html")
    object_server.remove("maps/area1/area1.stac.json")
    path.write_text(yaml.safe_dump(on_store("three").model_dump(mode="json")))
    assert call("archive", "report", str(path), "--json") == 0
    assert json.loads(capsys.readouterr().out)["scenes"] == {"done": 1, "waiting": 2}, "a scene without its item"


def test_a_run_that_counted_as_dead_leaves_the_catalogue_to_the_other(on_store: Any, object_server: Any) -> None:
    config = on_store()
    run_archive(config)
    slow, other = (StoreOutput(STORE, on_store(machine).out) for machine in ("one", "two"))
    slow.mark_outdated()
    with slow.publishing("slow") as first:
        assert first is not None
        (first.folder / "catalog.json").write_text('{"by": "slow"}')
        with other.publishing("other") as second:  # it sees no sign of life of the slow one
            assert second is not None
            (second.folder / "catalog.json").write_text('{"by": "other"}')
    assert json.loads(object_server.get("maps/catalog.json")) == {"by": "other"}
    assert StoreOutput(STORE, config.out).published


@pytest.mark.parametrize(
    "change",
    [
        {"name": "../../outside"},
        {"layers": "../outside"},
        {"layers": "/outside"},
        {"layers": ".geoseg"},
        {"layers": ""},
    ],
)
def test_a_record_that_names_files_elsewhere_is_left_out(
    on_store: Any, object_server: Any, tmp_path: Path, change: dict[str, str]
) -> None:
    run_archive(on_store())
    store = ObjectFolder(STORE)
    entry = next(iter(StoreManifest(store).entries()))
    changed = replace(entry, record=entry.record.model_copy(update=change))
    copy = StoreCopy(store, tmp_path / "deep" / "copy", joined=False)
    named = replace(entry, objects={"../../outside.tif": "1"})
    place = copy.fetch([changed, named])
    assert list(place.records()) == []
    outside = [path for path in tmp_path.rglob("*") if "outside" in path.name]
    assert outside == []


def test_a_scene_that_is_no_longer_recorded_leaves_the_copy(on_store: Any, object_server: Any, tmp_path: Path) -> None:
    run_archive(on_store())
    store = ObjectFolder(STORE)
    entries = list(StoreManifest(store).entries())
    copy = StoreCopy(store, tmp_path / "copy", joined=False)
    copy.fetch(entries)
    assert sorted(path.name for path in (tmp_path / "copy").glob("area*")) == ["area0", "area1"]
    place = copy.fetch([entry for entry in entries if entry.record.name == "area1"])
    assert [record.name for record in place.records()] == ["area1"]
    assert [path.name for path in (tmp_path / "copy").glob("area*")] == ["area1"]
