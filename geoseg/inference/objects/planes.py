"""Planes: pictures of objects that may overlap, as few as needed so that no two objects of one plane do."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geoseg.core.objects import ObjectTable
from geoseg.core.window import Window
from geoseg.vector.kernel import kernel

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Runs = tuple[I64, I32, I32, I32]


def runs_of(table: ObjectTable) -> Runs:
    """Return the masks of a table as plain arrays: first run of each object, rows, columns, lengths."""
    return table.first_run, table.run_row, table.run_col, table.run_length


def draw_planes(table: ObjectTable, window: Window, label: I32) -> list[I32]:
    """Draw the objects of a table in a window, each in the first plane where it covers none drawn before.

    Args:
        table: masks; they may go beyond the window.
        window: of the scene.
        label: (object,) value of its pixels; 0: it is not drawn.

    Returns:
        Planes (y, x) int32 over ``window``, 0 where there is no object; none without objects.
    """
    planes: list[I32] = []
    if not (label > 0).any():
        return planes
    left, cut = table.clipped(window)
    runs, origin = runs_of(cut), (window.row_start, window.col_start)
    for index, value in enumerate(label[left]):
        if value == 0:
            continue
        free = next((plane for plane in planes if _is_free(plane, runs, index, origin)), None)
        if free is None:
            free = np.zeros(window.shape, np.int32)
            planes.append(free)
        _fill(free, runs, index, origin, value)
    return planes


@kernel
def _is_free(plane: I32, runs: Runs, index: int, origin: tuple[int, int]) -> bool:
    first, row, col, length = runs
    for n in range(first[index], first[index + 1]):
        i, start = row[n] - origin[0], col[n] - origin[1]
        for j in range(start, start + length[n]):
            if plane[i, j] != 0:
                return False
    return True


@kernel
def _fill(plane: I32, runs: Runs, index: int, origin: tuple[int, int], value: int) -> None:
    first, row, col, length = runs
    for n in range(first[index], first[index + 1]):
        i, start = row[n] - origin[0], col[n] - origin[1]
        for j in range(start, start + length[n]):
            plane[i, j] = value


@kernel
def draw_by_rank(out: I32, runs: Runs, label: I32, rank: I32, origin: tuple[int, int]) -> None:
    """Draw masks, clipped to a window; of several objects a pixel goes to the one of the highest rank.

    Args:
        out: (y, x) labels over the window, 0 for none.
        runs: masks, as of ``runs_of``; they may go beyond the window.
        label: (object,) label of each mask; 0: it is not drawn.
        rank: (label + 1,) rank of each label, that of label 0 the lowest.
        origin: row and column of the window's first pixel.
    """
    first, row, col, length = runs
    rows, cols = out.shape
    for k in range(label.shape[0]):
        if label[k] == 0:
            continue
        for n in range(first[k], first[k + 1]):
            i = row[n] - origin[0]
            if 0 <= i < rows:
                start = max(col[n] - origin[1], 0)
                stop = min(col[n] - origin[1] + length[n], cols)
                for j in range(start, stop):
                    if rank[label[k]] > rank[out[i, j]]:
                        out[i, j] = label[k]
