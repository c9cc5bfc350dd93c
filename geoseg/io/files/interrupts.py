"""Interruptions that arrive while C code runs, which would drop them or turn them into errors of its own."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_Handler = Callable[[int, FrameType | None], Any]
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """The exception that a signal handler raised, or None so far."""

    def __init__(self) -> None:
        self.raised: BaseException | None = None

    def check(self) -> None:
        """Raise it again, wherever it got lost.

        Raises:
            BaseException: a handler raised it.
        """
        if self.raised is not None:
            raise self.raised


@contextmanager
def kept_interruption() -> Iterator[Interruption]:
    """Keep what the handlers of SIGINT and SIGTERM raise inside the ``with``.

    A Python handler runs between two instructions of Python, also of a function that C code has called: the exception
    then ends up in that C code. Arrow's stream interface makes of it an error text, a destructor drops it.

    Yields:
        What was raised, to be raised again where it cannot get lost. In other threads than the main one no handler
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
