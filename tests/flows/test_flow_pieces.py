"""Laws of what the flows share; no server."""

from __future__ import annotations

import ast
import errno
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import geoseg.flows  # noqa: F401 - before prefect

# isort: split
import httpx
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.utilities.callables import parameter_schema
from prefect_server import written

from geoseg.archive.config import ArchiveConfig, Opening
from geoseg.archive.manifest import Entry, Manifest
from geoseg.archive.record import SceneRecord
from geoseg.core.spec import PredictSpec
from geoseg.errors import OutputError, ResourceError, SceneError, UsageError
from geoseg.flows import artifacts, own_server, resubmit, serve
from geoseg.flows.artifacts import RunArtifacts, artifact_key
from geoseg.flows.assets import asset_key
from geoseg.flows.bounded_submit import submit_bounded
from geoseg.flows.counts import SceneCounts
from geoseg.flows.evaluation_pairs import find_references
from geoseg.flows.events import scene_id
from geoseg.flows.outcome import Outcome, api_errors, mark_complete, run
from geoseg.flows.parameters import archive_config, fields
from geoseg.flows.segment_archive import segment_archive

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_server_is_started() -> Iterator[None]:
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        yield


class Ticket:
    """What ``submit_bounded`` asks of a Prefect future."""

    def __init__(self, future: Future[int]) -> None:
        self.task_run_id, self._future = uuid4(), future

    def add_done_callback(self, call: Any) -> None:
        self._future.add_done_callback(lambda _: call(self))

    def wait(self) -> None:
        self._future.result()

    @property
    def state(self) -> int:
        return self._future.result()


@given(number=st.integers(0, 30), room=st.integers(1, 7))
def test_every_item_ends_once_and_no_more_are_taken_than_there_is_room_for(number: int, room: int) -> None:
    taken, ended, most = 0, [], 0
    running, lock = 0, threading.Lock()

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(number):
            taken += 1
            yield item

    def work(item: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.0005 * (item % 3))
        with lock:
            running -= 1
        return item * 2

    with ThreadPoolExecutor(16) as pool:
        for item, state in submit_bounded(items(), lambda i: Ticket(pool.submit(work, i)), lambda: room):  # type: ignore[arg-type, return-value]
            ended.append((item, state))
            assert taken - len(ended) < room, "the next one is taken when there is room"
    assert sorted(ended) == [(item, item * 2) for item in range(number)]
    assert most <= room


@given(st.text(min_size=1, max_size=700).filter(lambda text: "\0" not in text and "://" not in text))
def test_prefect_takes_any_file_as_an_asset_and_tells_them_apart(name: str) -> None:
    from prefect.assets import Asset

    key = asset_key("/data/" + name)
    assert Asset(key=key).key == key
    assert asset_key("/data/" + name + "x") != key


@given(st.text(max_size=30), st.text(max_size=30))
def test_prefect_takes_any_title_as_a_key_and_other_scripts_are_told_apart(one: str, other: str) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", artifact_key(one))
    for title in ("東京", "大阪"):
        assert artifact_key(title).startswith("archive-")
    assert artifact_key("東京" + one) != artifact_key("大阪" + other)


def test_a_scene_has_another_id_in_each_archive() -> None:
    assert scene_id("North", "area1") != scene_id("South", "area1")


def test_an_asset_never_holds_a_secret() -> None:
    assert asset_key("https://me:word@host/a.tif?sig=1") == "https://host/a.tif"
    assert asset_key("s3://bucket/a b.tif") == "s3://bucket/a~20b.tif"


def test_fields_come_from_the_command_line() -> None:
    assert fields(["workers=4", "predict.simplify_m=0.5", "opening.assets=[a, b]", "title=My town"]) == {
        "workers": 4,
        "predict": {"simplify_m": 0.5},
        "opening": {"assets": ["a", "b"]},
        "title": "My town",
    }
    for wrong in ("workers", "=4", "a=[", "a."):
        with pytest.raises(UsageError, match=re.escape(wrong)):
            fields([wrong])


def test_what_is_given_counts_more_than_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("source: in\nmodel: town-unet\nout: out\nworkers: 2\npredict: {tile_px: 256, halo_px: 32}\n")
    config = archive_config(file, out=tmp_path / "other", scheduler="tcp://host:1", predict={"halo_px": 16}, model=None)
    assert (config.out, config.model, config.scheduler, config.workers) == (
        tmp_path / "other",
        "town-unet",
        "tcp://host:1",
        None,
    )
    assert (config.predict.tile_px, config.predict.halo_px) == (256, 16)
    assert config.source.path == tmp_path / "in", "paths of the file are relative to it"
    with pytest.raises(UsageError, match="source, model and out"):
        archive_config(None, source="in")
    with pytest.raises(UsageError, match="nonsense"):
        archive_config(file, nonsense=1)


