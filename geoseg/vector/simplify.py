"""Arcs with fewer corners: pixel stairs straightened, then Visvalingam-Whyatt or Douglas-Peucker, topology kept."""

# numba types the integers of kernels itself; numpy's stubs see them otherwise
# mypy: disable-error-code="no-any-return, assignment, arg-type"

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geoseg.vector.arcs import AT_NODE, CLOSED, OPEN, Arcs
from geoseg.vector.ground import Metric, form_at
from geoseg.vector.kernel import kernel
from geoseg.vector.point_table import has_point, slot_of, table_for
from geoseg.vector.rings import UNSURE, Lines, Links
from geoseg.vector.thinning import farthest, keep_douglas_peucker, keep_visvalingam
from geoseg.vector.topology_guard import Corners, Path, distance2, is_blocked, position, sort_corners

Bools = npt.NDArray[np.bool_]
F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

_LONG_PX = 2


class Tolerance(NamedTuple):
    """How to simplify.

    Attributes:
        metres: the tolerance.
        by_area: Visvalingam-Whyatt; else Douglas-Peucker.
        smooth: straighten pixel stairs first.
    """

    metres: float
    by_area: bool
    smooth: bool


@kernel
def _run_px(path: Path, k: int) -> np.int64:
    """Measure a side; both halves of the one in whose middle a ring begins."""
    points, last = path.points, path.points.shape[0] - 2
    length = abs(points[k + 1, 0] - points[k, 0]) + abs(points[k + 1, 1] - points[k, 1])
    if last == path.arc[2] and k in (0, last):
        other = last - k
        length += abs(points[other + 1, 0] - points[other, 0]) + abs(points[other + 1, 1] - points[other, 1])
    return length // 2


@kernel
def _load(arcs: Arcs, arc: int, room: I64) -> Path:
    """Copy an arc into ``room``, in the direction that any tracing of it would lead to."""
    base, stop = arcs.offset[arc], arcs.offset[arc + 1]
    n = stop - base
    closed = arcs.end[arc, 0] == CLOSED
    backwards = False
    if not closed:
        a, b = base, stop - 1
        if arcs.points[a, 0] == arcs.points[b, 0] and arcs.points[a, 1] == arcs.points[b, 1]:
            a, b = base + 1, stop - 2
        backwards = arcs.points[b, 0] < arcs.points[a, 0] or (
            arcs.points[b, 0] == arcs.points[a, 0] and arcs.points[b, 1] < arcs.points[a, 1]
        )
    for k in range(n):
        at = stop - 1 - k if backwards else base + k
        room[k, 0], room[k, 1] = 2 * np.int64(arcs.points[at, 0]), 2 * np.int64(arcs.points[at, 1])
    return Path(room[:n], (arc, base, n - 1), np.int64(backwards), closed)


@kernel
def _turn(path: Path, smooth: bool, room: I64) -> Path:
    """Turn a ring without nodes so that it begins at a place far from its first corner, which a simpler ring keeps."""
    n = path.arc[2]
    best, best_at, middle = np.int64(-1), 0, False
    for k in range(n):
        corner = not smooth or min(_run_px(path, k), _run_px(path, (k - 1) % n)) >= _LONG_PX
        onward = not smooth or min(_run_px(path, k), _run_px(path, (k + 1) % n)) >= _LONG_PX
        for half in range(2):
            if (half == 0 and not corner) or (half == 1 and corner and onward):
                continue
            row, col = position(path, 2 * k + half)
            distance = (row - path.points[0, 0]) ** 2 + (col - path.points[0, 1]) ** 2
            if distance > best:
                best, best_at, middle = distance, k, half == 1
    start = 0
    if middle:
        room[0, 0], room[0, 1] = position(path, 2 * best_at + 1)
        start = 1
    for k in range(n + 1 - start):
        room[start + k] = path.points[(best_at + start + k) % n]
    size = n + 1
    if middle:
        room[n] = path.points[best_at]
        room[n + 1] = room[0]
        size = n + 2
    return Path(room[:size], path.arc, best_at, True)


@kernel
def _list_places(path: Path, smooth: bool, places: I32, may: Bools) -> int:
    """List the corners of a path and the middles of its runs, in order, and which of them a simpler line goes through.

    Smoothed, a line goes through the middle of each straight run instead of through the corners between them: the runs
    of a digital straight line then lie on one line. Corners where both runs are long are corners of the thing itself.
    """
    last = path.points.shape[0] - 1
    # a ring that begins in the middle of a run has half a run at each end, whose own middle is no place
    halved = last == path.arc[2] + 1
    n = 0
    corner = True
    for k in range(last):
        places[n], may[n] = 2 * k, corner
        n += 1
        onward = not smooth or k + 1 == last or min(_run_px(path, k), _run_px(path, k + 1)) >= _LONG_PX
        if not (corner and onward) and not (halved and (k == 0 or k + 1 == last)):
            places[n], may[n] = 2 * k + 1, True
            n += 1
        corner = onward
    places[n], may[n] = 2 * last, True
    return n + 1


