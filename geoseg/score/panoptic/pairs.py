"""Pixels that segments of a prediction share with segments of a reference, counted window by window."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from geoseg.core.window import Window

I64 = npt.NDArray[np.int64]

VOID: Final = 0
"""Number of pixels without a segment."""

_WINDOW_PX = 2048
_HELD = 64
"""Windows whose counts are put together at once."""


class SegmentMap(Protocol):
    """Protocol of the numbers of segments on a grid.

    Attributes:
        shape: (rows, columns).
    """

    shape: tuple[int, int]

    def numbers(self, window: Window) -> I64:
        """Read the number of each pixel's segment, (y, x) int64 below 2^31, ``VOID`` where there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairCounts:
    """Pairs of segments that share pixels; void counts as a segment of its own.

    Attributes:
        reference: (pair,) number of the reference's segment.
        prediction: (pair,) number of the prediction's.
        pixels: (pair,) pixels that they share.
        reference_boundary: (pair,) those of them that belong to the boundary of the reference's segment.
        prediction_boundary: (pair,) the same of the prediction's.
        boundary: (pair,) those that belong to both.
    """

    reference: I64
    prediction: I64
    pixels: I64
    reference_boundary: I64
    prediction_boundary: I64
    boundary: I64


def count_pairs(reference: SegmentMap, prediction: SegmentMap, *, boundary_px: int = 0) -> PairCounts:
    """Count the pixels of each pair of segments of two maps of one shape.

    Args:
        reference: the reference.
        prediction: the prediction.
        boundary_px: a pixel belongs to the boundary of its segment if another segment, or the edge of the map, is at
            most so many pixels away along rows and columns (Chebyshev distance); 0: no boundaries.

    Raises:
        ValueError: the shapes differ.
    """
    if reference.shape != prediction.shape:
        raise ValueError(f"a prediction of {prediction.shape} pixels and a reference of {reference.shape}")
    rows, cols = reference.shape
    held: list[I64] = []
    for top in range(0, rows, _WINDOW_PX):
        for left in range(0, cols, _WINDOW_PX):
            window = Window(top, min(top + _WINDOW_PX, rows), left, min(left + _WINDOW_PX, cols))
            held.append(_count(reference, prediction, window, boundary_px))
            if len(held) >= _HELD:
                held = [_together(held)]
    key, *counts = _together(held)
    names = [field.name for field in fields(PairCounts)][2:]
    return PairCounts(reference=key >> 32, prediction=key & 0xFFFFFFFF, **dict(zip(names, counts, strict=True)))


def _count(reference: SegmentMap, prediction: SegmentMap, window: Window, boundary_px: int) -> I64:
    """Count one window: rows of keys and counts."""
    around = window.expanded(boundary_px).intersection(Window.whole(reference.shape))
    inner = window.within(around)
    theirs, ours = reference.numbers(around), prediction.numbers(around)
    edge = [_boundary(plane, around, reference.shape, boundary_px)[inner].ravel() for plane in (theirs, ours)]
    key, place, pixels = np.unique((theirs[inner] << 32 | ours[inner]).ravel(), return_inverse=True, return_counts=True)
    marked = [np.bincount(place[mask], minlength=len(key)) for mask in (*edge, edge[0] & edge[1])]
    return np.stack([key, pixels, *marked])


def _boundary(plane: I64, around: Window, shape: tuple[int, int], boundary_px: int) -> npt.NDArray[np.bool_]:
    if not boundary_px:
        return np.zeros(plane.shape, np.bool_)
    beyond = (
        (boundary_px * (around.row_start == 0), boundary_px * (around.row_stop == shape[0])),
        (boundary_px * (around.col_start == 0), boundary_px * (around.col_stop == shape[1])),
    )
    framed = np.pad(plane, beyond, constant_values=-1)
    size = 2 * boundary_px + 1
    low, high = (f(framed, size, mode="nearest") for f in (ndimage.minimum_filter, ndimage.maximum_filter))
    rows, cols = plane.shape
    top, left = beyond[0][0], beyond[1][0]
    return np.asarray((low != high)[top : top + rows, left : left + cols])


def _together(parts: list[I64]) -> I64:
    """Put rows of keys and counts together, each key once."""
    if not parts:
        return np.zeros((5, 0), np.int64)
    table = np.concatenate(parts, axis=1)
    key, place = np.unique(table[0], return_inverse=True)
    sums = np.zeros((4, len(key)), np.int64)
    for row, counts in zip(sums, table[1:], strict=True):
        np.add.at(row, place, counts)
    return np.concatenate([key[None], sums])
