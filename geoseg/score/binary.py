"""Scores of one class against the rest: over all pixels, and by the rules of competitions per image."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from geoseg.core.choices import Unanswered
from geoseg.score.calibration import CalibrationCounts
from geoseg.score.comparison import Comparison, Hidden
from geoseg.score.matrix import NONE, U8, Matrix, count, jsonable, mean, scores
from geoseg.score.membranes import rand_and_information
from geoseg.score.protocols import Section
from geoseg.score.single_masks import LineCounts, dice, mask_precision

MOST_REGION_PX: Final = 16_777_216
"""Largest image, pixels, for region scores, which need the whole image at once."""


@dataclass(slots=True)
class BinaryCounts:
    """Counts summed over the images, and the scores of each image."""

    matrix: Matrix = field(default_factory=lambda: np.zeros((256, 256), np.int64))
    lines: LineCounts = field(default_factory=LineCounts)
    precisions: list[float] = field(default_factory=list)
    dices: list[float] = field(default_factory=list)
    rands: list[float] = field(default_factory=list)
    informations: list[float] = field(default_factory=list)
    confidence: CalibrationCounts = field(default_factory=CalibrationCounts)
    too_big: int = 0
    hidden: Hidden = field(default_factory=Hidden)

    def add(self, comparison: Comparison, unanswered: Unanswered) -> None:
        """Count an image.

        Args:
            comparison: codes 1 and 0.
            unanswered: treatment of labelled pixels without prediction.
        """
        self.hidden = comparison.hidden
        matrix, lines = np.zeros((256, 256), np.int64), LineCounts()
        whole = comparison.shape[0] * comparison.shape[1] <= MOST_REGION_PX
        maps = np.full((2, *comparison.shape), NONE, np.uint8) if whole else None
        for view in comparison.views(lines.halo_px):
            reference, predicted = view.reference[view.inner], view.predicted[view.inner]
            matrix += count(reference, predicted)
            lines.add(view)
            self.confidence.add(view)
            if maps is not None:
                maps[:, *view.core.slices] = reference, predicted
        self.matrix += matrix
        self.lines.merge(lines)
        self._add_image(matrix, unanswered)
        if maps is None:
            self.too_big += 1
        else:
            self._add_regions(maps)

    def merge(self, other: BinaryCounts) -> None:
        """Add the counts of other images."""
        self.matrix += other.matrix
        self.lines.merge(other.lines)
        self.confidence.merge(other.confidence)
        for name in ("precisions", "dices", "rands", "informations"):
            getattr(self, name).extend(getattr(other, name))
        self.too_big += other.too_big

    def _add_image(self, matrix: Matrix, unanswered: Unanswered) -> None:
        both, wrong = int(matrix[1, 1]), int(matrix[0, 1])
        missed = int(matrix[1, 0]) + (int(matrix[1, NONE]) if unanswered == "wrong" else 0)
        self.precisions.append(mask_precision(both, both + wrong + missed, both + missed))
        self.dices.append(dice(both, both + missed, both + wrong))

    def _add_regions(self, maps: U8) -> None:
        # a pixel without a class belongs to no region of the reference and is left out with the borders
        known = (maps != NONE).all(axis=0)
        rand, information = rand_and_information((maps[0] == 1) & known, (maps[1] == 1) & known)
        self.rands.append(rand)
        self.informations.append(information)

    def sections(self, unanswered: Unanswered) -> list[Section]:
        """Report the pixels of all images together, then the means over the images."""
        pixels = scores(self.matrix, [(0, "rest"), (1, "positive")], unanswered=unanswered)
        one = pixels.classes[1]
        found = {
            "iou": one.iou,
            "f1": one.f1,
            "dice": one.f1,
            "precision": one.precision,
            "recall": one.recall,
            "overall_accuracy": pixels.overall_accuracy,
        }
        images: dict[str, float | int | None] = {
            "images": len(self.dices),
            "tgs_mean_average_precision": jsonable(mean(self.precisions)),
            "clouds_mean_dice": jsonable(mean(self.dices)),
            "isbi_v_rand": jsonable(mean(self.rands)),
            "isbi_v_info": jsonable(mean(self.informations)),
        }
        lines: dict[str, float | int | None] = {}
        for tolerance, values in self.lines.scores().items():
            for name, value in zip(("precision", "recall", "f"), values, strict=True):
                lines[f"crackforest_{name}_{tolerance}px"] = jsonable(value)
        return [
            Section(key="pixels", title="pixels of all images", scores=pixels, values={}),
            Section(key="positive", title="the positive class", values={k: jsonable(v) for k, v in found.items()}),
            Section(key="images", title="means over images", values=images),
            Section(key="lines", title="lines, with a tolerance", values=lines),
        ]