@kernel
def _choose(xy: F64, may: Bools, tolerance: Tolerance, least: int, keep: Bools) -> None:
    """Mark the points to keep; at least ``least`` between the ends, not all in one line."""
    n = xy.shape[0]
    if tolerance.by_area:
        chosen = np.flatnonzero(may)
        some = np.empty(chosen.shape[0], np.bool_)
        keep_visvalingam(xy[chosen], tolerance.metres**2, least, some)
        keep[:n] = False
        keep[chosen] = some
    else:
        keep_douglas_peucker(xy, may, tolerance.metres, keep)
    inner = 0
    first = -1
    for k in range(1, n - 1):
        if keep[k]:
            inner += 1
            if first < 0:
                first = k
    if inner > least or least == 0 or n <= 2:
        return
    if least == 1:
        flat, _ = farthest(xy, 0, n - 1, True)
        keep[flat] = True
        return
    if inner == 0:
        first, _ = farthest(xy, 0, n - 1, False)
        keep[first] = True
    # of a ring: the point farthest from the line through the two that are kept, on whichever side of them
    best, best_at = 0.0, -1
    flat_ring = True
    dx, dy = xy[first, 0] - xy[0, 0], xy[first, 1] - xy[0, 1]
    for k in range(1, n - 1):
        off = abs(dx * (xy[k, 1] - xy[0, 1]) - dy * (xy[k, 0] - xy[0, 0]))
        if off > best * (1 + 1e-12):
            best, best_at = off, k
        flat_ring &= not keep[k] or off <= 1e-9 * (dx * dx + dy * dy)
    if flat_ring:
        keep[best_at] = True


