"""Progress: what a training run tells whoever watches it, and the lines that it keeps for its curves."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from geoseg.io.files.writing import write_bytes

COLUMNS = ("step", "loss", "learning_rate", "iou", "held_out_iou", "images_per_s", "elapsed_s")
"""Of the log; what is not known on a line is left out."""

Line = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a training run stands.

    Attributes:
        step, steps: steps taken, and steps of the whole run; None where only the clock ends it.
        loss: of the last step.
        learning_rate: of the last step.
        elapsed_s: since the run began, pauses not counted.
        iou: on the chips of the last lines of the log, varied as they are: of the one foreground class, or the mean.
        held_out_iou: at the last look at the held-out data; None before the first.
        images_per_s: chips learnt from per second, lately.
        share: of the run that is done, by steps or by time, whichever is further.
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
        """Seconds that are left at this pace."""
        return self.elapsed_s * (1 / self.share - 1) if self.share > 0 else float("nan")


Report = Callable[[Progress], None]


def write_log(path: Path, lines: Sequence[Line]) -> None:
    """Write the lines as a CSV table, whole.

    Raises:
        WriteError: the disk is full or fails.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: f"{value:.6g}" for name, value in line.items()} for line in lines)
    write_bytes(path, text.getvalue().encode())
