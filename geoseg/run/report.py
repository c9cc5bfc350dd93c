"""Progress reporting of a run: shown by the CLI, turned into artifacts by flows, ignored by default."""

from __future__ import annotations

from typing import Protocol


class Reporter(Protocol):
    """Protocol of the receivers of progress; called from the run's own thread."""

    def stage(self, name: str, total_px: int, done_px: int = 0) -> None:
        """Begin a stage.

        Args:
            name: ``predict``, ``layers`` or ``publish``.
            total_px: pixels of the stage.
            done_px: pixels done by an earlier run.
        """

    def advance(self, pixels: int) -> None:
        """Report a number of further pixels as done."""

    def note(self, text: str) -> None:
        """Report a note for the user."""


class Silence:
    """Reporter that discards everything."""

    def stage(self, name: str, total_px: int, done_px: int = 0) -> None:
        """Do nothing."""

    def advance(self, pixels: int) -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Do nothing."""
