"""RunPulse: an object that a run writes anew while it lives, so that its claims are known from those of the dead."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta

from geoseg.io.objects.object_folder import ANY, ObjectFolder

_RUNS = ".geoseg/runs"
BEAT_S = 20.0
"""Seconds between two signs of life."""
DEAD_AFTER_S = 120.0
"""Silence after which a run counts as dead; only the clock of the store counts."""
_ASKED_AGAIN_S = 5.0


class RunPulse:
    """Signs of life of the runs that write to one place on a store.

    Args:
        folder: the place.
    """

    def __init__(self, folder: ObjectFolder) -> None:
        self._folder = folder
        self._now: tuple[datetime, float] | None = None
        self._answers: dict[str, tuple[float, bool]] = {}

    @contextmanager
    def beating(self, run: str) -> Iterator[None]:
        """Give signs of life of a run until the end of the ``with``; one that fails is tried again later."""
        stop = threading.Event()
        thread = threading.Thread(target=self._go_on, args=(run, stop), name="pulse", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            with suppress(OSError):  # it is dead soon
                self._folder.remove(_place(run))

    def is_alive(self, run: str) -> bool:
        """Return True if a run has given a sign of life lately.

        Raises:
            OSError: the store refuses or cannot be reached.
        """
        asked, answer = self._answers.get(run, (-_ASKED_AGAIN_S, False))
        if time.monotonic() - asked >= _ASKED_AGAIN_S:
            state = self._folder.head(_place(run))
            answer = state is not None and self._store_time() - state.modified < timedelta(seconds=DEAD_AFTER_S)
            self._answers[run] = (time.monotonic(), answer)
        return answer

    def _store_time(self) -> datetime:
        """Return the time of the store's clock, by the last own sign of life; of this machine's while there is none."""
        if self._now is None:
            return datetime.now(UTC)
        stamp, seen = self._now
        return stamp + timedelta(seconds=time.monotonic() - seen)

    def beat(self, run: str) -> None:
        """Give one sign of life of a run.

        Raises:
            OSError: the store refuses or cannot be reached.
        """
        self._folder.write(_place(run), b"", replaces=ANY)
        state = self._folder.head(_place(run))
        if state is not None:
            self._now = state.modified, time.monotonic()

    def _go_on(self, run: str, stop: threading.Event) -> None:
        while not stop.wait(BEAT_S):
            with suppress(OSError):  # a store that does not answer now may do so later; claims are checked anyway
                self.beat(run)


def _place(run: str) -> str:
    return f"{_RUNS}/{run}"
