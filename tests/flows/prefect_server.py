"""A real Prefect server for the tests: its own home, a free loopback port, killed at the end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
PATIENCE_S = 240.0
"""Servers, workers and imports are slow where many tests share a processor."""


@dataclass
class Api:
    """A server that runs, and the environment of its clients."""

    url: str
    env: dict[str, str]
    process: subprocess.Popen[bytes]

    def ask(self, path: str, **body: Any) -> Any:
        """POST a query."""
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.url}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
            return json.load(answer)

    def runs(self, deployment: str | None = None) -> list[dict[str, Any]]:
        """Flow runs, oldest first."""
        known = self.ask("deployments/filter", deployments={"name": {"any_": [deployment]}}) if deployment else []
        runs = self.ask("flow_runs/filter", sort="START_TIME_ASC")
        ids = {row["id"] for row in known}
        return [row for row in runs if deployment is None or row["deployment_id"] in ids]

    def run(self, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command to its end against this server."""
        options = {"env": self.env, "cwd": ROOT, "timeout": PATIENCE_S} | options
        return subprocess.run([sys.executable, *command], capture_output=True, text=True, **options)

    def start(self, *command: str, log: Path) -> subprocess.Popen[bytes]:
        """Start a command against this server, in a process group of its own."""
        with log.open("wb") as target:
            return subprocess.Popen(
                [sys.executable, *command], env=self.env, cwd=ROOT, stdout=target, stderr=target, start_new_session=True
            )


def client_env(home: Path, url: str | None) -> dict[str, str]:
    """Environment of a Prefect process that knows of no other."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    more = {"PREFECT_HOME": str(home), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    private = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    return env | more | private | ({} if url is None else {"PREFECT_API_URL": url})


@contextmanager
def server(home: Path) -> Iterator[Api]:
    """Start a server; killed at the end if it still lives."""
    home.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    env = client_env(home, url)
    command = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    quick = {"PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2"}
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command], env=env | quick, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_for(lambda: healthy(url), process)
        yield Api(url, env, process)
    finally:
        end(process)


def healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:  # noqa: S310 - loopback
            return bool(json.load(answer))
    except (OSError, urllib.error.URLError):
        return False


def wait_for(condition: Any, process: subprocess.Popen[bytes] | None = None, patience_s: float = PATIENCE_S) -> Any:
    """Wait until a condition holds; returns what it gave."""
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        assert process is None or process.poll() is None, f"{process.args} ended with {process.returncode}"  # type: ignore[union-attr]
        time.sleep(0.25)
    raise AssertionError(f"nothing came of it within {patience_s:.0f} s")


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and those it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def written(config: Any, path: Path) -> Path:
    """Write an archive's configuration as YAML."""
    path.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True)))
    return path
