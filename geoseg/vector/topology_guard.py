"""Shortcuts that keep the map's topology: no boundary is crossed, none is jumped over.

A chord may replace a part of an arc when no corner of any other line lies between the two (by the even-odd rule) or on
the chord. The corners are those of the lines as traced, so each arc can be judged alone, in any order: if a chord of
one arc crossed a chord of another, one of the four ends would lie between the other chord and its arc. For the same
reason only the lines around the two regions at the sides of an arc matter, so the answer does not depend on blocks.
"""

# numba types the integers of kernels itself; numpy's stubs see them otherwise
# mypy: disable-error-code="no-any-return, assignment, operator, arg-type"

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geoseg.vector.arcs import Arcs
from geoseg.vector.kernel import kernel

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

_FIRST_SHIFT = 3


class Corners(NamedTuple):
    """Corners of all lines, sorted into square cells.

    Attributes:
        start: (cell rows * cell columns + 1) first corner of each cell.
        point: index into the points of the arcs.
        arc: which arc each corner is of.
        origin: (row, column) of the first cell in pixels.
        columns: cells in a row.
        shift: log2 of a cell's side in pixels.
    """

    start: I64
    point: I32
    arc: I32
    origin: tuple[np.int64, np.int64]
    columns: np.int64
    shift: int


@kernel
def sort_corners(arcs: Arcs) -> Corners:
    """Sort the corners of arcs into cells: not many more cells than corners."""
    points = arcs.points
    top = west = np.int64(0)
    bottom = east = np.int64(0)
    if points.shape[0]:
        top, west = np.int64(points[0, 0]), np.int64(points[0, 1])
        bottom, east = top, west
    for k in range(points.shape[0]):
        top, bottom = min(top, np.int64(points[k, 0])), max(bottom, np.int64(points[k, 0]))
        west, east = min(west, np.int64(points[k, 1])), max(east, np.int64(points[k, 1]))
    shift = _FIRST_SHIFT
    while (((bottom - top) >> shift) + 1) * (((east - west) >> shift) + 1) > 2 * points.shape[0] + 65536:
        shift += 1
    columns = ((east - west) >> shift) + 1
    start = np.zeros((((bottom - top) >> shift) + 1) * columns + 1, np.int64)
    for k in range(points.shape[0]):
        start[((points[k, 0] - top) >> shift) * columns + ((points[k, 1] - west) >> shift) + 1] += 1
    for cell in range(start.shape[0] - 1):
        start[cell + 1] += start[cell]
    fill = start[:-1].copy()
    point = np.empty(points.shape[0], np.int32)
    owner = np.empty(points.shape[0], np.int32)
    for arc in range(arcs.side.shape[0]):
        for k in range(arcs.offset[arc], arcs.offset[arc + 1]):
            cell = ((points[k, 0] - top) >> shift) * columns + ((points[k, 1] - west) >> shift)
            point[fill[cell]] = k
            owner[fill[cell]] = arc
            fill[cell] += 1
    return Corners(start, point, owner, (top, west), columns, shift)


class Path(NamedTuple):
    """One arc, the way it is simplified; places on it are 2 k for its corner k and 2 k + 1 for the middle behind it.

    Attributes:
        points: (corners, 2) rows and columns in half pixels.
        arc: which arc it is, first point and number of sides.
        turned: a ring: how many corners it was turned by; else -1 where it runs backwards and 0 where it does not.
        closed: whether it is a ring without nodes.
    """

    points: I64
    arc: tuple[int, int, int]
    turned: np.int64
    closed: bool


@kernel
def position(path: Path, place: int) -> tuple[int, int]:
    """Locate a place, in half pixels."""
    k = place >> 1
    row, col = path.points[k, 0], path.points[k, 1]
    if place & 1:
        row = (row + path.points[k + 1, 0]) // 2
        col = (col + path.points[k + 1, 1]) // 2
    return row, col


