"""The command as a process: signals at every moment, standard streams of every kind, limits of the machine."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import blobs

from geoseg.errors import GeosegError, WriteError
from geoseg.process.command import run_command
from geoseg.process.faults import resource_fault

COMMAND = [sys.executable, "-m", "geoseg"]
BOTH = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
BEGIN = "import os, sys, time, hashlib; from geoseg.process import signals; signals.watch_signals()\n"


def started(script: str) -> subprocess.Popen[str]:
    """Run a script whose signals are watched; returns when it prints ``ready``."""
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(("number", "code"), BOTH)
def test_an_interruption_that_a_library_swallows_is_raised_again(number: signal.Signals, code: int) -> None:
    process = started(
        "from geoseg.process.command import run_command\n"
        "def command():\n"
        "    print('ready', flush=True)\n"
        "    try: time.sleep(60)\n"
        "    except BaseException: pass\n"
        "    time.sleep(60)\n"
        "sys.exit(run_command(command, debug=False))"
    )
    process.send_signal(number)
    _, error = process.communicate(timeout=20)
    assert process.returncode == code
    assert error.count("\n") == 1


@pytest.mark.parametrize(("number", "code"), BOTH)
def test_an_interruption_that_a_library_makes_an_error_of_its_own_keeps_its_exit_code(
    number: signal.Signals, code: int
) -> None:
    process = started(
        "from geoseg.process.command import run_command\n"
        "from geoseg.errors import WriteError\n"
        "def command():\n"
        "    print('ready', flush=True)\n"
        "    try: time.sleep(60)\n"
        "    except BaseException as error: raise WriteError('a file could not be written') from error\n"
        "sys.exit(run_command(command, debug=False))"
    )
    process.send_signal(number)
    _, error = process.communicate(timeout=20)
    assert process.returncode == code
    assert "run the same command again to resume" in error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_fork_that_is_ended_does_not_end_the_process(number: signal.Signals) -> None:
    """Loaders of data are forks, and are ended by a signal."""
    process = started(
        "signals.GRACE_S = 0.2\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        f"time.sleep(1); os.kill(child, {int(number)})\n"
        "ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
        "time.sleep(1)\n"
        "sys.exit(0 if ended != 0 else 1)"
    )
    _, error = process.communicate(timeout=20)
    assert (process.returncode, "geoseg:" in error) == (0, False), error


@pytest.mark.parametrize(("number", "code"), BOTH)
@pytest.mark.parametrize("signals", [1, 2])
def test_compiled_code_that_does_not_return_delays_no_end(number: signal.Signals, code: int, signals: int) -> None:
    process = started(
        "from geoseg.process.command import run_command\n"
        "signals.GRACE_S = 1.0\n"
        "def command():\n"
        "    print('ready', flush=True)\n"
        "    hashlib.pbkdf2_hmac('sha256', b'a', b'b', 10**9)\n"
        "sys.exit(run_command(command, debug=False))"
    )
    begun = time.monotonic()
    for _ in range(signals):
        process.send_signal(number)
        time.sleep(0.2)
    _, error = process.communicate(timeout=20)
    assert process.returncode == code
    assert "resume" in error
    assert time.monotonic() - begun < 10


def wait_for_handlers(process: subprocess.Popen[str]) -> None:
    """Python itself takes a few hundredths of a second until it runs any of our code."""
    status, bit = Path(f"/proc/{process.pid}/status"), 1 << (signal.SIGTERM - 1)  # of SIGINT Python has one already
    while not int(status.read_text().partition("SigCgt:")[2].split()[0], 16) & bit:
        time.sleep(0.002)


@pytest.mark.parametrize(("number", "code"), BOTH)
@pytest.mark.parametrize("after_s", [0.0, 0.2, 0.8])
def test_a_command_that_is_still_starting_ends_as_one_that_works(
    number: signal.Signals, code: int, after_s: float
) -> None:
    process = subprocess.Popen([*COMMAND, "doctor"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for_handlers(process)
    time.sleep(after_s)
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == code, error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("module", ["importlib", "typing", "signal", "geoseg.process.signals", "threading", "typer"])
def test_an_interruption_while_our_modules_are_imported_shows_no_traceback(module: str, tmp_path: Path) -> None:
    script = tmp_path / "geoseg"  # the name tells that it is the command
    script.write_text(
        "import builtins, os, signal\n"
        "original = builtins.__import__\n"
        "def imported(name, names=None, *rest):\n"
        f"    if name == {module!r} and (names or {{}}).get('__name__', '').startswith('geoseg'):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "    return original(name, names, *rest)\n"
        "builtins.__import__ = imported\n"
        "from geoseg.__main__ import main\n"
        "main()\n"
    )
    ended = subprocess.run([sys.executable, script, "--version"], capture_output=True, text=True)
    assert ended.returncode in {130, -signal.SIGINT}
    assert "Traceback" not in ended.stderr


def test_importing_the_library_leaves_the_signals_alone() -> None:
    script = "from signal import *; import geoseg; print(getsignal(SIGINT) is default_int_handler)"
    for argv in (["-c", script], ["-c", script, "-m", "geoseg"]):
        assert subprocess.run([sys.executable, *argv], capture_output=True, text=True).stdout == "True\n"


def while_python_starts(error: str) -> bool:
    """Tell whether a traceback is Python's own: SIGINT arrived before our first lines had run."""
    return "Traceback" in error and re.search(r"/geoseg/(?!__init__|__main__)", error) is None


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), BOTH)
@pytest.mark.parametrize("name", ["--version", "predict"])
def test_a_signal_at_any_moment_has_its_code_and_no_traceback(
    name: str, number: signal.Signals, code: int, write_scene: Any, tiny_model: Path, tmp_path: Path
) -> None:
    """Every 20 ms of two seconds. The system ends a process that has no handler yet; a shell shows that as the code."""
    options = [write_scene(blobs((900, 900))), "--model", tiny_model, "--runtime", "torch", "--quiet", "--out"]
    command = list(map(str, [*COMMAND, name, *([] if name == "--version" else [*options, tmp_path / "out"])]))
    seen: dict[int, list[int | None]] = {}
    for after_ms in range(0, 2000, 20):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(after_ms / 1000)
        process.send_signal(number)
        _, error = process.communicate(timeout=60)
        if number == signal.SIGINT and while_python_starts(error):
            continue
        assert "Traceback" not in error, (after_ms, error)
        assert process.returncode in {code, -number, 0}, (after_ms, error)
        seen.setdefault(process.returncode, []).append(after_ms)
    assert len(seen[code]) >= 5, seen
    assert max(seen.get(-number, [0])) < max(seen[code]), seen
    if name == "--version" and process.returncode == 0:
        assert 0 in seen


