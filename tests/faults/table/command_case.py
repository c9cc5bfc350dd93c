"""One row of the table: the inputs of a real command, how it must end, and the law that its output holds."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ADDRESS_SPACE: Final = 12 * 10**9
"""Bytes; torch alone reserves several of them."""
OPEN_FILES: Final = 256
HANGS_S: Final = 300
"""On the clock: a busy machine makes a command of seconds wait."""
LAUNCHER: Final = """
import json, resource, subprocess, sys
code = subprocess.run(sys.argv[2:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as file:
    json.dump([code, used.ru_maxrss, used.ru_utime + used.ru_stime], file)
"""
"""Program that runs a command: the peak memory of a child begins with that of the process that forks it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a case happens.

    Attributes:
        folder: empty at first; the command runs in it.
        model: a small model of red, green and blue at 0.4 to 0.6 m.
        server: address of a server on this machine that no command may ask for anything.
    """

    folder: Path
    model: Path
    server: str

    @property
    def out(self) -> Path:
        """Folder of the output."""
        return self.folder / "out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A command that has ended.

    Attributes:
        place: where it ran.
        code: exit code, or minus the signal.
        printed: standard output.
        said: standard error.
        memory: most bytes that it held at once.
        seconds: of the processor.
    """

    place: Place
    code: int
    printed: str
    said: str
    memory: int
    seconds: float

    def output(self, name: str = "input") -> Path:
        """Folder of the layers of a scene."""
        return self.place.out / name

    def record(self, name: str = "input") -> dict[str, Any]:
        """The record of the run of a scene."""
        found: dict[str, Any] = json.loads((self.output(name) / "run.json").read_text())
        return found

    def report(self) -> Any:
        """The JSON on standard output."""
        return json.loads(self.printed)


Make = Callable[[Place], object]
Law = Callable[[Ended], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A row.

    Attributes:
        name: input or option, in a few words.
        make: writes the inputs below ``place.folder``.
        code: exit code.
        words: what standard error says, all of them.
        command: its arguments; ``{folder}``, ``{model}``, ``{out}`` and ``{server}`` are filled in.
        promise: for the page; default: refused, with the words.
        holds: checks the output further.
        env: environment variables; None takes one away.
        limits: limits of resources beside those that every case has.
        memory: most bytes that the command may hold.
        seconds: most seconds of the processor.
        quick: run in every pass of the tests, not in the slow one only.
    """

    name: str
    make: Make
    code: int
    words: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    promise: str = ""
    holds: Law | None = None
    env: Mapping[str, str | None] = field(default_factory=dict)
    limits: Mapping[int, int] = field(default_factory=dict)
    memory: int = 2 * 10**9
    seconds: int = 120
    quick: bool = False

    def kept(self) -> str:
        """Say what the case promises."""
        if self.promise:
            return self.promise
        said = " and ".join(f"`{word}`" for word in self.words)
        return f"refused, exit code {self.code}" + (f", naming {said}" if said else "")


def refused(name: str, make: Make, code: int, *words: str, command: tuple[str, ...], **more: Any) -> Case:
    """A row whose input is refused with these words."""
    return Case(name=name, make=make, code=code, words=words, command=command, **more)


def done(name: str, make: Make, promise: str, holds: Law, *, command: tuple[str, ...], **more: Any) -> Case:
    """A row whose command succeeds, with the law of its output."""
    return Case(name=name, make=make, code=0, promise=promise, holds=holds, command=command, **more)


def run(case: Case, place: Place) -> Ended:
    """Run the command of a case under its limits."""
    words = {"folder": place.folder, "model": place.model, "out": place.out, "server": place.server}
    command = [sys.executable, "-m", "geoseg", *(word.format(**words) for word in case.command)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", **case.env}
    limits = {resource.RLIMIT_AS: ADDRESS_SPACE, resource.RLIMIT_CPU: case.seconds, resource.RLIMIT_NOFILE: OPEN_FILES}

    def limit() -> None:
        for what, most in {**limits, resource.RLIMIT_CORE: 0, **case.limits}.items():
            resource.setrlimit(what, (most, most))

    printed, said, used = (place.folder.parent / name for name in ("printed", "said", "used"))
    with printed.open("wb") as one, said.open("wb") as two:
        process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, used, *command],
            stdin=subprocess.DEVNULL,
            stdout=one,
            stderr=two,
            preexec_fn=limit,  # noqa: PLW1509 - the tests start no threads that matter here
            cwd=place.folder,
            env={name: value for name, value in env.items() if value is not None},
            start_new_session=True,
        )
        try:
            process.wait(HANGS_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    code, memory_kb, seconds = json.loads(used.read_text()) if used.exists() else (-signal.SIGKILL, 0, 0.0)
    return Ended(
        place=place,
        code=code,
        printed=printed.read_text(errors="replace"),
        said=said.read_text(errors="replace"),
        memory=memory_kb * 1024,
        seconds=seconds,
    )


def check(case: Case, ended: Ended) -> None:
    """Compare how a command ended with what its case promises."""
    assert ended.code == case.code, f"{ended.code}: {ended.said[-3000:]}"
    missing = [word for word in case.words if word not in ended.said]
    assert missing == [], ended.said[-3000:]
    assert "Traceback" not in ended.said
    assert "root:" not in ended.said + ended.printed, "bytes of /etc/passwd were shown"
    assert ended.memory <= case.memory
    if case.code != 0:
        assert "geoseg: " in ended.said or "Usage:" in ended.said, ended.said
    if case.code in {2, 3, 4} and case.holds is None:
        assert final_files(ended.place.out) == []
    if case.holds is not None:
        answer = case.holds(ended)
        assert answer is None or answer is True, "a law asserts, or says whether it holds"


def final_files(out: Path) -> list[str]:
    """Names of what is finished below a folder; blocks that are kept for the next run lie in hidden folders."""
    files = [path.relative_to(out) for path in out.rglob("*") if path.is_file()] if out.exists() else []
    return [str(path) for path in files if not any(part.startswith(".") for part in path.parts)]
