"""Distance of each pixel to the nearest pixel of another class, exact up to a bound."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geoseg.vector.kernel import kernel

Bools = npt.NDArray[np.bool_]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]


@kernel
def _vertical(codes: U8, reach_px: int) -> I32:
    """Measure the distance to the nearest pixel of another class in the same column, at most ``reach_px``."""
    rows, cols = codes.shape
    out = np.full((rows, cols), reach_px, np.int32)
    for i in range(1, rows):
        for j in range(cols):
            out[i, j] = 1 if codes[i, j] != codes[i - 1, j] else min(out[i - 1, j] + 1, reach_px)
    for i in range(rows - 2, -1, -1):
        for j in range(cols):
            near = 1 if codes[i, j] != codes[i + 1, j] else out[i + 1, j] + 1
            out[i, j] = min(out[i, j], near)
    return out


@kernel
def squared_distance(codes: U8, selected: Bools, reach_px: int) -> I32:
    """Measure the squared Euclidean distance between the centre of each pixel and the nearest one of another class.

    What lies outside the array is no other class. So the result depends on nothing farther away than ``reach_px``.

    Args:
        codes: (rows, columns).
        selected: (256) classes to measure; pixels of others get 0.
        reach_px: the largest distance, pixels; longer ones are this.

    Returns:
        (rows, columns) int32, 1 to ``reach_px`` squared.

    Source:
        Saito and Toriwaki 1994: one dimension after the other. Classes side by side: seung-lab's edt (Silversmith).
    """
    rows, cols = codes.shape
    vertical = _vertical(codes, reach_px)
    out = np.zeros((rows, cols), np.int32)
    for i in range(rows):
        line, column = codes[i], vertical[i]
        for j in range(cols):
            code = line[j]
            if not selected[code]:
                continue
            best = column[j] * column[j]
            left = right = True
            step = 1
            while step * step < best and (left or right):
                square = step * step
                if left and j >= step:
                    left = line[j - step] == code
                    best = min(best, square + (column[j - step] * column[j - step] if left else 0))
                if right and j + step < cols:
                    right = line[j + step] == code
                    best = min(best, square + (column[j + step] * column[j + step] if right else 0))
                step += 1
            out[i, j] = best
    return out
