"""A run over an archive: the bytes of single scenes, what is done stays done, what is bad stands alone."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import blobs

from geoseg.archive.archive import Archive
from geoseg.archive.config import ArchiveConfig
from geoseg.archive.record import SceneRecord
from geoseg.archive.run import run_archive
from geoseg.archive.sources.config import FolderSource
from geoseg.core.spec import PredictSpec
from geoseg.errors import OutputError, WriteError
from geoseg.models.model import load_model
from geoseg.run.cluster import DaskExecutor
from geoseg.run.executor import LocalExecutor
from geoseg.run.predict import predict
from geoseg.run.report import Silence


def layers(out: Path) -> dict[str, str]:
    """Digest of every layer but those that name their time."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.glob("*/*"))
        if path.name != "run.json"
        and not path.name.endswith(".stac.json")
        and not path.parent.name.startswith((".", "_"))
    }


def alone(config: ArchiveConfig, folder: Path) -> dict[str, str]:
    """The layers that ``geoseg predict`` gives for each scene by itself."""
    model = load_model(config.model, device="cpu", runtime="torch", precision="fp32")
    with Archive.open(config) as archive:
        for ref, _ in archive.iter_status():
            predict(ref.uri, model, folder, spec=config.predict, name=ref.name)
    return layers(folder)


def test_the_bytes_are_those_of_single_scenes(
    make_archive: Any, write_scene: Any, crew_of_two: DaskExecutor, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config = make_archive(3)
    half_empty = blobs((150, 140), seed=3)
    half_empty[:, 70:] = 0  # whole blocks that no network sees
    write_scene(half_empty, name="area3.tif", nodata=0)
    report = run_archive(config, workers=crew_of_two)
    assert "Warning" not in capfd.readouterr().err, "workers write layers in threads, and keep their libraries quiet"
    assert (report.done, report.skipped, report.failed, report.exit_code) == (4, 0, (), 0)
    by_cluster = layers(config.out)
    assert by_cluster == alone(config, tmp_path / "alone")
    assert sorted(path.name for path in config.out.glob("*") if path.is_dir()) == [
        ".geoseg",
        "_catalogue",
        *(f"area{k}" for k in range(4)),
    ]

    here = config.model_copy(update={"out": tmp_path / "here"})
    run_archive(here)
    assert layers(here.out) == by_cluster


def test_one_corrupt_scene_among_several(make_archive: Any, crew_of_two: DaskExecutor, tmp_path: Path) -> None:
    config = make_archive(5)
    bad = tmp_path / "scenes" / "area2.tif"
    bad.write_bytes(bad.read_bytes()[: bad.stat().st_size // 2])
    seen: list[SceneRecord] = []
    report = run_archive(config, workers=crew_of_two, on_record=seen.append)
    assert (report.done, report.exit_code) == (4, 7)
    (failed,) = report.failed
    assert (failed.name, failed.exit_code, failed.attempts) == ("area2", 3, 1)
    assert "area2.tif" in failed.cause
    assert "\n" not in failed.cause
    assert sorted(record.name for record in seen) == [f"area{k}" for k in range(5)]
    assert not (config.out / "area2").exists()

    again = run_archive(config)
    assert (again.done, again.skipped, again.failed, again.exit_code) == (0, 4, (), 0), "it was reported once"
    assert [record.name for record in again.known_bad] == ["area2"]
    tried = run_archive(config, retry_failed=True)
    assert ([record.attempts for record in tried.failed], tried.known_bad, tried.exit_code) == ([2], (), 7)
    bad.write_bytes((tmp_path / "scenes" / "area1.tif").read_bytes())
    mended = run_archive(config)
    assert (mended.done, mended.skipped, mended.exit_code) == (1, 4, 0)


def test_a_failure_is_reported_again_where_the_run_that_met_it_could_not(make_archive: Any, tmp_path: Path) -> None:
    config = make_archive(2)
    (tmp_path / "scenes" / "area0.tif").write_bytes(b"II*\0 and no more")
    with Archive.open(config) as archive:
        for ref in archive.left():
            archive.segment(ref, LocalExecutor())
    assert run_archive(config).exit_code == 7, "the first run ended before it published"
    assert run_archive(config).exit_code == 0


def test_a_refusal_stands_only_for_what_was_allowed_then(make_archive: Any, write_scene: Any) -> None:
    config = make_archive(1, opening={"max_mpx": 0.05})
    write_scene(blobs((300, 200), seed=9), name="large.tif")
    assert [record.name for record in run_archive(config).failed] == ["large"]
    assert [record.name for record in run_archive(config).known_bad] == ["large"]
    opening = config.opening.model_copy(update={"max_mpx": 1.0})
    report = run_archive(config.model_copy(update={"opening": opening}))
    assert (report.done, report.skipped, report.known_bad) == (1, 1, ())


def test_what_may_go_by_itself_is_tried_again_and_fails_again(
    make_archive: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import geoseg.run.predict as module

    def full(*arguments: Any, **options: Any) -> Any:
        raise WriteError("no space left")

    config = make_archive(1)
    with monkeypatch.context() as patched:
        patched.setattr(module, "predict", full)
        for _ in range(2):
            report = run_archive(config)
            assert ([record.exit_code for record in report.failed], report.known_bad) == ([5], ())
    assert run_archive(config).done == 1


def test_a_scene_without_a_crs_is_told_which_key_helps(make_archive: Any, write_scene: Any) -> None:
    config = make_archive(0)
    write_scene(blobs((70, 60)), name="as_delivered.tif", crs=None)
    (failed,) = run_archive(config).failed
    assert "opening: assume_crs" in failed.cause
    assert "--" not in failed.cause
    opening = config.opening.model_copy(update={"assume_crs": "EPSG:32632"})
    assert run_archive(config.model_copy(update={"opening": opening})).done == 1


def test_a_run_ends_with_its_catalogue(make_archive: Any) -> None:
    config = make_archive(2, title="Two areas")
    run_archive(config)
    collection = json.loads((config.out / "collection.json").read_text())
    assert collection["title"] == "Two areas"
    report, time = config.out / "report.html", (config.out / "report.html").stat().st_mtime_ns
    assert "area1" in report.read_text()
    run_archive(config)
    assert report.stat().st_mtime_ns == time, "nothing was tried, nothing is told anew"
    (config.out / ".geoseg" / "published").unlink()
    assert run_archive(config).done == 0
    assert report.stat().st_mtime_ns != time, "a run that was killed before it could tell is told of by the next"


def test_an_archive_that_is_watched_is_published_whenever_nothing_is_left(make_archive: Any, write_scene: Any) -> None:
    config = make_archive(1)
    config = config.model_copy(update={"source": FolderSource(path=config.source.path, poll_s=0.1, settle_s=0.1)})
    stop, reports = threading.Event(), []
    watching = threading.Thread(target=lambda: reports.append(run_archive(config, watch=stop)))
    watching.start()
    try:
        assert _listed_within(config.out, ["area0"]), "it is there while the folder is watched still"
        write_scene(blobs((150, 140), seed=9), name="late.tif")
        assert _listed_within(config.out, ["area0", "late"])
    finally:
        stop.set()
        watching.join(120)
    assert [(report.done, report.exit_code) for report in reports] == [(2, 0)]


def _listed_within(out: Path, names: list[str], patience_s: float = 120.0) -> bool:
    """Whether the collection comes to link these scenes."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        try:
            links = json.loads((out / "collection.json").read_text())["links"]
        except OSError:
            links = []
        if sorted(link["href"].split("/")[1] for link in links if link["rel"] == "item") == names:
            return True
        time.sleep(0.2)
    return False


def test_records_say_what_the_layers_say(make_archive: Any) -> None:
    config = make_archive(2)
    run_archive(config)
    with Archive.open(config) as archive:
        records = list(archive.records())
    assert sorted(record.name for record in records) == ["area0", "area1"]
    for record in records:
        ran = json.loads((config.out / record.layers / "run.json").read_text())
        item = json.loads((config.out / record.layers / f"{record.name}.stac.json").read_text())
        assert record.state == "done"
        assert record.scene_digest == hashlib.sha256(hashlib.sha256(Path(record.uri).read_bytes()).digest()).hexdigest()
        assert record.footprint == item["geometry"]
        assert record.pixels == record.valid_pixels == 150 * 140
        assert record.class_areas_m2 == {entry["name"]: entry["area_m2"] for entry in ran["classes"]}
        assert sum(record.class_areas_m2.values()) == pytest.approx(150 * 140 * 0.25, rel=2e-3)
        assert record.blocks == ran["blocks"]
        assert record.timings["predict_s"] > 0
        assert record.started is not None
        assert record.finished is not None
        assert record.started <= record.finished
        assert (record.attempts, record.exit_code, record.cause) == (1, 0, "")


@pytest.mark.slow_after(2)
@pytest.mark.parametrize(
    "change",
    [
        "scene",
        "option",
        "polygons cut",
        "touched",
        *(pytest.param(change, marks=pytest.mark.slow) for change in ("model", "layer gone", "manifest gone")),
    ],
)
def test_what_changed_is_done_again_and_nothing_else(
    change: str, make_archive: Any, write_scene: Any, tmp_path: Path
) -> None:
    config = make_archive(3)
    run_archive(config)
    nothing = run_archive(config)
    assert (nothing.done, nothing.skipped) == (0, 3)
    before = {path: path.stat().st_mtime_ns for path in config.out.glob("area*/run.json")}
    if change == "scene":
        write_scene(blobs((150, 140), seed=9), name="area1.tif")
    elif change == "model":
        config = config.model_copy(update={"precision": "bf16"})
    elif change == "option":
        config = config.model_copy(update={"predict": PredictSpec(block_px=64, tile_px=64, halo_px=8, blend="taper")})
    elif change == "layer gone":
        (config.out / "area1" / "area1_classes.tif").unlink()
    elif change == "polygons cut":
        os.truncate(config.out / "area1" / "area1_segments.gpkg", 9000)
    elif change == "manifest gone":
        shutil.rmtree(config.out / ".geoseg")
    else:
        os.utime(tmp_path / "scenes" / "area1.tif")
    report = run_archive(config)
    expected = {
        "scene": 1,
        "model": 3,
        "option": 3,
        "layer gone": 1,
        "polygons cut": 1,
        "manifest gone": 3,
        "touched": 1,
    }[change]
    assert (report.done, report.skipped, report.exit_code) == (expected, 3 - expected, 0)
    written = [path for path, time in before.items() if path.stat().st_mtime_ns != time]
    rewritten = {"manifest gone": 0, "touched": 0}.get(change, expected)
    assert len(written) == rewritten, "what has the same content is not computed again"
    assert layers(config.out) == alone_with(config, tmp_path / "alone")


