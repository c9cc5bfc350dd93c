"""Progress of a training on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from geoseg.core.text import printable

if TYPE_CHECKING:
    from geoseg.training.progress import TrainingProgress

_SECONDS_BETWEEN_LINES = 10.0
_MEMORY = 0.95


class _Smoothed:
    """The loss, averaged over the last steps."""

    def __init__(self) -> None:
        self._value = float("nan")

    def add(self, loss: float) -> float:
        self._value = loss if math.isnan(self._value) else _MEMORY * self._value + (1 - _MEMORY) * loss
        return self._value


class TrainingBar:
    """A live bar for a terminal."""

    def __init__(self, title: str) -> None:
        self._loss = _Smoothed()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %  {task.fields[progress]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._progress.add_task(printable(title), total=1.0, progress="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, progress: TrainingProgress) -> None:
        """Update the bar."""
        text = describe(progress, self._loss.add(progress.loss))
        self._progress.update(self._task, completed=progress.share, progress=text)


class TrainingLines:
    """Plain lines for a log: at the first step, every ten seconds, at each validation and at the end."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._loss = _Smoothed()
        self._last = -math.inf
        self._held_out: float | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def __call__(self, progress: TrainingProgress) -> None:
        """Print the progress when it is due."""
        loss, now = self._loss.add(progress.loss), time.monotonic()
        news = progress.held_out_iou != self._held_out or progress.share >= 1
        if now - self._last >= _SECONDS_BETWEEN_LINES or news:
            self._last, self._held_out = now, progress.held_out_iou
            print(printable(f"{self._title}: {describe(progress, loss)}"), file=sys.stderr, flush=True)


def describe(progress: TrainingProgress, loss: float) -> str:
    """Format the state of a run as one line; values not known yet are left out."""
    total = "" if progress.steps is None else f"/{progress.steps}"
    parts = [f"step {progress.step}{total}", f"loss {loss:.4f}"]
    if not math.isnan(progress.iou):
        parts.append(f"IoU {progress.iou:.3f}")
    if progress.held_out_iou is not None:
        parts.append(f"held out {progress.held_out_iou:.3f}")
    if not math.isnan(progress.images_per_s):
        parts.append(f"{progress.images_per_s:.1f} img/s")
    if not math.isnan(progress.left_s):
        parts.append(f"{_duration(progress.left_s)} left")
    return ", ".join(parts)


def training_reporter(title: str) -> TrainingBar | TrainingLines:
    """Return a bar if stderr is a terminal, else plain lines."""
    return TrainingBar(title) if sys.stderr.isatty() else TrainingLines(title)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
