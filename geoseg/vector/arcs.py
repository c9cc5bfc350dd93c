"""Arcs of a block: the boundaries between regions, each once, with the region on its left and on its right.

Points are the corners of pixels. Headings are 0 right, 1 down, 2 left, 3 up; turning right adds one. A block owns the
points at the upper left corner of its pixels (at the scene's end also those behind its last pixels) and the two sides
that lead from these to the right and down, so each side of each pixel belongs to exactly one block.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geoseg.vector.kernel import kernel
from geoseg.vector.regions import Runs, region_at

U8 = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.integer]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

_NODE = 16
_STOP = 32
AT_NODE, OPEN, CLOSED = 0, 1, 2


class Arcs(NamedTuple):
    """Boundary lines, as they are found in one block or joined from several.

    Attributes:
        points: (points, 2) int32 rows and columns of pixel corners; only those where a line turns or ends.
        offset: (arcs + 1) first point of each arc.
        side: (arcs, 2) region on the left and on the right.
        end: (arcs, 2) uint8 state of the first and the last point: a node, open (the line goes on elsewhere), or
            closed (a ring without any node).
    """

    points: I32
    offset: I64
    side: I32
    end: U8


@kernel
def _mark(labels: Labels, frame: tuple[bool, bool, bool, bool]) -> tuple[U8, np.int64]:
    """Note at each owned point which of its four sides are boundary and whether lines end there; count the sides.

    On the scene's edge a line ends wherever it turns, so that no simplification can move the edge.
    """
    rows, cols = labels.shape[0] - 1, labels.shape[1] - 1
    bits = np.zeros((rows, (cols + 7) // 8 * 8), np.uint8)
    total = np.int64(0)
    for i in range(rows):
        upper, lower, out = labels[i], labels[i + 1], bits[i]
        sides = np.int64(0)
        for j in range(cols):
            right = np.uint8(upper[j + 1] != lower[j + 1])
            down = np.uint8(lower[j] != lower[j + 1])
            left = np.uint8(upper[j] != lower[j])
            up = np.uint8(upper[j] != upper[j + 1])
            node = np.uint8(right + down + left + up >= 3)
            out[j] = right | (down << 1) | (left << 2) | (up << 3) | (node << 4)
            sides += np.int64(right + down)
        total += sides
    for j in range(cols):
        for i in (0, rows - 1):
            on_edge = (frame[0] and i == 0) or (frame[1] and i == rows - 1)
            if on_edge and bits[i, j] & 15 not in (0, 5, 10):
                bits[i, j] |= np.uint8(_NODE)
    for i in range(rows):
        for j in (0, cols - 1):
            on_edge = (frame[2] and j == 0) or (frame[3] and j == cols - 1)
            if on_edge and bits[i, j] & 15 not in (0, 5, 10):
                bits[i, j] |= np.uint8(_NODE)
    for j in range(cols):
        if bits[0, j] & 8:
            bits[0, j] = (bits[0, j] & np.uint8(0xF7)) | np.uint8(_STOP)
    for i in range(rows):
        if bits[i, 0] & 4:
            bits[i, 0] = (bits[i, 0] & np.uint8(0xFB)) | np.uint8(_STOP)
    return bits, total


@kernel
def _sides(runs: Runs, i: int, j: int, heading: int) -> tuple[np.int32, np.int32]:
    """Find the regions left and right of the side that leaves a point."""
    if heading == 0:
        return region_at(runs, i, j + 1), region_at(runs, i + 1, j + 1)
    if heading == 1:
        return region_at(runs, i + 1, j + 1), region_at(runs, i + 1, j)
    if heading == 2:
        return region_at(runs, i + 1, j), region_at(runs, i, j)
    return region_at(runs, i, j), region_at(runs, i, j + 1)


@kernel
def _follow(bits: U8, shape: tuple[int, int], start: tuple[int, int, int], points: I32, used: int) -> tuple[int, int]:
    """Walk one line from a point, take it out of ``bits`` and write its corners: (points used, state of its end)."""
    i, j, heading = start
    points[used, 0], points[used, 1] = i, j
    used += 1
    rows, cols = shape
    while True:
        if i < rows and j < cols:
            bits[i, j] &= np.uint8(0xFF ^ (1 << heading))
        if heading == 0:
            j += 1
        elif heading == 1:
            i += 1
        elif heading == 2:
            j -= 1
        else:
            i -= 1
        if i == rows or j == cols:
            state = OPEN
            break
        bits[i, j] &= np.uint8(0xFF ^ (1 << ((heading + 2) & 3)))
        here = bits[i, j]
        if here & 48:
            state = AT_NODE if here & 16 else OPEN
            break
        sides = here & 15
        if sides == 0:
            state = CLOSED
            break
        onward = 0 if sides == 1 else (1 if sides == 2 else (2 if sides == 4 else 3))
        if onward != heading:
            points[used, 0], points[used, 1] = i, j
            used += 1
            heading = onward
    points[used, 0], points[used, 1] = i, j
    return used + 1, state


@kernel
def _trace(bits: U8, shape: tuple[int, int], room: np.int64, runs: Runs) -> Arcs:
    rows, cols = shape
    points = np.empty((2 * room + 2, 2), np.int32)
    offset = np.empty(room + 1, np.int64)
    side = np.empty((room, 2), np.int32)
    end = np.empty((room, 2), np.uint8)
    offset[0] = 0
    n = used = 0
    for phase in range(4):
        # lines from nodes and from the block's first row and column; from below; from the right; then rings
        for i in range(rows - 1 if phase == 1 else 0, rows):
            line = bits[i]
            words = line.view(np.uint64)
            for word in range(words.shape[0]):
                if words[word] == 0:
                    continue
                for j in range(word * 8, min(word * 8 + 8, cols)):
                    for heading in range(4):
                        here = line[j]
                        if phase == 0:
                            starts = here & 48 != 0 and here & (1 << heading) != 0
                        elif phase == 1:
                            starts = heading == 3 and here & 2 != 0
                        elif phase == 2:
                            starts = heading == 2 and j == cols - 1 and here & 1 != 0
                        else:
                            starts = heading == 0 and here & 3 == 3
                        if not starts:
                            continue
                        row, col = rows if phase == 1 else i, cols if phase == 2 else j
                        side[n, 0], side[n, 1] = _sides(runs, row, col, heading)
                        used, end[n, 1] = _follow(bits, shape, (row, col, heading), points, used)
                        if phase == 0:
                            end[n, 0] = AT_NODE if here & 16 else OPEN
                        else:
                            end[n, 0] = CLOSED if phase == 3 else OPEN
                        n += 1
                        offset[n] = used
    return Arcs(points[:used], offset[: n + 1], side[:n], end[:n])


def trace_arcs(labels: Labels, runs: Runs, frame: tuple[bool, bool, bool, bool]) -> Arcs:
    """Trace the boundaries that a block owns; points are counted from the block's first row and column.

    Args:
        labels: (rows + 1, columns + 1) for a block that owns (rows, columns) points: one row above and one column to
            the left belong to its neighbours, or are the label of no polygon at the scene's edge.
        runs: of ``labels``.
        frame: whether the first row, last row, first column and last column of points are the scene's edge.
    """
    bits, sides = _mark(labels, frame)
    return _trace(bits, (labels.shape[0] - 1, labels.shape[1] - 1), sides, runs)
