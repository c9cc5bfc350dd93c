"""Neighbours in an archive: one scene cut in four has one map; what comes later or is damaged is done again."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from conftest import WriteModel, WriteScene, blobs

from geoseg.archive import neighbours as neighbours_module
from geoseg.archive.archive import Archive
from geoseg.archive.config import ArchiveConfig
from geoseg.archive.neighbours import Neighbourhood
from geoseg.archive.run import run_archive
from geoseg.archive.sources.config import FolderSource
from geoseg.archive.sources.scene_ref import SceneRef
from geoseg.core.spec import PredictSpec
from geoseg.errors import SceneError
from geoseg.io.raster.open_options import OpenOptions
from geoseg.models.model import load_model
from geoseg.run.cluster import DaskExecutor
from geoseg.run.predict import predict

SIDE, CUT = 160, 104
SPEC = PredictSpec(tile_px=64, halo_px=8, block_px=64, min_area_m2=0)
NAMES = ("ne", "nw", "se", "sw")


@pytest.fixture
def town(write_tiny: WriteModel, write_scene: WriteScene, tmp_path: Path) -> Callable[..., ArchiveConfig]:
    """An archive of one image cut in four, and the map of the whole beside it."""
    values, model = blobs((SIDE, SIDE), seed=3), write_tiny(5)
    whole = write_scene(values, name="whole.tif")
    loaded = load_model(str(model), device="cpu", runtime="torch", precision="fp32")
    predict(whole, loaded, tmp_path / "mosaic", spec=SPEC)
    whole.unlink()
    for name in NAMES:
        rows, cols = _window(name)
        grid = Affine(0.5, 0, 500000 + 0.5 * cols.start, 0, -0.5, 5400000 - 0.5 * rows.start)
        write_scene(values[:, rows, cols], name=f"{name}.tif", transform=grid)

    def config(**changes: Any) -> ArchiveConfig:
        facts: dict[str, Any] = {"source": tmp_path / "scenes", "model": str(model), "out": tmp_path / "out"}
        fixed = {"device": "cpu", "runtime": "torch", "precision": "fp32", "predict": SPEC, "workers": 0}
        return ArchiveConfig(**(facts | fixed | changes))

    return config


def _window(name: str) -> tuple[slice, slice]:
    first, last = slice(0, CUT), slice(CUT, SIDE)
    return (first if name[0] == "n" else last, last if name[1] == "e" else first)


def unlike(config: ArchiveConfig, names: tuple[str, ...] = NAMES) -> dict[str, int]:
    """Pixels of each scene whose class is not that of the mosaic's map."""
    with rasterio.open(config.out.parent / "mosaic" / "whole" / "whole_classes.tif") as source:
        whole = source.read(1)
    found = {}
    for name in names:
        with rasterio.open(config.out / name / f"{name}_classes.tif") as source:
            found[name] = int(np.count_nonzero(source.read(1) != whole[_window(name)]))
    return found


@pytest.mark.parametrize("where", ["here", pytest.param("cluster", marks=pytest.mark.slow)])
def test_the_maps_of_a_cut_scene_are_that_of_the_whole(
    town: Callable[..., ArchiveConfig], crew_of_two: DaskExecutor, where: str, tmp_path: Path
) -> None:
    alone = town(neighbours="none", out=tmp_path / "alone")
    assert run_archive(alone).done == 4
    assert all(unlike(alone).values()), "or this test would show nothing"
    config = town()
    report = run_archive(config, workers=crew_of_two if where == "cluster" else None)
    assert (report.done, report.exit_code) == (4, 0)
    assert unlike(config) == dict.fromkeys(NAMES, 0)
    records = {record.name: record for record in Archive(config).records()}
    assert sorted(Path(uri).stem for uri in records["nw"].neighbours) == ["ne", "se", "sw"]
    assert run_archive(config).skipped == 4


def test_a_scene_that_comes_later_completes_its_neighbours(town: Callable[..., ArchiveConfig], tmp_path: Path) -> None:
    config, late = town(), tmp_path / "late.tif"
    shutil.move(tmp_path / "scenes" / "se.tif", late)
    run_archive(config)
    there = tuple(name for name in NAMES if name != "se")
    assert all(unlike(config, there).values())
    shutil.move(late, tmp_path / "scenes" / "se.tif")
    stay = config.model_copy(update={"redo_neighbours": False})
    report = run_archive(stay)
    assert (report.done, report.skipped) == (1, 3)
    assert all(unlike(config, there).values())
    report = run_archive(config)
    assert (report.done, report.skipped) == (3, 1)
    assert unlike(config) == dict.fromkeys(NAMES, 0)


