"""Progress of a run in a notebook: one bar that is updated in place."""

from __future__ import annotations

import sys
import time
from html import escape
from typing import Any, Final

from geoseg.core.text import printable
from geoseg.run.report import Reporter, Silence

_SECONDS_BETWEEN_UPDATES: Final = 0.2


def default_reporter() -> Reporter:
    """Return a bar inside a notebook's kernel, else a reporter that discards everything."""
    ipython = sys.modules.get("IPython")  # in a kernel it is loaded already
    if ipython is None or getattr(ipython.get_ipython(), "kernel", None) is None:
        return Silence()
    return NotebookProgress(ipython.display)


class NotebookProgress:
    """Reporter that shows a bar below the cell.

    Args:
        display: ``IPython.display``.
    """

    def __init__(self, display: Any) -> None:
        self._display = display
        self._handle: Any = None
        self._stage = ""
        self._notes: list[str] = []
        self._total = self._done = 0
        self._last = 0.0

    def stage(self, name: str, total_px: int, done_px: int = 0) -> None:
        """Begin a stage at its own start."""
        self._stage, self._total, self._done = name, total_px, done_px
        self._show()

    def advance(self, pixels: int) -> None:
        """Move the bar, five times a second at most."""
        self._done += pixels
        if self._done >= self._total or time.monotonic() - self._last >= _SECONDS_BETWEEN_UPDATES:
            self._show()

    def note(self, text: str) -> None:
        """Add a line below the bar."""
        self._notes.append(printable(text))
        self._show()

    def _show(self) -> None:
        self._last = time.monotonic()
        share = min(1.0, self._done / self._total) if self._total else 0.0
        notes = "".join(f"<br>{escape(note)}" for note in self._notes)
        page = self._display.HTML(
            f'<progress value="{share:.4f}" max="1"></progress> {escape(self._stage)} {share:.0%}{notes}'
        )
        if self._handle is None:
            self._handle = self._display.display(page, display_id=True)
        else:
            self._handle.update(page)