@pytest.mark.slow
@pytest.mark.parametrize("signals", [1, 2])
def test_an_interrupted_run_of_several_processes_ends_quickly_and_says_one_line(
    signals: int, write_scene: Any, tiny_model: Path, tmp_path: Path
) -> None:
    scene = write_scene(blobs((2500, 2500)))
    options = ["--out", tmp_path / "out", "--runtime", "torch", "--block-px", "256", "--workers", "2", "--quiet"]
    command = list(map(str, [*COMMAND, "predict", scene, "--model", tiny_model, *options]))
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    store = tmp_path / "out" / ".scene.blocks"
    deadline = time.monotonic() + 90
    while not list(store.glob("*.block")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    begun = time.monotonic()
    for _ in range(signals):
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        time.sleep(0.3)
    _, error = process.communicate(timeout=30)
    assert time.monotonic() - begun - 0.3 * signals < 3  # 0.3 s on an idle machine
    assert process.returncode == 130, error
    assert len(error.splitlines()) <= 1
    assert "Warning" not in error


@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["--version"], ["models", "list"], ["predict", "--help"]])
def test_a_full_standard_output_is_a_resource_that_is_missing(arguments: list[str], buffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*COMMAND, *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": buffered},
        )
    assert ended.returncode == 5
    assert ended.stderr.startswith("geoseg: error: standard output")
    assert len(ended.stderr.splitlines()) == 1


