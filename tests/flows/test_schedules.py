"""Deployments fire by themselves, one run of an archive at a time; a crashed run is submitted again."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from archive_bytes import alone, layers
from prefect_server import PATIENCE_S, ROOT, Api, end, wait_for, written

from geoseg.archive.archive import Archive

pytestmark = pytest.mark.slow


def test_what_is_deployed_is_what_the_file_says(api: Api) -> None:
    assert api.run("-m", "prefect", "work-pool", "create", "geoseg", "--type", "process").returncode == 0
    done = api.run("-m", "prefect", "--no-prompt", "deploy", "--all")
    assert done.returncode == 0, done.stdout + done.stderr
    wanted = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    found = {row["entrypoint"] + row["name"]: row for row in api.ask("deployments/filter")}
    for entry in wanted:
        row = found[entry["entrypoint"] + entry["name"]]
        schedules = [item["schedule"] for item in row["schedules"]]
        for schedule in entry.get("schedules", []):
            assert any(
                item.get("cron") == schedule.get("cron") and item.get("interval") == schedule.get("interval")
                for item in schedules
            )
        if "concurrency_limit" in entry:
            assert row["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
            assert row["global_concurrency_limit"]["limit"] == 1
        end_of_name = row["name"]
        assert api.run("-m", "prefect", "deployment", "inspect", f"{_flow(entry)}/{end_of_name}").returncode == 0


def test_a_served_interval_fires_and_a_second_run_at_once_is_cancelled(
    api: Api, make_archive: Any, tmp_path: Path
) -> None:
    config = make_archive(2, on_lock="wait")
    path = written(config, tmp_path / "a.yaml")
    with Archive.open(config):  # so that the first run waits, and the next one is due meanwhile
        process = api.start("flows/serve.py", str(path), "--name", "often", "--every-s", "5", log=tmp_path / "log")
        try:
            wait_for(lambda: _states(api, "often").count("RUNNING") == 1, process)
            wait_for(lambda: "CANCELLED" in _states(api, "often"), process)
        except AssertionError:
            end(process)
            raise AssertionError((tmp_path / "log").read_text()) from None
    try:
        wait_for(lambda: "COMPLETED" in _states(api, "often"), process)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130, (tmp_path / "log").read_text()
    finally:
        end(process)
    assert "the schedule of segment-archive/often is paused" in (tmp_path / "log").read_text()
    (served,) = api.ask("deployments/filter", deployments={"name": {"any_": ["often"]}})
    assert served["paused"]
    assert layers(config.out) == alone(config, tmp_path / "alone")
    assert (config.out / "catalog.json").is_file()


def test_a_crashed_run_is_submitted_again_and_goes_on(api: Api, make_archive: Any, tmp_path: Path) -> None:
    config = make_archive(3, on_lock="wait")
    path = written(config, tmp_path / "a.yaml")
    default = written(make_archive(3, out=tmp_path / "default"), tmp_path / "default.yaml")
    deployments = {
        "name": "tests",
        "deployments": [
            {
                "name": "crashing",
                "entrypoint": "flows/segment_archive.py:segment_archive",
                "parameters": {"config": str(default), "retry_failed": True},
                "concurrency_limit": {"limit": 1, "collision_strategy": "CANCEL_NEW"},
                "work_pool": {"name": "crashing"},
            }
        ],
    }
    (tmp_path / "prefect.yaml").write_text(yaml.safe_dump(deployments))
    assert api.run("-m", "prefect", "work-pool", "create", "crashing", "--type", "process").returncode == 0
    made = api.run("-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(tmp_path / "prefect.yaml"))
    assert made.returncode == 0, made.stdout + made.stderr
    made = api.run("flows/resubmit.py", "segment-archive/crashing", "--after-s", "2")
    assert made.returncode == 0, made.stderr
    assert api.run("flows/resubmit.py", "segment-archive/crashing", "--after-s", "2").returncode == 0
    assert len(api.ask("automations/filter")) == 1, "made twice, it is there once"

    worker = api.start("-m", "prefect", "worker", "start", "--pool", "crashing", log=tmp_path / "worker.log")
    try:
        with Archive.open(config):
            options = {"title": 'Town {{ 1 }} <"Köln">', "predict": {"confidence": True}}
            given = [f"config={json.dumps(str(path))}", f"options={json.dumps(options)}"]
            params = [word for value in given for word in ("--param", value)]
            begun = api.run("-m", "prefect", "deployment", "run", "segment-archive/crashing", *params)
            assert begun.returncode == 0, begun.stderr
            wait_for(lambda: _states(api, "crashing") == ["RUNNING"], worker)
            time.sleep(2)
            os.kill(wait_for(lambda: _engine_of(worker.pid)), signal.SIGKILL)
            wait_for(lambda: "CRASHED" in _states(api, "crashing"), worker)
        wait_for(lambda: "COMPLETED" in _states(api, "crashing"), worker)
    finally:
        end(worker)
    assert layers(config.out) == alone(config, tmp_path / "alone")
    assert not (tmp_path / "default").exists(), "the crashed run's archive is finished, not the deployment's default"
    crashed, again = (row["parameters"] for row in api.runs("crashing"))
    assert {name: again[name] for name in crashed} == crashed
    assert json.loads((config.out / "catalog.json").read_text())["title"] == options["title"]


def test_a_run_with_failed_scenes_sends_one_message_to_a_webhook(api: Api, make_archive: Any, tmp_path: Path) -> None:
    config = make_archive(3)
    for name in ("area0", "area2"):
        path = tmp_path / "scenes" / f"{name}.tif"
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    received: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{receiver.server_port}/x"
    block = f"from prefect.blocks.webhook import Webhook; Webhook(url={address!r}).save('ops')"
    try:
        assert api.run("-c", block).returncode == 0
        unknown = api.run("flows/notify.py", "webhook/nobody")
        assert (unknown.returncode, "no such block" in unknown.stderr) == (2, True)
        for _ in range(2):
            made = api.run("flows/notify.py", "webhook/ops")
            assert made.returncode == 0, made.stderr
        (known,) = api.ask("automations/filter")
        assert "127.0.0.1" not in json.dumps(known), "the address stays in the block"
        time.sleep(3)  # the server takes new automations up in the background
        assert api.run("flows/segment_archive.py", str(written(config, tmp_path / "a.yaml"))).returncode == 7
        wait_for(lambda: received)
        assert api.run("flows/segment_archive.py", str(tmp_path / "a.yaml")).returncode == 0, "both are known bad"
        time.sleep(5)
    finally:
        receiver.shutdown()
        receiver.server_close()
        request = urllib.request.Request(f"{api.url}/automations/{known['id']}", method="DELETE")  # noqa: S310
        urllib.request.urlopen(request, timeout=60).close()  # noqa: S310 - loopback
    (message,) = received
    assert (message["flow"], message["state"]) == ("segment-archive", "Failed")
    assert "area0" in message["text"] or "area2" in message["text"]
    assert "2 failed" in message["text"]


def _flow(entry: dict[str, Any]) -> str:
    return str(entry["entrypoint"].split(":")[1]).replace("_", "-")


def _states(api: Api, deployment: str) -> list[str]:
    return [row["state_type"] for row in api.runs(deployment) if row["state_type"] != "SCHEDULED"]


def _engine_of(pid: int) -> int | None:
    """The process of a flow run among the descendants of a worker."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue
        parents[int(path.parent.name)] = int(text.rpartition(")")[2].split()[1])
    children = [child for child, parent in parents.items() if parent == pid]
    return max(children) if children else None
