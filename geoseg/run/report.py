"""What a run tells while it goes on: the CLI draws it, a flow makes artifacts of it, a script ignores it."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Receives progress; called from the run's own thread."""

    def stage(self, name: str, total_px: int, done_px: int = 0) -> None:
        """A stage begins: ``predict``, ``layers``, ``publish``; pixels to do and already done."""

    def advance(self, pixels: int) -> None:
        """So many more pixels are done."""

    def note(self, text: str) -> None:
        """Something the user may want to know."""


class Silence:
    """A reporter that says nothing."""

    def stage(self, name: str, total_px: int, done_px: int = 0) -> None:
        """Say nothing."""

    def advance(self, pixels: int) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""
