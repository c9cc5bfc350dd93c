"""Progress of a training run, and the lines of its log."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from geoseg.io.files.writing import write_bytes

COLUMNS = ("step", "loss", "learning_rate", "iou", "held_out_iou", "images_per_s", "elapsed_s")
"""Columns of the log; unknown values of a line are left empty."""

Line = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingProgress:
    """Progress of a training run.

    Attributes:
        step, steps: steps taken, and steps of the whole run; None if only the time limit ends it.
        loss: loss of the last step.
        learning_rate: learning rate of the last step.
        elapsed_s: seconds since the run began, without interruptions.
        iou: IoU on recent augmented training chips: of the single foreground class, or the mean.
        held_out_iou: IoU of the last validation; None before the first.
        images_per_s: recent number of training chips per second.
        share: completed share of the run, by steps or by time, whichever is larger.
    """

    step: int
    steps: int | None
    loss: float
    learning_rate: float
    elapsed_s: float
    iou: float = float("nan")
    held_out_iou: float | None = None
    images_per_s: float = float("nan")
    share: float = 0.0

    @property
    def left_s(self) -> float:
        """Estimated remaining seconds."""
        return self.elapsed_s * (1 / self.share - 1) if self.share > 0 else float("nan")


Report = Callable[[TrainingProgress], None]


def write_log(path: Path, lines: Sequence[Line]) -> None:
    """Write the lines as a CSV table, atomically.

    Raises:
        WriteError: the disk is full or fails.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{value:.6g}" for name, value in line.items()} for line in lines)
    write_bytes(path, text.getvalue().encode())
