"""Faults injected below Python: the shim, built when it is needed, and a server that runs commands under it."""

from __future__ import annotations

import json
import mmap
import os
import platform
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

HERE: Final = Path(__file__).parent
COUNT, FAIL_ONCE, FULL_FROM_HERE, SHORT_WRITE, KILL, TERMINATE = range(6)
_CONTROL: Final = struct.Struct("=5q512s")


def why_not() -> str | None:
    """Say why the shim cannot be used here, or None."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return f"the shim knows system calls of Linux on x86-64, this is {platform.system()} on {platform.machine()}"
    return None if shutil.which("gcc") else "gcc is not installed"


def build(folder: Path) -> Path:
    """Compile the shim."""
    shim = folder / "fault_shim.so"
    command = ["gcc", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", shim, HERE / "fault_shim.c"]
    subprocess.run(command, check=True)
    return shim


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What happens at the Nth call that changes something below a folder.

    Attributes:
        nth: number of the call, from 0.
        mode: one of the modes above.
        error: errno, where the call fails.
    """

    nth: int = -1
    mode: int = COUNT
    error: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run that has ended.

    Attributes:
        code: exit code; negative: killed by a signal; ``hangs``: stopped after a minute.
        said: its standard output and errors.
        calls: number of counted calls.
        failed: the call that the fault was for, or empty.
        injected: number of faults.
    """

    code: int | str
    said: str
    calls: int = 0
    failed: str = ""
    injected: int = 0


class FaultServer:
    """Runs commands in forks of one warm process.

    Args:
        scratch: folder for the shim and what the server needs.
        shim: the built shim.
    """

    def __init__(self, scratch: Path, shim: Path) -> None:
        self._control, self._said = scratch / "control", scratch / "said"
        self._control.write_bytes(bytes(_CONTROL.size))
        with self._control.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _CONTROL.size)
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "fork_server.py"), str(shim)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "LD_PRELOAD": str(shim)},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=60)

    def warm(self, argv: list[str]) -> None:
        """Run a command in the server itself."""
        assert self._ask({"argv": argv, "warm": True}) == 0

    def run(self, argv: list[str]) -> Ended:
        """Run a command undisturbed."""
        code = self._ask({"argv": argv, "said": str(self._said)})
        return Ended(code=code, said=self._said.read_text(errors="replace"))

    def disturbed(self, argv: list[str], folder: Path, fault: Fault, log: Path | None = None) -> Ended:
        """Run a command whose calls below a folder are counted, one of which meets a fault; or record them all."""
        self._shared[:] = _CONTROL.pack(0, fault.nth, fault.mode, fault.error, 0, b"")
        request = {"argv": argv, "said": str(self._said), "control": str(self._control), "folder": str(folder)}
        code = self._ask(request | ({} if log is None else {"log": str(log)}))
        assert code != 77, "this system refuses the filter of system calls"
        calls, _, _, _, injected, failed = _CONTROL.unpack(self._shared[:])
        return Ended(
            code=code,
            said=self._said.read_text(errors="replace"),
            calls=calls,
            failed=failed.rstrip(b"\0").decode(errors="replace"),
            injected=injected,
        )

    def _ask(self, request: dict[str, Any]) -> int | str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        answer: int | str = json.loads(self._process.stdout.readline())["code"]
        return answer
