"""Selection of the points of a line to keep: Douglas-Peucker, and Visvalingam-Whyatt."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geoseg.vector.kernel import kernel

Bools = npt.NDArray[np.bool_]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]


@kernel
def farthest(xy: F64, first: int, last: int, beyond_ends: bool) -> tuple[int, float]:
    """Find the point between two others that is farthest from their chord: (its index, squared distance).

    Args:
        xy: (points, 2).
        first: index of the chord's first point.
        last: index of its last point.
        beyond_ends: measure from the chord's whole line, not from the chord.
    """
    x, y = xy[first]
    dx, dy = xy[last, 0] - x, xy[last, 1] - y
    length2 = dx * dx + dy * dy
    best, best_at = -1.0, first
    for k in range(first + 1, last):
        distance = _distance2(xy[k, 0] - x, xy[k, 1] - y, (dx, dy, length2), beyond_ends)
        if distance > best * (1 + 1e-12):
            best, best_at = distance, k
    return best_at, best


@kernel
def _distance2(x: float, y: float, chord: tuple[float, float, float], beyond_ends: bool) -> float:
    dx, dy, length2 = chord
    along = 0.0
    if length2 > 0:
        along = (x * dx + y * dy) / length2
        if not beyond_ends:
            along = min(max(along, 0.0), 1.0)
    return float((x - along * dx) ** 2 + (y - along * dy) ** 2)


@kernel
def keep_douglas_peucker(xy: F64, may: Bools, tolerance: float, keep: Bools) -> None:
    """Mark the points that keep every other one within a distance of the line through them.

    Args:
        xy: (points, 2).
        may: points to keep if that is enough; the others only where nothing else is left.
        tolerance: the distance.
        keep: where to mark.

    Source:
        Douglas and Peucker 1973, Algorithms for the reduction of the number of points required to represent a line.
    """
    n = xy.shape[0]
    keep[:n] = False
    keep[0] = keep[n - 1] = True
    stack = np.empty((n + 1, 2), np.int64)
    stack[0, 0], stack[0, 1] = 0, n - 1
    depth = 1
    while depth:
        depth -= 1
        first, last = stack[depth, 0], stack[depth, 1]
        at, far2 = farthest(xy, first, last, False)
        if far2 <= tolerance * tolerance * (1 + 1e-9):
            continue
        x, y = xy[first]
        dx, dy = xy[last, 0] - x, xy[last, 1] - y
        best = -1.0
        for k in range(first + 1, last):
            if may[k]:
                distance = _distance2(xy[k, 0] - x, xy[k, 1] - y, (dx, dy, dx * dx + dy * dy), False)
                if distance > best * (1 + 1e-12):
                    best, at = distance, k
        keep[at] = True
        stack[depth, 0], stack[depth, 1] = first, at
        stack[depth + 1, 0], stack[depth + 1, 1] = at, last
        depth += 2


@kernel
def _area(xy: F64, a: int, b: int, c: int) -> float:
    cross = (xy[b, 0] - xy[a, 0]) * (xy[c, 1] - xy[a, 1]) - (xy[c, 0] - xy[a, 0]) * (xy[b, 1] - xy[a, 1])
    return float(abs(cross) / 2)


@kernel
def _sift(heap: I32, where: I32, area: F64, entry: tuple[int, int]) -> None:
    """Move an entry (index, heap size) to where its area belongs; equal areas go by their order on the line."""
    at, size = entry
    item = heap[at]
    while at > 0:
        up = heap[(at - 1) // 2]
        if area[up] < area[item] or (area[up] == area[item] and up < item):
            break
        heap[at] = up
        where[up] = at
        at = (at - 1) // 2
    while 2 * at + 1 < size:
        to = 2 * at + 1
        down = heap[to]
        if to + 1 < size:
            other = heap[to + 1]
            if area[other] < area[down] or (area[other] == area[down] and other < down):
                to += 1
                down = other
        if area[item] < area[down] or (area[item] == area[down] and item < down):
            break
        heap[at] = down
        where[down] = at
        at = to
    heap[at] = item
    where[item] = at


@kernel
def keep_visvalingam(xy: F64, threshold: float, least: int, keep: Bools) -> None:
    """Mark the points that are left when those with the smallest triangles go first.

    Args:
        xy: (points, 2); both ends stay.
        threshold: smallest triangle to leave, in squared units of ``xy``.
        least: points to leave between the ends.
        keep: where to mark.

    Source:
        Visvalingam and Whyatt 1993, Line generalisation by repeated elimination of points.
    """
    n = xy.shape[0]
    keep[:n] = True
    if n <= 2 + least:
        return
    area = np.empty(n, np.float64)
    before = np.arange(-1, n - 1)
    after = np.arange(1, n + 1)
    heap = np.empty(n, np.int32)
    where = np.empty(n, np.int32)
    size = 0
    for k in range(1, n - 1):
        area[k] = _area(xy, k - 1, k, k + 1)
        heap[size] = k
        size += 1
        _sift(heap, where, area, (size - 1, size))
    while size > least:
        k = heap[0]
        if area[k] > threshold * (1 + 1e-9):
            break
        keep[k] = False
        size -= 1
        heap[0] = heap[size]
        if size:
            _sift(heap, where, area, (0, size))
        a, c = before[k], after[k]
        after[a], before[c] = c, a
        for other in (a, c):
            if 0 < other < n - 1:
                area[other] = _area(xy, before[other], other, after[other])
                _sift(heap, where, area, (where[other], size))
