"""Average precision and recall of objects with scores, as COCO defines them, over a whole mosaic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import shapely

from geoseg.score.matrix import jsonable
from geoseg.score.objects import Polygons

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]

THRESHOLDS: Final = np.linspace(0.5, 0.95, 10)
"""Least intersections over union."""

_RECALLS: Final = np.linspace(0.0, 1.0, 101)
_ALMOST: Final = 1 - 1e-10


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlapping:
    """Pairs of a predicted and a reference object that overlap.

    Attributes:
        predicted: (pair,) indices.
        reference: (pair,) indices.
        iou: (pair,) intersection over union, above 0.
    """

    predicted: I64
    reference: I64
    iou: F64


def overlapping(predicted: Polygons, reference: Polygons) -> Overlapping:
    """Find the pairs of polygons that overlap.

    Args:
        predicted: shapely polygons in one plane.
        reference: same.
    """
    none = np.zeros(0, np.int64)
    if not len(predicted) or not len(reference):
        return Overlapping(predicted=none, reference=none, iou=np.zeros(0))
    i, j = shapely.STRtree(reference).query(predicted, predicate="intersects")
    both = shapely.area(shapely.intersection(predicted[i], reference[j]))
    either = shapely.area(predicted[i]) + shapely.area(reference[j]) - both
    some = both > 0
    return Overlapping(predicted=i[some], reference=j[some], iou=both[some] / either[some])


def boxes_of(polygons: Polygons) -> Polygons:
    """Return the bounding boxes of polygons."""
    return np.asarray(shapely.box(*shapely.bounds(polygons).T), object)


def average_precision(pairs: Overlapping, score: F64, references: int) -> dict[str, object]:
    """Compute AP and AR of one class.

    Predicted objects are matched by falling score, each with the free reference that it overlaps most. No number of
    objects is cut off, as COCO cuts at 100 an image.

    Args:
        pairs: overlaps.
        score: (predicted,) scores.
        references: number of reference objects.

    Returns:
        ``ap``: mean over ``THRESHOLDS``; ``ap50``, ``ap75``; ``ar``: largest recall, mean over ``THRESHOLDS``. None
        without references.

    Source:
        https://cocodataset.org/#detection-eval; Lin et al. 2014. Equal to pycocotools with ``maxDets`` out of reach.
    """
    if not references:
        return dict.fromkeys(("ap", "ap50", "ap75", "ar"))
    order = np.argsort(-score, kind="mergesort")
    found = [_curve(_hits(pairs, order, threshold), references) for threshold in THRESHOLDS]
    precision = np.array([ap for ap, _ in found])
    return {
        "ap": jsonable(float(precision.mean())),
        "ap50": jsonable(float(precision[0])),
        "ap75": jsonable(float(precision[5])),
        "ar": jsonable(float(np.mean([recall for _, recall in found]))),
    }


def _hits(pairs: Overlapping, order: I64, threshold: float) -> npt.NDArray[np.bool_]:
    """Match by falling score; (predicted,) bool in that order, True where an object has a reference."""
    least = min(float(threshold), _ALMOST)
    good = np.flatnonzero(pairs.iou >= least)
    # of equal overlaps COCO's loop keeps the last reference
    good = good[np.lexsort((-pairs.reference[good], -pairs.iou[good], pairs.predicted[good]))]
    starts = np.searchsorted(pairs.predicted[good], np.arange(len(order) + 1))
    taken: set[int] = set()
    hits = np.zeros(len(order), np.bool_)
    for place, index in enumerate(order.tolist()):
        for pair in good[starts[index] : starts[index + 1]]:
            reference = int(pairs.reference[pair])
            if reference not in taken:
                taken.add(reference)
                hits[place] = True
                break
    return hits


def _curve(hits: npt.NDArray[np.bool_], references: int) -> tuple[float, float]:
    """Return the average precision and the largest recall."""
    true, false = np.cumsum(hits), np.cumsum(~hits)
    recall = true / references
    precision = true / np.maximum(true + false, np.spacing(1))
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    place = np.searchsorted(recall, _RECALLS, side="left")
    at = np.append(envelope, 0.0)[np.minimum(place, len(envelope))]
    return float(at.mean()), float(recall[-1]) if len(recall) else 0.0
