"""Masks of objects: run lengths of a label image, and back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geoseg.core.objects import ObjectTable
from geoseg.core.window import Window
from geoseg.vector.kernel import kernel

Bools = npt.NDArray[np.bool_]
F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]


@kernel
def _runs_of(part: I32, count: int) -> tuple[I64, I32, I32, I32]:
    """List the runs of each part, part by part: (first run of each, rows, columns, lengths)."""
    rows, cols = part.shape
    first = np.zeros(count + 1, np.int64)
    for i in range(rows):
        for j in range(cols):
            here = part[i, j]
            if here >= 0 and (j == 0 or part[i, j - 1] != here):
                first[here + 1] += 1
    for k in range(count):
        first[k + 1] += first[k]
    fill = first[:-1].copy()
    row = np.empty(first[count], np.int32)
    col = np.empty(first[count], np.int32)
    length = np.empty(first[count], np.int32)
    for i in range(rows):
        start = 0
        for j in range(1, cols + 1):
            if j < cols and part[i, j] == part[i, start]:
                continue
            here = part[i, start]
            if here >= 0:
                n = fill[here]
                row[n], col[n], length[n] = i, start, j - start
                fill[here] += 1
            start = j
    return first, row, col, length


def table_of_labels(part: I32, window: Window, code: U8, is_open: Bools) -> ObjectTable:
    """Make a table of the parts in a label image; those without a pixel are left out, labels stay their numbers.

    Args:
        part: (rows, columns) over ``window``, 0 to the number of parts, or -1.
        window: of the scene.
        code: (part,) class of each part.
        is_open: (part,) whether there may be more of it outside.
    """
    first, row, col, length = _runs_of(part, len(code))
    some = np.flatnonzero(np.diff(first))
    return ObjectTable(
        label=some,
        code=code[some],
        score=np.ones(len(some), np.float32),
        open=is_open[some],
        first_run=np.append(first[some], first[-1]),
        run_row=row + np.int32(window.row_start),
        run_col=col + np.int32(window.col_start),
        run_length=length,
    )


@kernel
def _paint(out: I32, runs: tuple[I64, I32, I32, I32], label: I32, origin: tuple[int, int]) -> None:
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
                    out[i, j] = label[k]


def paint(out: I32, window: Window, table: ObjectTable, label: I32) -> None:
    """Write labels where the masks of objects are.

    Args:
        out: (rows, columns) over ``window``.
        window: of the scene; masks may go beyond it.
        table: masks.
        label: (object,) what to write; 0 writes nothing.
    """
    runs = table.first_run, table.run_row, table.run_col, table.run_length
    _paint(out, runs, label, (window.row_start, window.col_start))