def alone_with(config: ArchiveConfig, folder: Path) -> dict[str, str]:
    model = load_model(config.model, device="cpu", runtime="torch", precision=config.precision)
    for scene in sorted(config.source.path.glob("*.tif")):
        predict(scene, model, folder, spec=config.predict)
    return layers(folder)


def test_bands_that_the_source_tells_are_an_option(make_archive: Any, tmp_path: Path) -> None:
    config = make_archive(1)
    run_archive(config)
    told = FolderSource(path=config.source.path, bands=("blue", "green", "red"))
    report = run_archive(config.model_copy(update={"source": told}))
    assert (report.done, report.skipped) == (1, 0)
    assert run_archive(config.model_copy(update={"source": told})).skipped == 1
    numbered = config.predict.model_copy(update={"bands": ("3", "2", "1")})
    assert layers(config.out) == alone_with(config.model_copy(update={"predict": numbered}), tmp_path / "alone")


def test_two_archives_in_one_output_do_not_replace_each_other_s_layers(
    make_archive: Any, write_scene: Any, tmp_path: Path
) -> None:
    (tmp_path / "others").mkdir()
    write_scene(blobs((70, 64), seed=5), name="area0.tif").rename(tmp_path / "others" / "area0.tif")
    config = make_archive(1, shape=(70, 60))
    first = config.source.path / "area0.tif"
    run_archive(config)
    before = layers(config.out)
    other = config.model_copy(update={"source": FolderSource(path=tmp_path / "others")})
    (failed,) = run_archive(other).failed
    assert (failed.exit_code, str(first) in failed.cause) == (6, True)
    assert layers(config.out) == before
    assert run_archive(config).skipped == 1, "its record stands as well"

    shutil.copytree(tmp_path / "scenes", tmp_path / "copied")
    copied = config.model_copy(update={"source": FolderSource(path=tmp_path / "copied")})
    assert run_archive(copied).done == 1, "imagery that was copied is the same archive's"
    assert layers(config.out) == before
    shutil.rmtree(tmp_path / "copied")
    assert run_archive(other).done == 1, "nothing is there that could be lost"


