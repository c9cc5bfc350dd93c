"""``geoseg view``: prints the address, serves until a signal ends it, and says what it cannot show."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import pytest
from typer.testing import CliRunner

from geoseg.cli.main import app


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, -signal.SIGHUP)]
)
def test_it_serves_until_a_signal_ends_it(run_output: Path, number: signal.Signals, code: int):
    command = [sys.executable, "-m", "geoseg", "view", str(run_output), "--no-browser"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # the tests may run under nohup, which lets its children ignore the end of the terminal
    heard = partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)
    with subprocess.Popen(command, **streams, text=True, preexec_fn=heard) as process:  # noqa: PLW1509
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.fullmatch(r"scene: (http://127\.0\.0\.1:\d+/)\?token=([\w-]{43})\n", line)
            assert found is not None
            answer = httpx.get(found[1] + "api/view", params={"token": found[2]}, trust_env=False)
            assert answer.json()["title"] == "scene"
            started = time.monotonic()
            process.send_signal(number)
            assert process.wait(60) == code
            assert time.monotonic() - started < 10
        finally:
            process.kill()
    with pytest.raises(httpx.ConnectError):
        httpx.get(found[1], trust_env=False)


def refusal(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["view", *arguments])
    return getattr(result.exception, "exit_code", result.exit_code), str(result.exception)


def test_what_is_no_output_is_refused(tmp_path: Path):
    code, text = refusal(str(tmp_path))
    assert code == 2
    assert "holds no finished output" in text
    code, text = refusal(str(tmp_path / "nothing.tif"))
    assert code == 3
    assert "no such file" in text


def test_a_scene_without_a_map_cannot_be_corrected(write_scene):
    path = write_scene(np.zeros((3, 64, 64), np.uint8))
    code, text = refusal(str(path), "--edit", "--no-browser")
    assert code == 2
    assert "--edit" in text
    assert "geoseg predict" in text


def test_a_port_that_is_taken_is_refused(run_output: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, text = refusal(str(run_output), "--port", str(taken.getsockname()[1]), "--no-browser")
    assert code == 2
    assert "--port" in text


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("package", ["rio_tiler", "fastapi", "uvicorn"])
def test_a_missing_package_is_named_with_its_cure(run_output: Path, package: str):
    script = f"""
import sys
sys.modules[{package!r}] = None
from geoseg.cli.main import main
sys.argv = ["geoseg", "view", {str(run_output)!r}, "--no-browser"]
main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert f"needs the Python package {package}" in done.stderr
    assert "pip install 'geoseg[view]'" in done.stderr


def test_no_other_command_loads_the_server():
    script = (
        "import sys, geoseg.cli.main, geoseg.run.predict\n"
        "print(sorted({'fastapi', 'uvicorn', 'rio_tiler', 'starlette'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