@kernel
def _insert(path: Path, ends: tuple[int, int]) -> int:
    """Find the corner of the path between two places that is farthest from their chord."""
    r0, c0 = position(path, ends[0])
    r1, c1 = position(path, ends[1])
    chord = float(r1 - r0), float(c1 - c0)
    best, best_at = -1.0, -1
    for k in range(ends[0] // 2 + 1, (ends[1] + 1) // 2):
        distance = distance2(float(path.points[k, 0] - r0), float(path.points[k, 1] - c0), chord)
        if distance > best:
            best, best_at = distance, k
    return 2 * best_at


@kernel
def _draw(path: Path, points: I32, corners: Corners, chosen: I32, out: I32) -> int:
    """Write the line through the chosen places; where a chord is blocked, through corners of the path in between."""
    stack = np.empty(path.points.shape[0] + 2, np.int32)
    here = chosen[0]
    out[0, 0], out[0, 1] = position(path, here)
    n = 1
    for k in range(1, chosen.shape[0]):
        stack[0] = chosen[k]
        depth = 1
        while depth:
            there = stack[depth - 1]
            if (
                there // 2 > here // 2
                and (there + 1) // 2 > here // 2 + 1
                and is_blocked(path, points, corners, (here, there))
            ):
                stack[depth] = _insert(path, (here, there))
                depth += 1
                continue
            depth -= 1
            here = there
            out[n, 0], out[n, 1] = position(path, here)
            n += 1
    return n


@kernel
def _place(path: Path, places: I32, metric: Metric, xy: F64) -> None:
    """Lay places out on flat ground, in metres."""
    low_r = high_r = path.points[0, 0]
    low_c = high_c = path.points[0, 1]
    for k in range(path.points.shape[0]):
        low_r, high_r = min(low_r, path.points[k, 0]), max(high_r, path.points[k, 0])
        low_c, high_c = min(low_c, path.points[k, 1]), max(high_c, path.points[k, 1])
    down2, right2, inner = form_at(metric, (low_r + high_r) / 4, (low_c + high_c) / 4)
    right = np.sqrt(right2)
    slant, down = inner / right, np.sqrt(max(down2 - inner * inner / right2, 0.0))
    for k in range(places.shape[0]):
        row, col = position(path, places[k])
        row, col = (row - low_r) / 2, (col - low_c) / 2
        xy[k, 0], xy[k, 1] = col * right + row * slant, row * down


class _Room(NamedTuple):
    """Scratch space, long enough for the longest arc."""

    path: I64
    turned: I64
    places: I32
    may: Bools
    keep: Bools
    xy: F64


@kernel
def _simplify(
    arcs: Arcs, corners: Corners, arc: int, least: int, how: tuple[Metric, Tolerance], room: _Room, out: I32
) -> int:
    """Write a simpler line for one arc and return its number of points."""
    metric, tolerance = how
    path = _load(arcs, arc, room.path)
    if path.closed:
        path = _turn(path, tolerance.smooth, room.turned)
    n = _list_places(path, tolerance.smooth, room.places, room.may)
    xy = room.xy[:n]
    _place(path, room.places[:n], metric, xy)
    if xy[0, 0] == xy[n - 1, 0] and xy[0, 1] == xy[n - 1, 1]:
        least = 2
    _choose(xy, room.may[:n], tolerance, least, room.keep)
    chosen = room.places[:n][room.keep[:n]]
    n = _draw(path, arcs.points, corners, chosen, out)
    if not path.closed and path.turned:
        out[:n] = out[:n][::-1].copy()
    return n


@kernel
def _at_unfinished(arcs: Arcs) -> I64:
    """Find the nodes from which a line leads out of what is known."""
    count = 0
    for arc in range(arcs.side.shape[0]):
        count += (arcs.end[arc, 0] == OPEN) != (arcs.end[arc, 1] == OPEN)
    table = table_for(count)
    for arc in range(arcs.side.shape[0]):
        if (arcs.end[arc, 0] == OPEN) != (arcs.end[arc, 1] == OPEN):
            at = arcs.offset[arc] if arcs.end[arc, 0] == AT_NODE else arcs.offset[arc + 1] - 1
            slot_of(table, arcs.points[at, 0], arcs.points[at, 1])
    return table


@kernel
def _leads_out(point: I32, known: tuple[int, int, int, int], unfinished: I64) -> bool:
    """Tell whether a line may lead from a node out of what is known."""
    if not (known[0] <= point[0] < known[1] and known[2] <= point[1] < known[3]):
        return True
    return has_point(unfinished, point)


@kernel
def simplify_arcs(  # noqa: PLR0915 - one kernel, three passes over the same buffers
    arcs: Arcs,
    regions: tuple[Bools, Bools],
    before: Lines,
    links: Links,
    known: tuple[int, int, int, int],
    how: tuple[Metric, Tolerance],
) -> tuple[Lines, Bools]:
    """Draw the arcs around closed regions with fewer points.

    Two arcs that alone enclose a region must not both become one straight line: then each keeps a point between its
    ends. Where it cannot be known yet whether an arc is one of such two, the region at its side has to wait.

    Args:
        arcs: as traced; every arc around the two regions at the sides of a closed one is there.
        regions: which regions nothing outside can change, and which arcs to draw.
        before: arcs that are drawn already; the others have no points.
        links: of all regions that are drawn at some time.
        known: see ``Patch``.
        how: sizes of pixels, and how far to go.

    Returns:
        Lines in half pixels (an arc that was not to be drawn, now or before, has no points), and the
        closed regions that have to wait.
    """
    closed, ready = regions
    count = arcs.side.shape[0]
    longest = total = 0
    for arc in range(count):
        n = arcs.offset[arc + 1] - arcs.offset[arc]
        longest = max(longest, n)
        total += max(2 * n + 2, before.offset[arc + 1] - before.offset[arc])
    corners = sort_corners(arcs)
    size = 2 * longest + 4
    room = _Room(
        np.empty((longest + 2, 2), np.int64),
        np.empty((longest + 2, 2), np.int64),
        np.empty(size, np.int32),
        np.empty(size, np.bool_),
        np.empty(size, np.bool_),
        np.empty((size, 2), np.float64),
    )
    out = np.empty((total, 2), np.int32)
    start = np.empty(count, np.int64)
    length = np.zeros(count, np.int64)
    straight = np.zeros(count, np.bool_)
    used = 0
    for arc in range(count):
        a, b = before.offset[arc], before.offset[arc + 1]
        start[arc] = used
        if b > a:
            out[used : used + b - a] = before.points[a:b]
            length[arc] = b - a
            straight[arc] = before.straight[arc]
        elif ready[arc]:
            length[arc] = _simplify(arcs, corners, arc, 0, how, room, out[used:])
            straight[arc] = length[arc] == 2
        used += max(2 * (arcs.offset[arc + 1] - arcs.offset[arc]) + 2, length[arc])

    waits = np.zeros(closed.shape[0], np.bool_)
    unfinished = _at_unfinished(arcs)
    spare = np.empty((2 * longest + 2, 2), np.int32)
    for arc in range(count):
        a, b = arcs.offset[arc], arcs.offset[arc + 1] - 1
        if not straight[arc] or before.offset[arc + 1] > before.offset[arc] or b - a < 2:
            continue
        bent = unsure = False
        for side in range(2):
            region = arcs.side[arc, side]
            if region < 0:
                continue
            other = links.follower[2 * arc + side]
            if other >= 0 and links.follower[other] == 2 * arc + side:
                paired = other >> 1
                if length[paired] == 0:
                    straight[paired] = _simplify(arcs, corners, paired, 0, how, room, spare) == 2
                bent |= straight[paired]
            elif other == UNSURE:
                unsure = True
            elif not closed[region]:
                unsure |= _leads_out(arcs.points[a], known, unfinished) and _leads_out(
                    arcs.points[b], known, unfinished
                )
        if bent:
            length[arc] = _simplify(arcs, corners, arc, 1, how, room, out[start[arc] :])
        elif unsure:
            length[arc] = 0
            for side in range(2):
                region = arcs.side[arc, side]
                if region >= 0 and closed[region]:
                    waits[region] = True
    offset = np.empty(count + 1, np.int64)
    offset[0] = 0
    for arc in range(count):
        offset[arc + 1] = offset[arc] + length[arc]
    points = np.empty((offset[-1], 2), np.int32)
    for arc in range(count):
        points[offset[arc] : offset[arc + 1]] = out[start[arc] : start[arc] + length[arc]]
    return Lines(points, offset, 2, straight), waits