def test_the_same_archive_twice_at_once(make_archive: Any) -> None:
    config = make_archive(1)
    with Archive.open(config), pytest.raises(OutputError, match=rf"{config.out}: locked by pid {os.getpid()}"):
        run_archive(config)
    assert run_archive(config).done == 1


def test_the_same_scene_twice_at_once_is_done_once(make_archive: Any, tmp_path: Path) -> None:
    config = make_archive(1)
    entry = str(tmp_path / "scenes" / "area0.tif")
    (tmp_path / "list.txt").write_text(f"# areas\n{entry}\n{entry} # again\n\n")
    listed = config.model_copy(
        update={
            "source": ArchiveConfig.model_validate(
                {"source": {"kind": "list", "path": tmp_path / "list.txt"}, "model": "m", "out": "o"}
            ).source
        }
    )
    report = run_archive(listed)
    assert (report.done, report.skipped, report.exit_code) == (1, 1, 0)
    assert [path.parent.name for path in config.out.glob("*/run.json")] == ["scenes--area0"]


def test_a_scene_that_is_in_work_already_is_no_failure(make_archive: Any) -> None:
    seen = []

    class Again(Silence):
        def stage(self, name: str, total_px: int, done_px: int = 0) -> None:
            seen.append(archive.segment(ref, LocalExecutor()))
            seen.append(archive.segment(replace(ref, uri="/other/area0.tif"), LocalExecutor()))

    with Archive.open(make_archive(1)) as archive:
        (ref,) = archive.left()
        assert archive.segment(ref, LocalExecutor(), reporter=Again()).state == "done"
    assert {(record.uri, record.state) for record in seen} == {(ref.uri, "waiting"), ("/other/area0.tif", "failed")}


