"""Interruptions by signals: kept where C code would drop or convert them; the files that they find finished."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_Handler = Callable[[int, FrameType | None], object]
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_expected: set[Path] = set()
"""Files that this process is to write and the same command would refuse to replace."""
_serves = False
"""True while the command is a server, which leaves nothing unfinished."""


class Interruption:
    """Holder of the exception that a signal handler raised, if any."""

    def __init__(self) -> None:
        self.raised: BaseException | None = None

    def check(self) -> None:
        """Raise the kept exception again, if any.

        Raises:
            BaseException: a handler raised it.
        """
        if self.raised is not None:
            raise self.raised


@contextmanager
def kept_interruption() -> Iterator[Interruption]:
    """Keep the exceptions that handlers of SIGINT and SIGTERM raise inside the ``with``.

    A Python handler runs between two instructions of Python, including those of a function called from C code: the
    exception then propagates into that C code. Arrow's stream interface converts it to an error text; a destructor
    drops it.

    Yields:
        The holder, whose ``check`` raises the exception in a safe place. In threads other than the main one no handler
        ever runs, and nothing is kept.
    """
    kept = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield kept
        return
    replaced = {}
    for number in _SIGNALS:
        handler = signal.getsignal(number)
        if callable(handler):

            def keep(
                number: int, frame: FrameType | None, handler: Callable[[int, FrameType | None], object] = handler
            ) -> None:
                try:
                    handler(number, frame)
                except BaseException as error:
                    kept.raised = error
                    raise

            replaced[number] = keep, handler
            signal.signal(number, keep)
    try:
        yield kept
    finally:
        for number, (keep, handler) in replaced.items():
            if signal.getsignal(number) is keep:  # a handler may have put another in its place, for the second signal
                signal.signal(number, handler)


def expect_output(path: Path) -> None:
    """Note a file that does not exist, is to be written, and will not be replaced by the same command."""
    _expected.add(path.absolute())


def forget_outputs() -> None:
    """Begin a command: files of an earlier one in this process are none of its own."""
    global _serves  # noqa: PLW0603 - of the command that runs
    _serves = False
    _expected.clear()


def serve_until_stopped() -> None:
    """Note that the command is a server: a signal is how it ends, and nothing remains to be done."""
    global _serves  # noqa: PLW0603 - same
    _serves = True


def is_server() -> bool:
    """True if the command that runs is a server."""
    return _serves


def finished_outputs() -> list[Path]:
    """List the expected files that exist by now: an interrupted command that is given again would be refused."""
    return sorted(path for path in _expected if os.path.lexists(path))