def in_shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in which ``geoseg`` is the command."""
    command = " ".join(COMMAND)
    return subprocess.run(["bash", "-c", line.replace("geoseg", command)], capture_output=True, text=True)


def test_standard_streams_that_nobody_reads_change_no_exit_code() -> None:
    ended = in_shell("geoseg models list | true; echo ${PIPESTATUS[0]}")
    assert (ended.stdout, ended.stderr) == ("0\n", "")
    for closed in (">&-", "2>&-", ">&- 2>&- <&-", "2>/dev/full"):
        ended = in_shell(f"exec geoseg evaluate {closed}")  # refused: it says neither what nor against what
        assert (ended.returncode, ended.stdout) == (2, ""), closed


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("can't start new thread"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
        OSError(12, "Cannot allocate memory"),
    ],
)
def test_too_little_memory_is_a_resource_that_is_missing(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise ValueError("what a library made of it") from error

    assert run_command(command, debug=False) == 5
    assert "memory" in capsys.readouterr().err


def test_an_error_of_the_operating_system_names_the_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def command() -> None:
        (tmp_path / "missing").read_bytes()

    assert run_command(command, debug=False) == 5
    assert str(tmp_path / "missing") in capsys.readouterr().err


def test_a_bug_is_no_resource() -> None:
    assert resource_fault(ZeroDivisionError("memory")) is None
    assert resource_fault(KeyError("tile")) is None


@pytest.mark.parametrize("kind", [GeosegError, WriteError])
def test_an_error_of_ours_keeps_its_own_words(kind: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise kind("disk: out of memory")

    run_command(command, debug=False)
    assert capsys.readouterr().err == "geoseg: error: disk: out of memory\n"


@pytest.mark.slow
@pytest.mark.parametrize("limit_mb", [600, 900, 1300, 1800, 2600])
def test_a_limit_of_the_address_space_is_said_in_a_sentence(
    limit_mb: int, write_scene: Any, tiny_model: Path, tmp_path: Path
) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit_mb * 10**6, limit_mb * 10**6))

    options = ["--model", tiny_model, "--out", tmp_path / "out", "--quiet"]
    command = list(map(str, [*COMMAND, "predict", write_scene(blobs((100, 100))), *options]))
    ended = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, timeout=120)
    assert ended.returncode in {0, 5}, ended.stderr
    assert ended.returncode == 0 or "memory" in ended.stderr
    assert "Traceback" not in ended.stderr


ENDS = "import sys; sys.argv = ['geoseg', '--version']; from geoseg.__main__ import main\n"


def ended(script: str) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run a script that begins with the command's entry point, and the seconds it took."""
    begun = time.monotonic()
    process = subprocess.run([sys.executable, "-c", ENDS + script], capture_output=True, text=True, timeout=60)
    return process, time.monotonic() - begun


def test_a_command_that_is_done_does_not_wait_for_python_to_free_its_modules() -> None:
    script = "import time\nclass Slow:\n    def __del__(self): time.sleep(20)\n"
    process, seconds = ended(script + "sys.slow = Slow()\nmain()")
    assert (process.returncode, process.stdout.startswith("geoseg ")) == (0, True)
    assert seconds < 15


def test_a_command_that_is_done_waits_for_its_threads_and_runs_its_exit_functions() -> None:
    process, _ = ended(
        "import atexit, threading\n"
        "def late(): threading.main_thread().join(); print('thread'); atexit.register(print, 'function')\n"
        "threading.Thread(target=late).start()\n"
        "main()"
    )
    assert process.stdout.splitlines()[1:] == ["thread", "function"]


@pytest.mark.parametrize(("number", "code"), BOTH)
@pytest.mark.parametrize("spacing_s", [0.05, 0.6])
def test_the_second_signal_ends_at_once_what_the_first_one_lets_clean_up(
    number: signal.Signals, code: int, spacing_s: float
) -> None:
    process = started(
        "import atexit, subprocess\n"
        "from geoseg.process.command import run_command\n"
        "def hold():\n"
        "    while True:\n"
        "        try: time.sleep(60)\n"
        "        except BaseException: pass\n"
        "atexit.register(hold)\n"
        "def command():\n"
        "    child = subprocess.Popen(['sleep', '61'], stdout=-3, stderr=-3)\n"
        "    print('ready', flush=True)\n"
        "    print(child.pid, flush=True)\n"
        "    time.sleep(60)\n"
        "signals.leave(run_command(command, debug=False))"
    )
    assert process.stdout is not None
    child = Path("/proc") / process.stdout.readline().strip()
    process.send_signal(number)
    time.sleep(spacing_s)
    begun = time.monotonic()
    process.send_signal(number)
    _, error = process.communicate(timeout=20)
    assert time.monotonic() - begun < 2
    assert (process.returncode, len(error.splitlines())) == (code, 1)
    while child.exists() and "\nState:\tZ" not in (child / "status").read_text() and time.monotonic() - begun < 5:
        time.sleep(0.01)
    assert not child.exists() or "\nState:\tZ" in (child / "status").read_text()
