"""HiddenClasses: possible classes excluded from an evaluation by nodata values, for its notes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from geoseg.score.comparison import Hidden
from geoseg.score.matrix import NONE, Matrix
from geoseg.score.pairs import Pair


@dataclass(slots=True)
class HiddenClasses:
    """Excluded classes, summed over pairs.

    Attributes:
        references: files whose nodata value might be a class, with that value and the pixels that have it.
        predictions: the same of predictions.
        predicted_px: pixels that the predictions of these references have a class for.
        labelled_px: pixels that the references of these predictions have a class for.
    """

    references: list[tuple[Path, int, int]] = field(default_factory=list)
    predictions: list[tuple[Path, int, int]] = field(default_factory=list)
    predicted_px: int = 0
    labelled_px: int = 0

    def add(self, pair: Pair, matrix: Matrix, hidden: Hidden) -> None:
        """Count a pair: rows of the matrix are the reference."""
        unlabelled, unanswered = int(matrix[NONE, :NONE].sum()), int(matrix[:NONE, NONE].sum())
        if hidden.reference is not None and unlabelled:
            self.references.append((pair.reference, hidden.reference, unlabelled))
            self.predicted_px += int(matrix[:, :NONE].sum())
        if hidden.predicted is not None and unanswered:
            self.predictions.append((pair.prediction, hidden.predicted, unanswered))
            self.labelled_px += int(matrix[:NONE].sum())

    def notes(self) -> tuple[str, ...]:
        """Return up to two notes on excluded classes: one for the references, one for the predictions."""
        notes = []
        if self.references:
            note = _note(self.references, self.predicted_px, "predicted pixels have no label there and are left out")
            notes.append(f"{note} --nodata none")
        if self.predictions:
            note = _note(self.predictions, self.labelled_px, "labelled pixels have no prediction there")
            notes.append(f"{note} --prediction-nodata none")
        return tuple(notes)


def _note(files: list[tuple[Path, int, int]], total: int, what: str) -> str:
    path, label, _ = files[0]
    more = f" (and that of {len(files) - 1} more files)" if len(files) > 1 else ""
    number = sum(pixels for _, _, pixels in files)
    return (
        f"the nodata value of {path}{more} is {label}, so {number:,} of {total:,} {what} ({number / total:.2%}); if "
        f"{label} is a class, pass"
    )
