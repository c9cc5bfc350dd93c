"""A machine without a loopback address: code 5 and a sentence from whatever needs one, at once."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from geoseg.process.command import run_command
from geoseg.run.cluster import local_cluster
from geoseg.run.loopback import check_loopback


def _cluster() -> None:
    with local_cluster(2):
        raise AssertionError


@pytest.mark.parametrize("call", ["create_server", "create_connection"])
@pytest.mark.parametrize("number", [errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.EACCES])
def test_workers_without_a_loopback_address_are_a_resource_that_is_missing(
    call: str, number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket, call, refused)
    assert run_command(_cluster, debug=False) == 5
    said = capsys.readouterr().err
    assert said.startswith("geoseg: error: --workers 2: needs the loopback address 127.0.0.1 (")
    assert said.endswith("Leave out --workers.\n")


def test_a_machine_with_one_is_fine() -> None:
    check_loopback("this test", "")


def without_network() -> list[str]:
    """Start of a command that has no network, not even the loopback address."""
    alone = [shutil.which("unshare") or "unshare", "-rn"]
    try:
        subprocess.run([*alone, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no network namespaces here")
    return alone


def test_a_prediction_needs_no_network(write_scene: Any, tiny_model: Path, tmp_path: Path) -> None:
    options = ["--model", str(tiny_model), "--out", str(tmp_path / "out"), "--quiet"]
    command = [*without_network(), sys.executable, "-m", "geoseg", "predict", str(write_scene()), *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("flow", [False, True])
def test_a_container_without_a_network_ends_commands_and_flows_with_five(
    flow: bool, write_scene: Any, tiny_model: Path, tmp_path: Path
) -> None:
    alone = without_network()
    file = Path(__file__).parents[2] / "flows" / "segment_scene.py"
    command = [sys.executable, str(file)] if flow else [sys.executable, "-m", "geoseg", "predict", "--workers", "2"]
    options = [str(write_scene()), "--model", str(tiny_model), "--out", str(tmp_path / "out")]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    ended = subprocess.run(
        [*alone, *command, *options], capture_output=True, text=True, timeout=120, env=environment, cwd=tmp_path
    )
    assert ended.returncode == 5, ended.stderr
    assert "needs the loopback address 127.0.0.1" in ended.stderr
    assert "Traceback" not in ended.stderr
