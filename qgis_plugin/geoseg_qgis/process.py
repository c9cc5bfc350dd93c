"""Run a program with progress and cancellation. Imports nothing of QGIS."""

from __future__ import annotations

import queue
import signal
import subprocess
import threading
from dataclasses import dataclass
from typing import IO, Callable

from .environment import WINDOWS, clean_variables

GRACE_S = 12.0
"""Seconds that a cancelled program has to end by itself: geoseg keeps finished blocks and needs eight at most."""
_POLL_S = 0.1


class Cancelled(Exception):  # noqa: N818 - reads as what it says
    """The user has cancelled the program; it has ended."""


@dataclass(frozen=True)
class Finished:
    """A program that has ended.

    Attributes:
        code: exit code.
        stdout: all of its standard output.
        last_line: last line of its standard error.
    """

    code: int
    stdout: str
    last_line: str


def run(command: list[str], on_line: Callable[[str], None], is_cancelled: Callable[[], bool]) -> Finished:
    """Run a program until it ends.

    Args:
        command: program and arguments; no shell reads them.
        on_line: called in this thread with each line of standard error.
        is_cancelled: asked ten times a second.

    Raises:
        Cancelled: it was cancelled.
        OSError: it cannot be started.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        env=clean_variables(),
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    ) as process:
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        output: list[str] = []
        readers = [
            threading.Thread(target=_read_lines, args=(process.stderr, lines), daemon=True),
            threading.Thread(target=_read_all, args=(process.stdout, output), daemon=True),
        ]
        for reader in readers:
            reader.start()
        try:
            last = _follow(lines, on_line, is_cancelled)
            code = process.wait()
        except BaseException:
            _stop(process)
            raise
        readers[1].join()
    return Finished(code, "".join(output), last)


def _follow(
    lines: queue.SimpleQueue[str | None], on_line: Callable[[str], None], is_cancelled: Callable[[], bool]
) -> str:
    last = ""
    while True:
        if is_cancelled():
            raise Cancelled
        try:
            line = lines.get(timeout=_POLL_S)
        except queue.Empty:
            continue
        if line is None:
            return last
        last = line or last
        on_line(line)


def _read_lines(stream: IO[str] | None, lines: queue.SimpleQueue[str | None]) -> None:
    for line in stream or ():
        lines.put(line.rstrip("\r\n"))
    lines.put(None)


def _read_all(stream: IO[str] | None, output: list[str]) -> None:
    if stream is not None:
        output.append(stream.read())


def _stop(process: subprocess.Popen[str]) -> None:
    """Ask the program to end, and end it when it does not."""
    if process.poll() is not None:
        return
    if WINDOWS:
        process.terminate()
    else:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