@pytest.mark.slow
def test_a_damaged_neighbour_is_recorded_and_its_repair_completes_the_others(
    town: Callable[..., ArchiveConfig], tmp_path: Path
) -> None:
    config, bad = town(), tmp_path / "scenes" / "se.tif"
    whole = bad.read_bytes()
    bad.write_bytes(whole[: len(whole) * 2 // 5])
    report = run_archive(config)
    assert (report.done, [record.name for record in report.failed]) == (3, ["se"])
    records = {record.name: record for record in Archive(config).records()}
    assert records["se"].footprint is not None, "its header can be read"
    assert list(records["nw"].left_out) == [str(bad)]
    assert "cannot be decoded" in records["nw"].left_out[str(bad)]
    assert run_archive(config).done == 0, "what is known to be damaged is not tried again"
    bad.write_bytes(whole)
    assert run_archive(config).done == 4
    assert unlike(config) == dict.fromkeys(NAMES, 0)
    assert not any(record.left_out for record in Archive(config).records())


@pytest.mark.slow
def test_a_neighbour_that_goes_leaves_the_map_of_those_that_are_left(
    town: Callable[..., ArchiveConfig], tmp_path: Path
) -> None:
    config = town()
    run_archive(config)
    (tmp_path / "scenes" / "se.tif").unlink()
    assert run_archive(config).done == 3
    fresh = town(out=tmp_path / "fresh")
    run_archive(fresh)
    for name in ("ne", "nw", "sw"):
        made = (config.out / name / f"{name}_classes.tif").read_bytes()
        assert made == (fresh.out / name / f"{name}_classes.tif").read_bytes()


@pytest.mark.slow
def test_a_watched_folder_completes_the_neighbours_of_what_comes(
    town: Callable[..., ArchiveConfig], tmp_path: Path
) -> None:
    late, stop, seen = tmp_path / "late.tif", threading.Event(), list[str]()
    shutil.move(tmp_path / "scenes" / "se.tif", late)
    source = FolderSource(kind="folder", path=tmp_path / "scenes", poll_s=0.05, settle_s=0.05)
    config = town(source=source)
    threading.Timer(120, stop.set).start()

    def on_record(record: Any) -> None:
        seen.append(record.name)
        if len(set(seen)) == 3 and late.exists():
            shutil.move(late, tmp_path / "scenes" / "se.tif")
        if late.exists() or "se" not in seen:
            return
        if set(seen[seen.index("se") :]) == set(NAMES):
            stop.set()

    run_archive(config, watch=stop, on_record=on_record)
    assert unlike(config) == dict.fromkeys(NAMES, 0)


def test_scenes_that_stand_apart_have_the_bytes_that_they_have_without(
    make_archive: Callable[..., ArchiveConfig], tmp_path: Path
) -> None:
    config = make_archive(2)  # of one place: neither has a pixel that the other lacks
    run_archive(config)
    alone = config.model_copy(update={"neighbours": "none", "out": tmp_path / "alone"})
    run_archive(alone)
    for path in sorted(config.out.glob("area*/*")):
        if path.name != "run.json" and not path.name.endswith(".stac.json"):
            assert path.read_bytes() == (alone.out / path.relative_to(config.out)).read_bytes()


def test_grids_are_read_once_and_neighbours_of_a_time_come_first(
    write_scene: WriteScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ref(name: str, col: int, time: str = "") -> SceneRef:
        path = write_scene(
            np.full((3, 20, 30), 9, np.uint8),
            name=f"{name}.tif",
            transform=Affine(0.5, 0, 500000 + col / 2, 0, -0.5, 5400000),
        )
        return SceneRef(name=name, uri=str(path), time=time)

    refs = [
        ref("own", 0, "2026-05-04T00:00:00Z"),
        ref("a_old", 30, "2020-01-01T00:00:00Z"),
        ref("b_new", 30, "2026-05-01T00:00:00Z"),
        ref("same", 0),
        ref("far", 60),
        ref("gap", -35),
    ]
    states = [(one, ({one.uri: (1, 1)}, "")) for one in refs]
    index = Neighbourhood(tmp_path / "out", OpenOptions(), reach_px=9)
    index.load(states, open_new=True)
    assert [one.name for one in index.of("own")] == ["gap", "b_new", "a_old"]
    assert [one.name for one in index.of("far")] == ["a_old", "b_new"]
    again = Neighbourhood(tmp_path / "out", OpenOptions(), reach_px=9)
    monkeypatch.setattr(Neighbourhood, "_open", lambda *_: pytest.fail("no header is read twice"))
    again.load(states, open_new=True)
    assert again.of("own") == index.of("own")
    again.load(states[:2], open_new=False)
    assert [one.name for one in again.of("own")] == ["a_old"]


@pytest.mark.slow
def test_one_layer_over_a_cut_scene_has_the_polygons_of_the_whole(town: Callable[..., ArchiveConfig]) -> None:
    config = town(one_layer="pmtiles")
    run_archive(config)
    mosaic = config.out.parent / "mosaic" / "whole" / "whole_segments.gpkg"
    wanted, (tiles, *parts) = (
        geopandas.read_file(mosaic, layer="segments"),
        sorted((config.out / "_joined").rglob("*.p*"), key=lambda p: (p.suffix == ".parquet", p.name)),
    )
    assert tiles.suffix == ".pmtiles"
    assert [part.stem for part in parts] == list(NAMES)
    found = geopandas.pd.concat([geopandas.read_parquet(part) for part in parts])
    assert (
        len(found)
        == len(wanted)
        < sum(len(geopandas.read_file(layer, layer="segments")) for layer in config.out.glob("*/*.gpkg"))
    )
    assert sorted(found.pixels) == sorted(wanted.pixels)
    assert found.area_m2.sum() == pytest.approx(wanted.area_m2.sum(), rel=1e-9)
    before = {part: part.stat().st_mtime_ns for part in parts}
    assert run_archive(config).skipped == len(NAMES)
    assert before == {part: part.stat().st_mtime_ns for part in parts}


@pytest.mark.parametrize(
    "error",
    [SceneError("x.tif", "it is cut short.", "Copy it again."), OSError("gone")],
)
def test_a_scene_that_cannot_be_opened_has_no_neighbours_and_a_bug_is_not_taken_for_one(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load() -> None:
        ref = SceneRef(name="x", uri="x.tif")
        Neighbourhood(tmp_path, OpenOptions(), 8).load([(ref, ((), "state"))], open_new=True)

    def fails(raised: Exception) -> Callable[..., None]:
        def scene(*_: object) -> None:
            raise raised

        return scene

    monkeypatch.setattr(neighbours_module, "Scene", fails(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        load()
    monkeypatch.setattr(neighbours_module, "Scene", fails(error))
    load()
