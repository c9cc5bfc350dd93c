"""A hash table of pixel corners, for use inside kernels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geoseg.vector.kernel import kernel

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


@kernel
def table_for(points: int) -> I64:
    """Make an empty table with room for this many points."""
    size = 16
    while size < points * 2:
        size *= 2
    return np.full(size, -1, np.int64)


@kernel
def _first_slot(table: I64, key: np.int64) -> np.int64:
    # points come row by row: those of one row side by side in the table stay in the processor's cache
    return np.int64(((key >> 32) * 0x9E3779B1 + key) & (table.shape[0] - 1))


@kernel
def has_point(table: I64, point: I32) -> bool:
    """Tell whether a point (row, column) has been put into a table."""
    key = (np.int64(point[0]) << 32) | np.int64(point[1])
    slot = _first_slot(table, key)
    while table[slot] != key:
        if table[slot] == -1:
            return False
        slot = (slot + 1) & (table.shape[0] - 1)
    return True


@kernel
def slot_of(table: I64, row: int, col: int) -> np.int64:
    """Find the slot of a point; an unknown point takes a free one."""
    key = (np.int64(row) << 32) | np.int64(col)
    slot = _first_slot(table, key)
    while table[slot] != key:
        if table[slot] == -1:
            table[slot] = key
            break
        slot = (slot + 1) & (table.shape[0] - 1)
    return slot


@kernel
def heading_of(points: I32, at: int, to: int) -> int:
    """Tell the heading from one point to another in the same row or column: 0 right, 1 down, 2 left, 3 up."""
    if points[at, 0] == points[to, 0]:
        return 0 if points[to, 1] > points[at, 1] else 2
    return 1 if points[to, 0] > points[at, 0] else 3
