"""Run commands in forks of a process that has imported everything: a run begins in a hundredth of a second.

usage: fork_server.py SHIM   (requests and answers are lines of JSON on the standard streams)

A request is {"argv": [...], "said": FILE} and, where calls are counted, {"folder", "control", "log"}; a request that
says {"warm": true} is run in this process, so that what is compiled or loaded once is there for all that follow. It has
one processor, so that no library keeps threads, which a fork would lack.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import importlib
import json
import os
import pkgutil
import signal
import sys
import traceback
from contextlib import suppress
from typing import Any

import geoseg

LIMIT_S = 60


@functools.cache
def commands() -> Any:
    """Make the commands of ``geoseg`` once: that takes as long as a small run."""
    import typer

    from geoseg.cli.main import app

    return typer.main.get_command(app)


def command(argv: list[str]) -> int:
    """Run a command as ``geoseg`` does."""
    from geoseg.process.command import run_command

    return run_command(lambda: commands().main(args=argv, standalone_mode=False), debug=False)


def redirect(path: str) -> None:
    """Send both standard streams to a file."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)


def child(request: dict[str, Any], shim: ctypes.CDLL) -> None:
    """Run a request and end."""
    code = 99
    try:
        redirect(request["said"])
        if "folder" in request:
            names = (request["control"], request["folder"], request.get("log") or "")
            if (error := shim.fault_arm(*(name.encode() for name in names))) != 0:
                os._exit(77 if error else 0)
        code = command(request["argv"])
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - a child must never come back
        traceback.print_exc()
    finally:
        os._exit(code)


def main() -> None:
    """Answer requests until there are no more."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for module in pkgutil.walk_packages(geoseg.__path__, "geoseg."):
        with suppress(ImportError):  # of libraries that are not installed
            if module.name != "geoseg.__main__":
                importlib.import_module(module.name)
    shim, answers = ctypes.CDLL(sys.argv[1]), os.fdopen(os.dup(1), "w")
    redirect(os.devnull)
    for line in sys.stdin:
        request = json.loads(line)
        if request.get("warm"):
            code = command(request["argv"])
            gc.freeze()
        else:
            code = fork(request, shim)
        print(json.dumps({"code": code}), file=answers, flush=True)


def fork(request: dict[str, Any], shim: ctypes.CDLL) -> int | str:
    """Run a request in a child."""
    process = os.fork()
    if process == 0:
        child(request, shim)

    def late(*_: object) -> None:
        os.kill(process, signal.SIGKILL)

    signal.signal(signal.SIGALRM, late)
    signal.alarm(LIMIT_S)
    _, status = os.waitpid(process, 0)
    left = signal.alarm(0)
    return os.waitstatus_to_exitcode(status) if left or not os.WIFSIGNALED(status) else "hangs"


if __name__ == "__main__":
    main()
