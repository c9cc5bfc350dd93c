"""An archive whose output is on a real S3-compatible server: whole scenes, records written on conditions, no locks."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import yaml
from conftest import blobs
from object_server import BUCKET

from geoseg.archive.archive import Archive
from geoseg.archive.config import ArchiveConfig
from geoseg.archive.manifest import Entry
from geoseg.archive.outputs import run_pulse
from geoseg.archive.outputs.store_manifest import StoreManifest
from geoseg.archive.outputs.store_output import StoreOutput
from geoseg.archive.record import SceneRecord
from geoseg.archive.run import run_archive
from geoseg.cli.main import app
from geoseg.errors import ClaimedError, UsageError
from geoseg.io.objects.object_folder import ObjectFolder
from geoseg.process.command import run_command
from geoseg.run.executor import LocalExecutor
from geoseg.run.report import Silence

STORE = f"s3://{BUCKET}/maps"


def call(*arguments: str) -> int:
    return run_command(partial(app, args=list(arguments), standalone_mode=False), debug=False)


def layers_there(server: Any) -> dict[str, bytes]:
    keys = server.keys("maps/area")
    return {key.removeprefix("maps/"): server.get(key) for key in keys}


def same_layers(far: dict[str, bytes], near: Path) -> None:
    files = {path.relative_to(near).as_posix(): path for path in near.glob("area*/*")}
    assert files.keys() == far.keys()
    for name, path in files.items():
        if name.endswith((".tif", ".gpkg", ".png")):
            assert path.read_bytes() == far[name], name


def test_the_layers_are_those_of_an_archive_in_a_folder(
    on_store: Any, make_archive: Any, object_server: Any, tmp_path: Path
) -> None:
    config, reporter = on_store(), Mock(spec=Silence)
    report = run_archive(config, reporter=reporter)
    assert (report.done, report.failed, report.exit_code) == (2, (), 0)
    assert "catalogue" in str(reporter.stage.mock_calls)
    run_archive(make_archive(0))
    same_layers(layers_there(object_server), tmp_path / "out")
    assert not list(config.out.glob("area*")), "the folder where scenes are made keeps none"
    assert not object_server.keys("maps/.geoseg/runs"), "a run that ended leaves no sign of life"
    content = b"".join(path.read_bytes() for path in config.out.rglob("*") if path.is_file())
    content += b"".join(object_server.get(key) for key in object_server.keys())  # noqa: SIM118 - of the server
    assert object_server.secret.encode() not in content


def test_what_is_done_is_believed_by_a_machine_that_has_nothing(
    on_store: Any, object_server: Any, write_scene: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run_archive(on_store())
    before = object_server.keys("maps/area")
    again = run_archive(on_store("two"))
    assert (again.done, again.skipped) == (0, 2)
    assert object_server.keys("maps/area") == before

    path = tmp_path / "archive.yaml"
    facts = on_store("three").model_dump(mode="json") | {"out": STORE}
    del facts["store"]
    path.write_text(yaml.safe_dump(facts))
    assert call("archive", "status", str(path), "--json") == 0
    assert json.loads(capsys.readouterr().out)["scenes"] == {"done": 2, "failed": 0, "running": 0, "waiting": 0}
    assert call("archive", "run", str(path), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["done"], told["skipped"], told["out"]) == (0, 2, STORE)

    write_scene(blobs((150, 140), seed=7), name="area1.tif")
    object_server.put("maps/area0/area0_classes.tif", b"of another program")
    object_server.put("maps/area0/area0_old.tif", b"of an earlier version")
    both = run_archive(on_store("four"))
    assert (both.done, both.skipped) == (2, 0), "imagery changed, and a layer"
    after = object_server.keys("maps/area")
    assert {key for key in before if after[key] == before[key]} >= {"maps/area0/area0_classes.tif"}
    assert after["maps/area1/area1_classes.tif"] != before["maps/area1/area1_classes.tif"]
    assert after.keys() == before.keys()


def test_two_runs_at_once_do_each_scene_once(
    on_store: Any, make_archive: Any, object_server: Any, tmp_path: Path
) -> None:
    done: list[str] = []
    reports: list[Any] = []
    start = threading.Barrier(2)

    def run(machine: str) -> None:
        config = on_store(machine, on_lock="wait")
        start.wait()
        reports.append(run_archive(config, on_record=lambda record: done.append(record.name)))

    on_store(scenes=4)  # the scenes are written before both look
    threads = [threading.Thread(target=run, args=(machine,)) for machine in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [f"area{number}" for number in range(4)]
    assert [report.done + report.skipped for report in reports] == [4, 4]
    assert all(report.failed == () for report in reports)
    run_archive(make_archive(0))
    same_layers(layers_there(object_server), tmp_path / "out")


def claim(output: StoreOutput, name: str, run: str, config: ArchiveConfig) -> Entry:
    """Take a scene as another run does."""
    output.entries.entry(name)
    record = SceneRecord(name=name, uri=str(config.out), state="running")
    output.entries.write(Entry(record=record, run=run))
    return Entry(record=record, run=run)


def test_a_scene_in_work_elsewhere_is_left_alone_until_its_run_is_dead(
    on_store: Any, object_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = on_store()
    other = StoreOutput(STORE, config.out.with_name("other"))
    with other.held("another"):
        claim(other, "area0", "another", config)
        before = object_server.keys("maps/.geoseg/scenes")
        report = run_archive(config)
        assert (report.done, report.skipped, report.elsewhere) == (1, 0, 1)
        assert before.items() <= object_server.keys("maps/.geoseg/scenes").items()
        assert [record.state for _, record in Archive(config).iter_status()] == ["running", "done"]
    assert run_archive(config).done == 1, "the other has ended, and gives no sign of life"

    other = StoreOutput(STORE, config.out.with_name("other"))
    with other.held("silent"):
        claimed = claim(other, "area0", "silent", config)
        assert run_archive(config).elsewhere == 1
        monkeypatch.setattr(run_pulse, "DEAD_AFTER_S", -1.0)
        assert run_archive(config).done == 1
        after = object_server.keys("maps/")
        late = Entry(record=claimed.record.model_copy(update={"state": "done", "layers": "area0"}), run="silent")
        (config.out.with_name("other") / "area0").mkdir()
        (config.out.with_name("other") / "area0" / "area0_classes.tif").write_bytes(b"late")
        with pytest.raises(ClaimedError, match="area0"):
            other.deliver(late)
        with pytest.raises(ClaimedError, match="area0"):
            other.entries.write(late)
        still = {key: tag for key, tag in object_server.keys("maps/").items() if "/runs/" not in key}
        assert still.items() <= after.items(), "the late one has overwritten nothing"


def check_that_it_is_elsewhere(
    config: ArchiveConfig, object_server: Any, monkeypatch: pytest.MonkeyPatch, *, taken_at: str
) -> None:
    """Run an archive of which another run takes the scene just before its record gets a state."""
    other = StoreOutput(STORE, config.out.with_name("other"))
    write = StoreManifest.write

    def late(manifest: StoreManifest, one: Entry) -> None:
        if manifest is not other.entries and one.record.state == taken_at:
            claim(other, one.record.name, "another", config)
        write(manifest, one)

    monkeypatch.setattr(StoreManifest, "write", late)
    with other.held("another"):
        report = run_archive(config)
        assert (report.done, report.failed, report.elsewhere) == (0, (), 1)
    (key,) = object_server.keys("maps/.geoseg/scenes")
    assert json.loads(object_server.get(key))["run"] == "another"


def test_a_claim_that_another_run_takes_at_the_same_moment_is_no_failure(
    on_store: Any, object_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = on_store(scenes=1)
    check_that_it_is_elsewhere(config, object_server, monkeypatch, taken_at="running")
    assert not object_server.keys("maps/area0")


def test_a_scene_that_ends_while_it_is_looked_at_is_not_elsewhere_for_an_archive_in_a_folder(make_archive: Any) -> None:
    archive = Archive(make_archive(1))
    assert not archive.elsewhere(SceneRecord(name="area0", uri="area0.tif", state="running"))


def test_a_run_that_ends_does_not_speak_for_one_that_is_still_at_work(object_server: Any, tmp_path: Path) -> None:
    del object_server
    one, two = (StoreOutput(STORE, tmp_path / machine) for machine in ("one", "two"))
    one.mark_outdated()
    two.mark_outdated()
    with two.publishing("b"):
        pass
    assert StoreOutput(STORE, tmp_path).published
    one.mark_outdated()
    assert not StoreOutput(STORE, tmp_path).published


def test_a_failure_of_a_scene_that_another_run_has_taken_is_none(
    on_store: Any, object_server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = on_store(scenes=1)
    (tmp_path / "scenes" / "area0.tif").write_bytes(b"II*\0 is no picture")
    check_that_it_is_elsewhere(config, object_server, monkeypatch, taken_at="failed")


def test_a_store_that_fails_in_the_middle_of_a_scene_shows_no_half_of_it(
    on_store: Any, make_archive: Any, object_server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = on_store(scenes=1)
    upload, left = ObjectFolder.upload, [3]

    def failing(folder: ObjectFolder, path: str, file: Path) -> str:
        left[0] -= path.startswith("area0/")
        if left[0] < 0 and path.startswith("area0/"):
            raise OSError("SlowDown: reduce your request rate")
        return upload(folder, path, file)

    monkeypatch.setattr(ObjectFolder, "upload", failing)
    report = run_archive(config)
    (failed,) = report.failed
    assert (failed.exit_code, failed.transient) == (5, True)
    assert "SlowDown" in failed.cause
    assert len(layers_there(object_server)) == 3
    assert "maps/area0/run.json" not in object_server.keys("maps/area0")
    assert [record.state for record in Archive(config).records()] == ["failed"]
    monkeypatch.undo()
    object_server.use(monkeypatch)
    predicted: list[object] = []
    monkeypatch.setattr(LocalExecutor, "predict_blocks", lambda *_: predicted.append(1))
    assert run_archive(config).done == 1, "the layers were whole here, and are brought there without a prediction"
    assert predicted == []
    monkeypatch.undo()
    run_archive(make_archive(0))
    object_server.use(monkeypatch)
    same_layers(layers_there(object_server), tmp_path / "out")


def test_an_archive_killed_in_the_middle_goes_on(
    on_store: Any, make_archive: Any, object_server: Any, tmp_path: Path
) -> None:
    config = on_store(scenes=3)
    path = tmp_path / "archive.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    script = Path(__file__).parents[1] / "archive_process.py"
    killed = subprocess.run([sys.executable, script, path, "1"], capture_output=True)
    assert killed.returncode == -signal.SIGKILL
    assert object_server.keys("maps/.geoseg/runs"), "it gave its last sign of life lately"
    report = run_archive(config)
    assert (report.done, report.skipped, report.elsewhere) == (2, 1, 0)
    run_archive(make_archive(0))
    same_layers(layers_there(object_server), tmp_path / "out")


def test_a_folder_that_is_an_archive_is_no_place_to_make_scenes(
    make_archive: Any, object_server: Any, tmp_path: Path
) -> None:
    local = make_archive(1)
    run_archive(local)
    before = {path: path.read_bytes() for path in local.out.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="holds an archive of its own.*Choose another folder as out"):
        run_archive(local.model_copy(update={"store": STORE}))
    assert {path: path.read_bytes() for path in local.out.rglob("*") if path.is_file()} == before
    assert object_server.keys("maps") == {}


def test_a_copy_of_the_prefix_in_a_folder_is_an_archive(
    on_store: Any, make_archive: Any, object_server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_archive(on_store())
    copy = tmp_path / "copies" / "maps"
    for key in object_server.keys("maps/"):
        path = copy / key.removeprefix("maps/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(object_server.get(key))
    assert call("check", str(copy)) == 0
    assert call("archive", "report", str(copy)) == 0
    assert (copy / "report.html").is_file()
    assert (copy / "catalog.json").is_file()
    assert call("check", str(copy)) == 0
    monkeypatch.setattr(LocalExecutor, "predict_blocks", lambda *_: pytest.fail("nothing is to be predicted"))
    report = run_archive(make_archive(0, out=copy))
    assert (report.done, report.skipped, report.failed) == (2, 0, ()), "times of change differ, digests do not"


def test_check_reads_every_object(on_store: Any, object_server: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run_archive(on_store())
    assert call("check", STORE) == 0
    assert capsys.readouterr().out.startswith(f"{STORE}: 20 files in 2 folders, all whole")
    raster = "maps/area0/area0_classes.tif"
    content = bytearray(object_server.get(raster))
    content[len(content) // 2] ^= 1
    object_server.put(raster, bytes(content))
    object_server.remove("maps/area1/area1_segments.gpkg")
    assert call("check", STORE, "--json") == 6
    told = json.loads(capsys.readouterr().out)
    assert {(fault["file"], fault["condition"]) for fault in told["faults"]} == {
        ("area0/area0_classes.tif", "damaged"),
        ("area1/area1_segments.gpkg", "missing"),
    }
    object_server.put(raster, object_server.get("maps/area1/area1_classes.tif"))
    assert call("check", STORE) == 6, "a whole raster, but of another scene"
    assert "area0/area0_classes.tif: changed" in capsys.readouterr().out
    assert call("check", f"s3://{BUCKET}/nothing") == 2
    assert "holds no archive" in capsys.readouterr().err


def test_a_store_that_cannot_be_used_is_refused_before_any_scene(
    on_store: Any,
    object_server: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "archive.yaml"
    path.write_text(yaml.safe_dump(on_store().model_dump(mode="json")))
    for changes, code, words in (
        ({"AWS_SECRET_ACCESS_KEY": "wrong-s3cret"}, 5, "access is denied"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, 5, "AWS_ENDPOINT_URL"),
        ({"AWS_ACCESS_KEY_ID": None}, 2, "there are no credentials"),
    ):
        object_server.use(monkeypatch, **changes)
        assert call("archive", "run", str(path), "--quiet") == code
        told = capsys.readouterr().err
        assert words in told
        assert STORE in told or "s3://imagery" in told
        assert "s3cret" not in told
    object_server.use(monkeypatch)
    assert object_server.keys("maps/") == {}
    assert call("archive", "report", STORE) == 2
    assert f"{STORE}: give the configuration" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"out": "gs://bucket/maps"}, "s3://"),
        ({"out": "s3://bucket/maps", "store": "s3://bucket/other"}, "out and store"),
        ({"store": "https://example.org/maps"}, "s3://BUCKET/PREFIX"),
        ({"store": "s3://me:secret@bucket"}, "store: write s3://BUCKET/PREFIX"),
        ({"out": "s3://me:secret@bucket/maps"}, "out: write s3://BUCKET/PREFIX"),
        ({"out": "s3://bucket/maps/../other"}, "out: write s3://BUCKET/PREFIX"),
    ],
)
def test_what_no_store_takes_is_refused_in_the_configuration(
    changes: dict[str, str], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "archive.yaml"
    path.write_text(yaml.safe_dump({"source": "in", "model": "town-unet", "out": "out"} | changes))
    with pytest.raises(UsageError, match=words) as refused:
        ArchiveConfig.read(path)
    assert "secret" not in str(refused.value)


def test_an_address_as_out_is_a_store_with_a_folder_beside_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "archive.yaml"
    path.write_text("source: in\nmodel: town-unet\nout: s3://bucket/maps/2026/\n")
    config = ArchiveConfig.read(path)
    assert (config.store, config.out.name) == ("s3://bucket/maps/2026", "2026")
    assert config.out.is_relative_to(tmp_path / ".geoseg-work")
    assert ArchiveConfig(**config.model_dump()) == config
