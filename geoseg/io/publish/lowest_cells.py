"""The cells of a raster with the lowest means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

CELL_PX = 8
"""Side of a cell, pixels of the raster that is searched."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A square of pixels.

    Attributes:
        rows: its rows.
        cols: its columns.
        mean: mean of its valid values.
    """

    rows: slice
    cols: slice
    mean: float


def lowest_cells(values: npt.NDArray[Any], valid: npt.NDArray[np.bool_], most: int, *, apart: int = 0) -> list[Cell]:
    """Find the cells of ``CELL_PX`` pixels a side with the lowest means, the lowest first.

    Cells of which less than half is valid are left out, and so are the rows and columns after the last whole cell.

    Args:
        values: raster (y, x).
        valid: the pixels that count (y, x).
        most: maximum number of cells.
        apart: cells that lie this many rows and columns of cells or fewer from a lower one are left out.

    Returns:
        The cells; of equal ones the uppermost, then leftmost, first.
    """
    rows, cols = (side // CELL_PX for side in values.shape)
    if not rows or not cols:
        return []
    cut = (slice(0, rows * CELL_PX), slice(0, cols * CELL_PX))
    parts = (rows, CELL_PX, cols, CELL_PX)
    counted = valid[cut].reshape(parts)
    sums = np.where(counted, values[cut].reshape(parts), 0).sum(axis=(1, 3), dtype=np.float64)
    count = counted.sum(axis=(1, 3))
    means = np.where(count * 2 >= CELL_PX**2, sums / np.maximum(count, 1), np.inf)
    left = np.isfinite(means)
    found: list[Cell] = []
    for index in np.argsort(means, axis=None, kind="stable").tolist():
        row, col = divmod(index, cols)
        if len(found) == most or not np.isfinite(means[row, col]):
            break
        if left[row, col]:
            left[max(0, row - apart) : row + apart + 1, max(0, col - apart) : col + apart + 1] = False
            at = [slice(start * CELL_PX, (start + 1) * CELL_PX) for start in (row, col)]
            found.append(Cell(at[0], at[1], float(means[row, col])))
    return found
