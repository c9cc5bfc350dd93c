"""Scores of one mask per image: Kaggle's salt and cloud competitions, CrackForest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from geoseg.score.boundary import distance_to
from geoseg.score.comparison import ComparisonBlock
from geoseg.score.matrix import NONE

TGS_THRESHOLDS: Final = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
CRACK_TOLERANCES_PX: Final = (2, 5)


def mask_precision(both: int, either: int, reference: int) -> float:
    """Score one image as Kaggle's TGS salt identification does.

    Args:
        both: pixels of the intersection.
        either: pixels of the union.
        reference: pixels of the reference mask.

    Returns:
        The share of the IoU thresholds 0.50, 0.55, ..., 0.95 that the IoU exceeds. An empty reference scores 1 if the
        prediction is empty too, else 0.
    """
    if not reference:
        return float(either == 0)
    # in twentieths, so that an IoU of exactly 0.55 is not above it by rounding
    return sum(20 * both > round(20 * threshold) * either for threshold in TGS_THRESHOLDS) / len(TGS_THRESHOLDS)


def dice(both: int, reference: int, predicted: int) -> float:
    """Score one mask as Kaggle's Understanding Clouds does: 2 |A and B| / (|A| + |B|), 1 where both are empty.

    Args:
        both: pixels of the intersection.
        reference: pixels of the reference mask.
        predicted: pixels of the predicted mask.
    """
    return 2 * both / (reference + predicted) if reference + predicted else 1.0


@dataclass(slots=True)
class LineCounts:
    """Pixels of lines and those near the other map's lines, by tolerance; CrackForest's precision and recall."""

    tolerances_px: tuple[int, ...] = CRACK_TOLERANCES_PX
    hit: npt.NDArray[np.int64] = field(init=False)
    found: npt.NDArray[np.int64] = field(init=False)
    predicted_px: int = 0
    reference_px: int = 0

    def __post_init__(self) -> None:
        self.hit, self.found = (np.zeros(len(self.tolerances_px), np.int64) for _ in range(2))

    @property
    def halo_px(self) -> int:
        """Halo that a view needs, pixels."""
        return max(self.tolerances_px) + 1

    def add(self, view: ComparisonBlock) -> None:
        """Count a view."""
        known = (view.reference != NONE) & (view.predicted != NONE)
        true, answered = (view.reference == 1) & known, (view.predicted == 1) & known
        to_true, to_answered = distance_to(true)[view.inner], distance_to(answered)[view.inner]
        true, answered = true[view.inner], answered[view.inner]
        self.predicted_px += int(answered.sum())
        self.reference_px += int(true.sum())
        for place, tolerance in enumerate(self.tolerances_px):
            self.hit[place] += (answered & (to_true <= tolerance)).sum()
            self.found[place] += (true & (to_answered <= tolerance)).sum()

    def merge(self, other: LineCounts) -> None:
        """Add the counts of another image."""
        self.hit += other.hit
        self.found += other.found
        self.predicted_px += other.predicted_px
        self.reference_px += other.reference_px

    def scores(self) -> dict[int, tuple[float, float, float]]:
        """Return precision, recall and F by tolerance; all 0 if one of the maps has no line, NaN if neither has."""
        results = {}
        for tolerance, hit, found in zip(self.tolerances_px, self.hit.tolist(), self.found.tolist(), strict=True):
            precision = hit / self.predicted_px if self.predicted_px else 0.0
            recall = found / self.reference_px if self.reference_px else 0.0
            f = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
            empty = not self.predicted_px and not self.reference_px
            results[tolerance] = (float("nan"),) * 3 if empty else (precision, recall, f)
        return results