def test_a_part_of_the_source_can_be_said_beside_the_file_and_beside_the_folder(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("source: {path: in, recursive: false}\nmodel: town-unet\nout: out\n")
    said = fields(["source.glob='*.jp2'", "model=other", "out=there"])
    config = archive_config(file, said, source=None, model=None, out=None)
    assert (config.source.path, config.source.glob, config.source.recursive) == (tmp_path / "in", "*.jp2", False)  # type: ignore[union-attr]
    assert (config.model, config.out) == ("other", Path("there").absolute())
    config = archive_config(file, said, source="elsewhere", model="third", out=None)
    source = config.source
    assert (source.path, source.glob, source.recursive) == (Path("elsewhere").absolute(), "*.jp2", True)  # type: ignore[union-attr]
    assert config.model == "third"
    with pytest.raises(UsageError, match="predict has a value"):
        fields(["predict=3", "predict.halo_px=8"])


def test_a_lost_api_costs_one_attempt_and_is_tried_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def refuse(*args: Any, **kwargs: Any) -> None:
        calls.append(kwargs)
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(artifacts, "create_progress_artifact", refuse)
    shown = RunArtifacts("Town")
    for done in range(50):
        shown.progress(done, 50)
    assert (len(calls), shown.lost) == (1, True)
    monkeypatch.setattr(artifacts, "create_progress_artifact", lambda **_: uuid4())
    shown.progress(50, 50, last=True)
    assert not shown.lost


@pytest.mark.parametrize(("code", "reported", "lost", "expected"), [
    (0, True, False, 0), (7, True, False, 7), (0, False, False, 8), (0, True, True, 8), (7, True, True, 7),
])  # fmt: skip
def test_the_exit_code_says_what_was_computed_and_whether_it_was_reported(
    code: int, reported: bool, lost: bool, expected: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def flow() -> Any:
        mark_complete(Outcome(summary="3 scenes done", exit_code=code, reported=reported))
        if lost:
            raise httpx.ConnectError("gone")

    assert run(flow) == expected
    said = capsys.readouterr().err
    assert "3 scenes done" in said
    assert ("computed, not reported" in said) == (lost or not reported)


def test_an_api_that_is_lost_before_anything_is_final_is_an_error() -> None:
    def flow() -> Any:
        raise httpx.ConnectError("refused")

    with pytest.raises(ResourceError, match="run again to resume"):
        run(flow)


@pytest.mark.parametrize("status", [401, 403])
def test_an_api_that_wants_a_password_is_not_said_to_be_down(status: int) -> None:
    def refuse() -> Any:
        httpx.Response(status, request=httpx.Request("GET", "http://127.0.0.1:9/api")).raise_for_status()

    with pytest.raises(ResourceError, match="PREFECT_API_AUTH_STRING"):
        run(refuse)
    with pytest.raises(ResourceError, match="PREFECT_API_AUTH_STRING"), api_errors():
        refuse()


ENTRY_FILES = sorted(path for path in (ROOT / "flows").glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("path", ENTRY_FILES, ids=lambda path: path.stem)
def test_an_entry_file_runs_the_module_of_its_name_and_holds_no_code(path: Path) -> None:
    kinds = {type(node) for node in ast.parse(path.read_text()).body}
    assert kinds <= {ast.Expr, ast.ImportFrom, ast.Assign, ast.If}
    assert (ROOT / "geoseg" / "flows" / path.name).is_file()


@pytest.mark.parametrize("entry", yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"], ids=repr)
def test_the_flow_of_a_deployment_is_found_by_its_entry_file(entry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    flow = load_flow_from_entrypoint(entry["entrypoint"], use_placeholder_flow=False)
    assert flow.name == Path(entry["entrypoint"].split(":")[0]).stem.replace("_", "-")
    known = parameter_schema(flow).properties
    assert entry.get("parameters", {}).keys() <= known.keys()


def test_who_needs_an_api_says_in_a_line_that_there_is_none() -> None:
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
        pytest.raises(ResourceError, match=r"does not answer .* Start one \(prefect server start\)"),
    ):
        resubmit.main("segment-archive/nightly")


def test_what_could_never_run_is_not_served(tmp_path: Path) -> None:
    config = tmp_path / "a.yaml"
    with pytest.raises(UsageError, match=r"a\.yaml: cannot be read"):
        serve.main(config, every_s=5)
    config.write_text("source: in\nmodel: town-unet\nout: out\n")
    with pytest.raises(UsageError, match="--cron nonsense"):
        serve.main(config, cron="nonsense")


def test_what_a_flow_refuses_is_raised_as_it_was() -> None:
    from prefect.states import Failed

    def flow() -> Any:
        return Failed(data=OutputError("locked by pid 1"))

    with pytest.raises(OutputError, match="locked by pid 1"):
        run(flow)


def test_counts_stay_small() -> None:
    now = datetime.now(UTC)
    counts = SceneCounts()
    for number in range(3000):
        counts.see(SceneRecord(name=f"d{number}", uri="", state="done", finished=now), needs_run=False)
        counts.see(SceneRecord(name=f"w{number}", uri=""), needs_run=True)
        counts.see(SceneRecord(name=f"f{number}", uri="", state="failed", cause=f"c{number}"), needs_run=False)
        known = SceneRecord(name=f"k{number}", uri="", state="failed", cause=f"k{number}", transient=False)
        counts.see(known, needs_run=False, known_bad=True)
    for number in range(3000):
        counts.add(SceneRecord(name=f"w{number}", uri="", state="done", finished=now + timedelta(seconds=number)))
    counts.add(SceneRecord(name="let go", uri=""))
    assert (counts.left, counts.skipped, counts.done, counts.failed, counts.known_bad) == (3000, 3000, 3000, 3000, 3000)
    assert counts.summary == "3000 scenes done, 3000 done before, 3000 known bad, 3000 failed"
    assert counts.first_cause == "c0"
    assert len(counts.rows) == 3000
    assert counts.rows[0]["state"] == "failed"


def test_references_are_found_by_the_scene_s_name_or_its_file_s(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path / "out")
    for name, uri, state in (
        ("north--town", "/in/north/town.tif", "done"),
        ("hill", "/in/hill.tif", "done"),
        ("lost", "/in/lost.tif", "done"),
        ("bad", "/in/bad.tif", "failed"),
    ):
        manifest.write(Entry(record=SceneRecord(name=name, uri=uri, state=state, layers=name)))  # type: ignore[arg-type]
    references = tmp_path / "references"
    references.mkdir()
    for name in ("town_label.tif", "hill.tif", "bad.tif"):
        (references / name).touch()
    pairs, without = find_references(tmp_path / "out", references)
    assert {pair.name: pair.reference.name for pair in pairs} == {"north--town": "town_label.tif", "hill": "hill.tif"}
    assert without == ["lost"]
    assert pairs[0].prediction.name.endswith("_classes.tif")
    with pytest.raises(SceneError, match="no such file or folder"):
        find_references(tmp_path / "out", tmp_path / "none")
    with pytest.raises(SceneError, match="no scene of this archive is done"):
        find_references(tmp_path, references)


def test_a_plain_call_without_a_loopback_address_is_refused_before_a_server_is_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Unset:
        value = staticmethod(lambda: None)

    def refused(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(own_server, "PREFECT_API_URL", Unset)
    monkeypatch.setattr(socket, "create_connection", refused)
    with pytest.raises(ResourceError, match=r"needs the loopback address 127.0.0.1 \(Network is unreachable\)"):
        run(lambda: pytest.fail("the flow was begun"))


def test_the_parameters_of_the_archive_flow_are_typed_and_count_more_than_the_file(
    make_archive: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    properties = parameter_schema(segment_archive.fn).model_dump()["definitions"]
    assert {"PredictSpec", "Opening", "ClusterClass"} <= properties.keys()
    assert {"tile_px", "blend", "simplify_m"} <= properties["PredictSpec"]["properties"].keys()
    file = written(make_archive(1), tmp_path / "a.yaml")
    seen: list[ArchiveConfig] = []

    def stop(config: ArchiveConfig, **_: Any) -> None:
        seen.append(config)
        raise UsageError("seen")

    monkeypatch.setattr("geoseg.flows.segment_archive.Archive.open", stop)
    monkeypatch.setattr("geoseg.flows.segment_archive.prepare_flow", lambda: None)
    given = {"predict": PredictSpec(halo_px=4), "opening": Opening(max_mpx=5), "workers": 3, "precision": "bf16"}
    with pytest.raises(UsageError, match="seen"):
        segment_archive.fn(file, **given)
    (config,) = seen
    assert (config.workers, config.precision, config.opening.max_mpx) == (3, "bf16", 5)
    assert (config.predict.halo_px, config.predict.tile_px) == (4, 64), "what is not given is the file's"
