"""An archive's flow against a real server: what it shows, and what it survives."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from archive_bytes import alone, layers
from prefect_server import PATIENCE_S, Api, client_env, end, server, wait_for, written

from geoseg.archive.archive import Archive
from geoseg.archive.publish import MARKDOWN
from geoseg.archive.run import run_archive

FLOW = "flows/segment_archive.py"


def corrupt(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_one_corrupt_scene_among_several_is_named_and_the_rest_is_done(
    api: Api, make_archive: Any, tmp_path: Path
) -> None:
    config = make_archive(5, title="Five areas")
    corrupt(tmp_path / "scenes" / "area2.tif")
    ended = api.run(FLOW, str(written(config, tmp_path / "a.yaml")))
    assert ended.returncode == 7, ended.stderr
    assert re.search(r"area2\.tif: .* cannot be decoded .* download or copy it again", ended.stderr)
    assert "4 scenes done, 0 done before, 1 failed" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (config.out / "catalog.json").is_file()

    run = api.runs()[-1]
    assert (run["state_type"], "area2.tif" in run["state"]["message"]) == ("FAILED", True)
    tasks = wait_for(lambda: _tasks(api, run, 7))
    states = {row["name"].split("-")[0]: row["state_type"] for row in tasks}
    assert states.pop("area2") == "FAILED"
    assert states == dict.fromkeys(["count_scenes", "area0", "area1", "area3", "area4", "publish_archive"], "COMPLETED")
    shown = {row["key"]: row for row in api.ask("artifacts/filter", artifacts={"flow_run_id": {"any_": [run["id"]]}})}
    assert shown.keys() == {f"five-areas-{key}" for key in ("progress", "scenes", "report", "catalogue")}
    assert shown["five-areas-progress"]["data"] == 100.0
    assert "area2" in shown["five-areas-scenes"]["data"].splitlines()[0] + str(shown["five-areas-scenes"]["data"])
    assert "roof" in shown["five-areas-report"]["data"]
    assert (config.out / "catalog.json").as_uri() in shown["five-areas-catalogue"]["data"]
    found = wait_for(lambda: _events(api, "geoseg.scene.", 5))
    assert sorted(event["resource"]["prefect.resource.id"] for event in found if event["event"].endswith("failed")) == [
        "geoseg.scene.five-areas.area2"
    ]
    made = wait_for(lambda: _events(api, "prefect.asset.materialization.succeeded", 12))
    classes = next(e for e in made if e["resource"]["prefect.resource.id"].endswith("/area0/area0_classes.tif"))
    assert {f"file://{tmp_path}/scenes/area0.tif", f"file://{config.model}"} <= {
        row["prefect.resource.id"] for row in classes["related"]
    }

    before = layers(config.out)
    again = api.run(FLOW, str(tmp_path / "a.yaml"))
    assert again.returncode == 0, "the scene was reported once"
    assert "0 scenes done, 4 done before, 1 known bad" in again.stderr
    assert layers(config.out) == before
    rerun = api.runs()[-1]
    assert rerun["id"] != run["id"]
    assert (rerun["state_type"], "1 known bad" in rerun["state"]["message"]) == ("COMPLETED", True)
    names = [row["name"] for row in wait_for(lambda: _tasks(api, rerun, 1))]
    assert [name.split("-")[0] for name in names] == ["count_scenes"], "what is done is counted, not a task"
    new = api.ask("artifacts/filter", artifacts={"flow_run_id": {"any_": [rerun["id"]]}})
    assert [row["key"] for row in new if row["key"]] == [], "nothing changed"

    tried = api.run(FLOW, str(tmp_path / "a.yaml"), "--retry-failed")
    assert tried.returncode == 7, "it was tried again and failed again"
    assert "0 scenes done, 4 done before, 1 failed" in tried.stderr


@pytest.mark.slow
def test_a_flow_killed_in_the_middle_goes_on_to_the_same_bytes(api: Api, make_archive: Any, tmp_path: Path) -> None:
    config = make_archive(5)
    path, log = written(config, tmp_path / "a.yaml"), tmp_path / "log"
    process = api.start(FLOW, str(path), log=log)
    wait_for(lambda: b"2 of 5" in log.read_bytes(), process)
    end(process)
    with Archive.open(config) as archive:
        left = [ref.name for ref in archive.left()]
    assert 1 <= len(left) <= 3
    stamps = {path: path.stat().st_mtime_ns for path in config.out.glob("*/run.json")}
    again = api.run(FLOW, str(path))
    assert again.returncode == 0, again.stderr
    assert f"{len(left)} scenes done, {5 - len(left)} done before" in again.stderr
    killed, last = api.runs()[-2:]
    assert (killed["state_type"], last["state_type"]) == ("CRASHED", "COMPLETED")
    wait_for(lambda: _tasks(api, last, 1 + len(left)))
    states = [row["state_type"] for row in api.ask("task_runs/filter", flow_runs={"id": {"any_": [killed["id"]]}})]
    assert "CRASHED" in states
    assert set(states) <= {"COMPLETED", "CRASHED"}, "nothing is Running for ever"
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert layers(config.out) == alone(config, tmp_path / "alone")


@pytest.mark.slow
def test_two_flows_on_one_archive_the_second_is_refused(api: Api, make_archive: Any, tmp_path: Path) -> None:
    config = make_archive(1)
    path = written(config, tmp_path / "a.yaml")
    with Archive.open(config):
        refused = api.run(FLOW, str(path))
    assert refused.returncode == 6, refused.stderr
    assert f"locked by pid {os.getpid()}" in refused.stderr
    assert api.runs()[-1]["state_type"] == "FAILED"
    assert not list(config.out.glob("area*"))


@pytest.mark.slow
def test_an_api_killed_in_the_middle_stops_nothing(make_archive: Any, tmp_path: Path) -> None:
    config = make_archive(6)
    path, log = written(config, tmp_path / "a.yaml"), tmp_path / "log"
    with server(tmp_path / "prefect") as doomed:
        doomed.env["PREFECT_CLIENT_MAX_RETRIES"] = "2"
        process = doomed.start(FLOW, str(path), log=log)
        wait_for(lambda: b"2 of 6" in log.read_bytes(), process)
        end(doomed.process)
        try:
            assert process.wait(PATIENCE_S) == 8, log.read_text()
        finally:
            end(process)
    assert "computed, not reported" in log.read_text()
    assert "6 scenes done" in log.read_text()
    assert "Traceback" not in log.read_text()
    assert (config.out / "catalog.json").is_file()
    assert layers(config.out) == alone(config, tmp_path / "alone")


@pytest.mark.slow
def test_what_changed_without_the_api_is_shown_by_the_next_run(api: Api, make_archive: Any, tmp_path: Path) -> None:
    config = make_archive(1, title="Shown late")
    path = str(written(config, tmp_path / "a.yaml"))
    assert api.run(FLOW, path).returncode == 0
    run_archive(make_archive(2, title="Shown late"))  # as a run does that lost the API
    ended = api.run(FLOW, path)
    assert ended.returncode == 0, ended.stderr
    assert "0 scenes done, 2 done before" in ended.stderr
    new = api.ask("artifacts/filter", artifacts={"flow_run_id": {"any_": [api.runs()[-1]["id"]]}})
    shown = {row["key"]: row["data"] for row in new}
    assert shown["shown-late-report"] == (config.out / MARKDOWN).read_text()
    assert api.run(FLOW, path).returncode == 0
    last = api.ask("artifacts/filter", artifacts={"flow_run_id": {"any_": [api.runs()[-1]["id"]]}})
    assert [row["key"] for row in last if row["key"]] == [], "nothing changed"


@pytest.mark.slow
def test_a_scheduled_run_says_in_a_line_that_the_api_is_lost(make_archive: Any, tmp_path: Path) -> None:
    config = make_archive(6)
    path, log = written(config, tmp_path / "a.yaml"), tmp_path / "log"
    as_a_worker_does = f"from flows.segment_archive import segment_archive; segment_archive({str(path)!r})"
    with server(tmp_path / "prefect") as doomed:
        doomed.env["PREFECT_CLIENT_MAX_RETRIES"] = "1"
        process = doomed.start("-c", as_a_worker_does, log=log)
        wait_for(lambda: b"2 of 6" in log.read_bytes(), process)
        end(doomed.process)
        try:
            process.wait(PATIENCE_S)
        finally:
            end(process)
    said = log.read_text()
    assert "6 of 6" in said, said
    assert "Event(" not in said, said
    assert said.count("takes no events") == 1, said
    assert layers(config.out) == alone(config, tmp_path / "alone")


@pytest.mark.slow
def test_an_api_that_never_answers_is_refused_in_a_line(make_archive: Any, tmp_path: Path) -> None:
    path = written(make_archive(1), tmp_path / "a.yaml")
    env = client_env(tmp_path, "http://127.0.0.1:9/api") | {"PREFECT_CLIENT_MAX_RETRIES": "0"}
    ended = subprocess.run([sys.executable, FLOW, str(path)], env=env, capture_output=True, text=True, cwd=FLOWS)
    assert ended.returncode == 5
    assert "Start it or unset PREFECT_API_URL" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_a_plain_call_needs_no_server_and_leaves_none(make_archive: Any, tmp_path: Path) -> None:
    config = make_archive(2)
    home = tmp_path / "home"
    env = client_env(home, None)
    del env["DO_NOT_TRACK"], env["PREFECT_SERVER_ANALYTICS_ENABLED"]
    command = [sys.executable, FLOW, "--source", str(config.source.path), "--model", config.model, "--out"]
    more = [str(config.out), "--set", "workers=1", "--set", "device=cpu", "--set", "runtime=torch"]
    ended = subprocess.run([*command, *more], env=env, capture_output=True, text=True, cwd=FLOWS)
    assert ended.returncode == 0, ended.stderr
    foreign = [line for line in ended.stderr.splitlines() if not line.startswith(("geoseg: ", "Warning 1:"))]
    assert not foreign, "nothing but geoseg's own words"
    assert not ended.stdout
    assert not _processes_of(home), "no server stays behind"


@pytest.mark.slow
def test_a_plain_call_that_is_killed_leaves_no_server(make_archive: Any, tmp_path: Path) -> None:
    config, home = make_archive(3, on_lock="wait"), tmp_path / "home"
    command = [sys.executable, FLOW, str(written(config, tmp_path / "a.yaml"))]
    with Archive.open(config), subprocess.Popen(command, env=client_env(home, None), cwd=FLOWS) as process:
        wait_for(lambda: any("uvicorn" in line for line in _processes_of(home)), process)
        process.kill()
    wait_for(lambda: not _processes_of(home))


FLOWS = Path(__file__).parents[2]


def _processes_of(home: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if str(home).encode() in path.read_bytes():
                found.append((path.parent / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def _tasks(api: Api, run: dict[str, Any], number: int) -> Any:
    found = api.ask("task_runs/filter", flow_runs={"id": {"any_": [run["id"]]}})
    ended = [row for row in found if row["state_type"] in {"COMPLETED", "FAILED"}]
    return ended if len(ended) >= number else None


def _events(api: Api, prefix: str, number: int) -> Any:
    found = api.ask("events/filter", filter={"event": {"prefix": [prefix]}}, limit=50)["events"]
    return found if len(found) >= number else None
