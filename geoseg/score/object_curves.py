"""Curves and counts of objects: F1 by overlap and by score, and numbers of objects per area."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from geoseg.core.types.json_value import UntypedDict
from geoseg.score.average_precision import THRESHOLDS
from geoseg.score.matrix import jsonable, ratio
from geoseg.score.objects import Polygons, match_objects

F64 = npt.NDArray[np.float64]

_SCORES = np.round(np.arange(0.0, 1.0, 0.05), 2)


def f1_by_iou(predicted: Polygons, reference: Polygons) -> list[dict[str, object]]:
    """Compute F1 for each least intersection over union from 0.5 to 0.95."""
    return [
        {
            "iou": round(float(iou), 2),
            "f1": _f1(len(match_objects(predicted, reference, iou=float(iou)).iou), len(predicted), len(reference)),
        }
        for iou in THRESHOLDS
    ]


def f1_by_score(predicted: Polygons, reference: Polygons, score: F64, iou: float) -> list[UntypedDict]:
    """Compute F1 of the objects with at least a score, for scores from 0 to 0.95."""
    lines = []
    for least in _SCORES:
        kept = predicted[score >= least]
        pairs = len(match_objects(kept, reference, iou=iou).iou)
        lines.append({"score": float(least), "f1": _f1(pairs, len(kept), len(reference))})
    return lines


def counts_per_area(predicted: Polygons, reference: Polygons, cell: float) -> dict[str, object]:
    """Compare the numbers of objects in square cells; an object is counted where its centroid lies.

    Args:
        predicted: polygons in one plane.
        reference: same.
        cell: side of the cells, in units of the coordinates.

    Returns:
        ``error``: predicted less reference objects, of all; ``relative_error``: that over the reference; per cell with
        any object ``mean_absolute_error`` and ``root_mean_square_error``; ``cells`` and their ``side``.
    """
    both = [shapely.get_coordinates(shapely.centroid(side)) // cell for side in (predicted, reference)]
    cells, place = np.unique(np.concatenate(both).astype(np.int64).reshape(-1, 2), axis=0, return_inverse=True)
    place = place.reshape(-1)
    counts = [np.bincount(part, minlength=len(cells)) for part in (place[: len(predicted)], place[len(predicted) :])]
    difference = (counts[0] - counts[1]).astype(np.float64)
    some = len(cells) > 0
    return {
        "error": len(predicted) - len(reference),
        "relative_error": jsonable(ratio(len(predicted) - len(reference), len(reference))),
        "mean_absolute_error": jsonable(float(np.abs(difference).mean()) if some else float("nan")),
        "root_mean_square_error": jsonable(float(np.sqrt((difference**2).mean())) if some else float("nan")),
        "cells": len(cells),
        "side": cell,
    }


def _f1(pairs: int, predicted: int, reference: int) -> float | None:
    value = jsonable(ratio(2 * pairs, predicted + reference))
    return None if value is None else float(value)
