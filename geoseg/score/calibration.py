"""Expected calibration error: the gap between confidence and accuracy."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from geoseg.core.types.json_value import UntypedDict
from geoseg.score.comparison import ComparisonBlock
from geoseg.score.matrix import NONE, jsonable


def calibration_error(confidence: npt.NDArray[np.floating], correct: npt.NDArray[np.bool_], *, bins: int = 15) -> float:
    """Compute the expected calibration error of a set of predictions.

    Args:
        confidence: in [0, 1], any shape: the probability of the chosen class.
        correct: same shape, bool: True where the class is right.
        bins: number of bins of equal width; (0, 1/bins], ..., and 0 in the first.

    Returns:
        The mean over all predictions of the gap, in their bin, between mean confidence and accuracy; NaN without
        predictions.

    Source:
        Naeini, Cooper and Hauskrecht 2015; Guo et al. 2017, equation 3.
    """
    flat, right = confidence.ravel().astype(np.float64), correct.ravel()
    place = np.clip(np.ceil(flat * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    gap = np.bincount(place, flat, bins) - np.bincount(place, right, bins)
    return float(np.abs(gap).sum() / counts.sum()) if counts.sum() else float("nan")


@dataclass(slots=True)
class CalibrationCounts:
    """Predictions and correct predictions by percent of confidence, summed over views."""

    answers: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(101, np.int64))
    right: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(101, np.int64))

    def add(self, view: ComparisonBlock) -> None:
        """Count a view; without confidence it adds nothing."""
        if view.confidence is None:
            return
        percent, predicted, reference = (
            layer[view.inner] for layer in (view.confidence, view.predicted, view.reference)
        )
        known = (percent <= 100) & (predicted != NONE) & (reference != NONE)
        self.answers += np.bincount(percent[known], minlength=101)
        self.right += np.bincount(percent[known & (predicted == reference)], minlength=101)

    def merge(self, other: CalibrationCounts) -> None:
        """Add the counts of another scene."""
        self.answers += other.answers
        self.right += other.right

    def as_json(self, bins: int = 20) -> UntypedDict | None:
        """Return the error and the reliability diagram; None without predictions.

        Args:
            bins: number of bins of equal width; a divisor of 100.
        """
        total = int(self.answers.sum())
        if not total:
            return None
        percent = np.arange(101)
        place = np.clip(np.ceil(percent * bins / 100).astype(np.int64) - 1, 0, bins - 1)
        counts, right = (np.bincount(place, n, bins) for n in (self.answers, self.right))
        claimed = np.bincount(place, self.answers * percent / 100, bins)
        gaps = np.abs(claimed - right)
        filled = np.flatnonzero(counts)
        return {
            "expected_calibration_error": float(gaps.sum() / total),
            "maximum_calibration_error": float((gaps[filled] / counts[filled]).max()),
            "mean_confidence": float(claimed.sum() / total),
            "accuracy": float(right.sum() / total),
            "bins": [
                {
                    "from": place / bins,
                    "to": (place + 1) / bins,
                    "pixels": int(counts[place]),
                    "confidence": jsonable(claimed[place] / counts[place]),
                    "accuracy": jsonable(right[place] / counts[place]),
                }
                for place in filled.tolist()
            ],
        }
