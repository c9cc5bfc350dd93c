"""Evaluation protocols: counting over all scenes, and the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from geoseg.core.choices import ScoreProtocol, Unanswered
from geoseg.core.deepglobe_legend import DEEPGLOBE, UNKNOWN
from geoseg.core.ground import gsd_m
from geoseg.core.isprs_legend import CLUTTER, TOWN_LEGEND
from geoseg.core.legend import Legend
from geoseg.core.types.json_value import UntypedDict
from geoseg.score.boundary import BoundaryCounts, Distance, PixelSides
from geoseg.score.calibration import CalibrationCounts
from geoseg.score.comparison import Comparison, ComparisonBlock, Hidden
from geoseg.score.erosion import ISPRS_RADIUS_PX, without_borders
from geoseg.score.matrix import Matrix, Scores, count, jsonable, scores

ISPRS: Final = TOWN_LEGEND


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One table of a report.

    Attributes:
        key: key in JSON.
        title: heading.
        scores: scores from a confusion matrix, or None.
        values: single numbers by name; None where undefined.
    """

    key: str
    title: str
    scores: Scores | None = None
    values: dict[str, float | int | None] = field(default_factory=dict)

    def as_json(self) -> UntypedDict:
        """Convert to JSON values."""
        return {"title": self.title} | ({} if self.scores is None else self.scores.as_json()) | self.values


@dataclass(slots=True)
class Counts:
    """Counts that are summed over the scenes.

    Attributes:
        full: confusion matrix.
        eroded: the same against the reference without class borders, or None if not requested.
        confidence: counts for the calibration error.
        boundary: counts for boundary scores, or None.
        hidden: classes of one scene that nodata values exclude.
    """

    full: Matrix = field(default_factory=lambda: np.zeros((256, 256), np.int64))
    eroded: Matrix | None = None
    confidence: CalibrationCounts = field(default_factory=CalibrationCounts)
    boundary: BoundaryCounts | None = None
    hidden: Hidden = field(default_factory=Hidden)

    @classmethod
    def empty(cls, protocol: ScoreProtocol, comparison: Comparison, distances: Sequence[Distance]) -> Counts:
        """Make zero counts.

        Args:
            protocol: protocol, which decides if class borders are removed.
            comparison: the scene, for its pixel size.
            distances: distances of boundary scores; empty: none.
        """
        counts = cls(hidden=comparison.hidden)
        if protocol == "isprs":
            counts.eroded = np.zeros((256, 256), np.int64)
        if distances:
            down, right = gsd_m(comparison.geobox)
            counts.boundary = BoundaryCounts(tuple(distances), PixelSides(down=down, right=right))
        return counts

    @property
    def halo_px(self) -> int:
        """Halo that a view needs, pixels."""
        return max(0 if self.eroded is None else ISPRS_RADIUS_PX, 0 if self.boundary is None else self.boundary.halo_px)

    def add(self, view: ComparisonBlock) -> None:
        """Count a view."""
        inner = view.inner
        predicted = view.predicted[inner]
        self.full += count(view.reference[inner], predicted)
        if self.eroded is not None:
            eroded = without_borders(view.reference) if view.eroded is None else view.eroded
            self.eroded += count(eroded[inner], predicted)
        self.confidence.add(view)
        if self.boundary is not None:
            self.boundary.add(view)

    def merge(self, other: Counts) -> None:
        """Add the counts of another scene."""
        self.full += other.full
        self.confidence.merge(other.confidence)
        if other.eroded is not None:
            self.eroded = other.eroded if self.eroded is None else self.eroded + other.eroded
        if other.boundary is not None:
            if self.boundary is None:
                self.boundary = BoundaryCounts(other.boundary.distances)
            self.boundary.merge(other.boundary)


def isprs(counts: Counts, unanswered: Unanswered) -> list[Section]:
    """Report full and eroded references, each with and without clutter.

    Without clutter, clutter is left out of the means only: its pixels stay in the matrix, so that a house classified as
    clutter is still an error. ``overall_accuracy_off_clutter`` leaves the reference's clutter pixels out.

    Args:
        counts: counts over all scenes.
        unanswered: treatment of labelled pixels without prediction.
    """
    sections = []
    references = (("full", "full reference", counts.full), ("eroded", "eroded reference", counts.eroded))
    for key, title, matrix in references:
        if matrix is None:
            continue
        everything = class_list(ISPRS)
        five = [(code, name) for code, name in everything if code != CLUTTER]
        sections.append(
            Section(
                key=f"{key}_with_clutter",
                title=f"{title}, 6 classes",
                scores=scores(matrix, everything, unanswered=unanswered),
            )
        )
        without = scores(matrix, everything, mean_over=[code for code, _ in five], unanswered=unanswered)
        off = scores(matrix, five, unanswered=unanswered).overall_accuracy
        sections.append(
            Section(
                key=f"{key}_without_clutter",
                title=f"{title}, means of 5 classes",
                scores=without,
                values={"overall_accuracy_off_clutter": jsonable(off)},
            )
        )
    return sections


def deepglobe(counts: Counts, unanswered: Unanswered) -> list[Section]:
    """Report the mean IoU of six classes; pixels whose reference is unknown are left out.

    ``mean_iou_unknown_counts`` keeps them: there every prediction but unknown is a false positive, as in the code
    behind several published figures (GLNet and those that compare with it).

    Args:
        counts: counts over all scenes.
        unanswered: treatment of labelled pixels without prediction.
    """
    six = [(code, name) for code, name in class_list(DEEPGLOBE) if code != UNKNOWN]
    kept = scores(
        counts.full, class_list(DEEPGLOBE), mean_over=[code for code, _ in six], unanswered=unanswered
    ).mean_iou
    return [
        Section(
            key="unknown_excluded",
            title="6 classes, unknown excluded",
            scores=scores(counts.full, six, unanswered=unanswered),
            values={"mean_iou_unknown_counts": jsonable(kept)},
        )
    ]


def classes(counts: Counts, legend: Legend, unanswered: Unanswered) -> list[Section]:
    """Report every class of a legend.

    Args:
        counts: counts over all scenes.
        legend: the classes.
        unanswered: treatment of labelled pixels without prediction.
    """
    return [
        Section(key="all", title="all classes", scores=scores(counts.full, class_list(legend), unanswered=unanswered))
    ]


def class_list(legend: Legend) -> list[tuple[int, str]]:
    """List (code, name) of a legend."""
    return [(entry.code, entry.name) for entry in legend.classes]


def present(matrix: Matrix) -> list[int]:
    """List the codes that occur in the reference, or in the prediction where the reference has a class."""
    labelled = matrix[:255, :255]
    return np.flatnonzero(matrix[:255].sum(1) + labelled.sum(0)).tolist()