def test_a_bug_in_one_scene_does_not_stop_the_others(make_archive: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import geoseg.run.predict as module

    def buggy(scene: Any, *arguments: Any, **options: Any) -> Any:
        if options["name"] == "area1":
            raise ZeroDivisionError("one\ntwo")
        return predict(scene, *arguments, **options)

    monkeypatch.setattr(module, "predict", buggy)
    report = run_archive(make_archive(3))
    assert report.done == 2
    assert [(record.exit_code, record.cause) for record in report.failed] == [
        (1, "a bug in geoseg: ZeroDivisionError: one two")
    ]


def test_an_ensemble_is_a_model_like_any_other(make_archive: Any, write_tiny: Any, tmp_path: Path) -> None:
    members = [{"model": str(write_tiny(seed))} for seed in (3, 4)]
    ensemble = tmp_path / "both.json"
    ensemble.write_text(json.dumps({"members": members}))
    config = make_archive(2, model=str(ensemble))
    report = run_archive(config)
    assert (report.done, report.failed) == (2, ())
    assert layers(config.out) == alone(config, tmp_path / "alone")
    assert run_archive(config).skipped == 2, "nothing changed"
    assert list((config.out / "_catalogue").rglob("*ensemble*.json")), "the catalogue tells the model"
    ensemble.write_text(json.dumps({"members": [members[0], members[1] | {"weight": 3}]}))
    assert run_archive(config).done == 2, "other shares are another model"