@kernel
def _index(path: Path, point: int) -> int:
    """Find the place in the path of a point of its arc."""
    k = point - path.arc[1]
    if path.closed:
        k = (k - path.turned) % path.arc[2]
        return k if k else path.arc[2]
    return path.arc[2] - k if path.turned else k


@kernel
def _between(path: Path, ends: tuple[int, int], row: np.int64, col: np.int64) -> bool:
    """Return True if a point (half pixels) lies between an arc and its chord, or on the chord."""
    a, c = ends
    r0, c0 = position(path, c)
    r1, c1 = position(path, a)
    turn = (c1 - c0) * (row - r0) - (r1 - r0) * (col - c0)
    if turn == 0 and min(r0, r1) <= row <= max(r0, r1) and min(c0, c1) <= col <= max(c0, c1):
        return True
    odd = (r0 > row) != (r1 > row) and (turn > 0) == (r1 > r0)
    for k in range(a // 2 + 1, (c + 1) // 2 + 1):
        r0, c0 = r1, c1
        if 2 * k < c:
            r1, c1 = path.points[k, 0], path.points[k, 1]
        else:
            r1, c1 = position(path, c)
        if (r0 > row) != (r1 > row) and ((c1 - c0) * (row - r0) - (r1 - r0) * (col - c0) > 0) == (r1 > r0):
            odd = not odd
    return odd


@kernel
def distance2(row: float, col: float, chord: tuple[float, float]) -> float:
    """Square the distance of a point from a chord that starts at (0, 0)."""
    length2 = chord[0] ** 2 + chord[1] ** 2
    along = 0.0
    if length2 > 0:
        along = min(max((row * chord[0] + col * chord[1]) / length2, 0.0), 1.0)
    return (row - along * chord[0]) ** 2 + (col - along * chord[1]) ** 2


@kernel
def is_blocked(path: Path, points: I32, corners: Corners, ends: tuple[int, int]) -> bool:
    """Return True if a chord between two places of a path would cross or jump over another line, or the path itself.

    Args:
        path: the arc.
        points: of all arcs, in pixels.
        corners: the same, sorted.
        ends: two places on the path, in order.
    """
    a, c = ends
    r0, c0 = position(path, a)
    r1, c1 = position(path, c)
    chord = float(r1 - r0), float(c1 - c0)
    reach2 = 0.0
    for k in range(a // 2 + 1, (c + 1) // 2):
        reach2 = max(reach2, distance2(float(path.points[k, 0] - r0), float(path.points[k, 1] - c0), chord))
    reach = np.sqrt(reach2) + 1e-6
    size = 2 << corners.shift
    top, west = 2 * corners.origin[0], 2 * corners.origin[1]
    rows = (corners.start.shape[0] - 1) // corners.columns
    for i in range(
        max(int((min(r0, r1) - reach - top) // size), 0), min(int((max(r0, r1) + reach - top) // size), rows - 1) + 1
    ):
        low, high = float(min(c0, c1)), float(max(c0, c1))
        if r0 != r1 and c0 != c1:
            # only the part of the chord that is near this row of cells
            slope = chord[1] / chord[0]
            near = c0 + (top + i * size - reach - r0) * slope
            far = c0 + (top + (i + 1) * size + reach - r0) * slope
            low, high = max(low, min(near, far)), min(high, max(near, far))
        first = max(int((low - reach - west) // size), 0)
        last = min(int((high + reach - west) // size), corners.columns - 1)
        if last < first:
            continue
        for n in range(corners.start[i * corners.columns + first], corners.start[i * corners.columns + last + 1]):
            if corners.arc[n] == path.arc[0] and a < 2 * _index(path, corners.point[n]) < c:
                continue
            row, col = 2 * np.int64(points[corners.point[n], 0]), 2 * np.int64(points[corners.point[n], 1])
            if (row == r0 and col == c0) or (row == r1 and col == c1):
                continue
            if distance2(float(row - r0), float(col - c0), chord) <= reach * reach and _between(path, ends, row, col):
                return True
    return False
