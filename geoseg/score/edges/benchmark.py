"""ODS, OIS and AP of boundary maps against several annotations: the Berkeley segmentation benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from geoseg.score.edges.matching import match_boundaries
from geoseg.score.edges.thinning import Bool, thin

TOLERANCE: Final = 0.0075
"""Largest distance of a match, as a share of the image's diagonal."""

Counts = npt.NDArray[np.int64]
_STEPS_BETWEEN = 100


def thresholds(number: int = 99) -> npt.NDArray[np.float64]:
    """List the benchmark's thresholds: evenly spaced inside (0, 1)."""
    return np.linspace(1 / (number + 1), 1 - 1 / (number + 1), number)


def count_edges(strength: npt.NDArray[np.floating], drawings: Sequence[Bool], at: npt.NDArray[np.float64]) -> Counts:
    """Match one image's boundary map with every annotation, at every threshold.

    Args:
        strength: (y, x) boundary strength in [0, 1].
        drawings: boundaries (y, x), one per annotator.
        at: thresholds; a pixel is a boundary if its strength is at least the threshold. The map is thinned first.

    Returns:
        (threshold, 4) int64: matched pixels of all annotations, pixels of all annotations, pixels of the map that match
        any annotation, pixels of the map.
    """
    reach = TOLERANCE * float(np.hypot(*strength.shape))
    counts = np.zeros((len(at), 4), np.int64)
    before: Bool | None = None
    for place, threshold in enumerate(at):
        marked = strength >= threshold
        if before is not None and np.array_equal(marked, before):
            counts[place] = counts[place - 1]
            continue
        before = marked
        lines = thin(marked)
        hit = np.zeros(strength.shape, bool)
        for drawing in drawings:
            mine, theirs = match_boundaries(lines, drawing, reach)
            hit |= mine
            counts[place, :2] += theirs.sum(), drawing.sum()
        counts[place, 2:] = hit.sum(), lines.sum()
    return counts


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeScores:
    """Scores of the benchmark.

    Attributes:
        threshold: best threshold for the whole set, interpolated.
        recall: recall at this threshold.
        precision: precision at this threshold.
        ods: F at this threshold: optimal data set scale.
        ois: F with the best threshold of every image: optimal image scale.
        ap: area under the curve of precision over recall.
    """

    threshold: float
    recall: float
    precision: float
    ods: float
    ois: float
    ap: float


def summarise(counts: Sequence[Counts], at: npt.NDArray[np.float64]) -> EdgeScores:
    """Summarise a set of images.

    Args:
        counts: counts of each image, see ``count_edges``.
        at: thresholds.

    Source:
        Arbelaez et al. 2011, section 3.1, with the interpolation of the benchmark's published results: precision and
        recall in a hundred steps between two thresholds, area over recalls in steps of 0.01.
    """
    total = np.sum(counts, axis=0)
    recall, precision = _rates(total)
    between = [np.linspace(row[:-1], row[1:], _STEPS_BETWEEN, axis=1).ravel() for row in (recall, precision, at)]
    if len(at) == 1:
        between = [recall, precision, at]
    best = int(np.argmax(_f(between[0], between[1])))
    chosen = np.zeros(4, np.int64)
    for image in counts:
        chosen += image[int(np.argmax(_f(*_rates(image))))]
    found, exact = _rates(chosen[None])
    return EdgeScores(
        threshold=float(between[2][best]),
        recall=float(between[0][best]),
        precision=float(between[1][best]),
        ods=float(_f(between[0][best], between[1][best])),
        ois=float(_f(found, exact)[0]),
        ap=_area(recall, precision),
    )


def _rates(counts: Counts) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    return counts[:, 0] / np.maximum(counts[:, 1], 1), counts[:, 2] / np.maximum(counts[:, 3], 1)


def _f(recall: npt.ArrayLike, precision: npt.ArrayLike) -> npt.NDArray[np.float64]:
    r, p = np.asarray(recall, float), np.asarray(precision, float)
    return np.asarray(np.divide(2 * r * p, r + p, out=np.zeros_like(r), where=r + p > 0))


def _area(recall: npt.NDArray[np.float64], precision: npt.NDArray[np.float64]) -> float:
    # of equal recalls the last threshold counts, as Matlab's ``unique`` keeps it
    known, place = np.unique(recall[::-1], return_index=True)
    if len(known) < 2:
        return 0.0
    steps = np.linspace(0, 1, 101)
    heights = np.interp(steps, known, precision[::-1][place], left=0.0, right=0.0)
    return float(heights.sum() * 0.01)
