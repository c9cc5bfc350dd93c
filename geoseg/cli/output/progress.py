"""Progress on stderr: a bar on a terminal, plain lines elsewhere, JSON lines for programs."""

from __future__ import annotations

import json
import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from geoseg.core.text import printable

_STAGES = {
    "predict": "segmenting",
    "layers": "writing rasters and polygons",
    "publish": "writing project and catalogue",
    "archive": "segmenting scenes",
    "catalogue": "writing the archive's catalogue",
}
_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_JSON_LINES = 0.2


class Bar:
    """A live bar for a terminal: pixels per second and time left."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[speed]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._meter = _Meter()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def stage(self, name: str, total_px: int, done_px: int = 0) -> None:
        """Begin a stage with its own bar."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._meter = _Meter()
        label = f"{self._title}: {_STAGES.get(name, name)}"
        self._task = self._progress.add_task(label, total=total_px or None, completed=done_px, speed="")

    def advance(self, pixels: int) -> None:
        """Move the bar."""
        if self._task is not None:
            self._progress.update(self._task, advance=pixels, speed=self._meter.add(pixels))

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self._console.print(printable(f"{self._title}: {text}"), markup=False, highlight=False)


class Lines:
    """Plain lines for a log: at each stage, and every ten seconds."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._total = self._done = 0
        self._meter = _Meter()
        self._last = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def stage(self, name: str, total_px: int, done_px: int = 0) -> None:
        """Print the name of a stage as it begins."""
        self._total, self._done, self._meter, self._last = total_px, done_px, _Meter(), time.monotonic()
        resumed = f", {done_px / total_px:.0%} done before" if total_px and done_px else ""
        self._print(f"{_STAGES.get(name, name)}{resumed}")

    def advance(self, pixels: int) -> None:
        """Print the progress every ten seconds."""
        self._done += pixels
        speed = self._meter.add(pixels)
        now = time.monotonic()
        if now - self._last >= _SECONDS_BETWEEN_LINES and self._total:
            self._last = now
            left = self._meter.seconds_for(self._total - self._done)
            self._print(f"{self._done / self._total:.0%}, {speed}, {left:.0f} s left")

    def note(self, text: str) -> None:
        """Print a line."""
        self._print(text)

    def _print(self, text: str) -> None:
        print(printable(f"{self._title}: {text}"), file=sys.stderr, flush=True)


class JsonLines:
    """One JSON object a line, for a program that shows the progress of the command.

    A line has ``scene``, ``stage``, ``done_px`` and ``total_px``; a note has ``scene`` and ``note``.
    """

    def __init__(self, title: str) -> None:
        self._title, self._stage = title, ""
        self._total = self._done = 0
        self._last = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def stage(self, name: str, total_px: int, done_px: int = 0) -> None:
        """Print a line as a stage begins."""
        self._stage, self._total, self._done = name, total_px, done_px
        self._print_pixels()

    def advance(self, pixels: int) -> None:
        """Print a line, five times a second at most and at the end of the stage."""
        self._done += pixels
        if self._done >= self._total or time.monotonic() - self._last >= _SECONDS_BETWEEN_JSON_LINES:
            self._print_pixels()

    def note(self, text: str) -> None:
        """Print a note."""
        self._print({"note": printable(text)})

    def _print_pixels(self) -> None:
        self._last = time.monotonic()
        self._print({"stage": self._stage, "done_px": self._done, "total_px": self._total})

    def _print(self, entry: dict[str, str | int]) -> None:
        print(json.dumps({"scene": self._title, **entry}), file=sys.stderr, flush=True)


class _Meter:
    """Pixels per second since it was made."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._pixels = 0

    def add(self, pixels: int) -> str:
        self._pixels += pixels
        return f"{self._rate() / 1e6:.2f} Mpx/s"

    def seconds_for(self, pixels: int) -> float:
        return pixels / self._rate()

    def _rate(self) -> float:
        return max(1.0, self._pixels) / max(1e-3, time.monotonic() - self._start)


def reporter(title: str) -> Bar | Lines:
    """Return a bar if stderr is a terminal, else plain lines."""
    return Bar(title) if sys.stderr.isatty() else Lines(title)
