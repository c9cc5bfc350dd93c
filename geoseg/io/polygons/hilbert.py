"""Positions along the Hilbert curve, for spatial sorting."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]


def hilbert_keys(x: I64, y: I64, bits: int) -> I64:
    """Number the cells of a square along the Hilbert curve.

    Args:
        x: column of each cell, 0 to ``2**bits - 1``.
        y: row, same shape.
        bits: levels of the curve, at most 31.

    Returns:
        Position of each cell on the curve, 0 to ``4**bits - 1``.

    Source:
        D. Hilbert, "Ueber die stetige Abbildung einer Linie auf ein Flaechenstueck", Math. Ann. 38 (1891): each
        quadrant is passed as the whole is, mirrored at a diagonal in the first and at the other one in the last.
    """
    x, y = x.astype(np.int64), y.astype(np.int64)
    key = np.zeros(x.shape, np.int64)
    for bit in range(bits - 1, -1, -1):
        right, lower = (x >> bit) & 1, (y >> bit) & 1
        key = (key << 2) | ((3 * right) ^ lower)
        last = (lower == 0) & (right == 1)
        x, y = np.where(last, ~x, x), np.where(last, ~y, y)
        x, y = np.where(lower == 0, y, x), np.where(lower == 0, x, y)
    return key
