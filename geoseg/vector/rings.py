"""Rings of finished regions, put together from arcs: shells, holes and the order of everything."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geoseg.vector.arcs import CLOSED, Arcs
from geoseg.vector.ground import Metric, form_at
from geoseg.vector.kernel import kernel
from geoseg.vector.point_table import heading_of, slot_of, table_for

Bools = npt.NDArray[np.bool_]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

UNSURE = -2


class Lines(NamedTuple):
    """The shape in which arcs are drawn: their own points, or fewer.

    Attributes:
        points: (points, 2) int32 rows and columns in 1 / ``scale`` pixels.
        offset: (arcs + 1) first point of each arc; an arc without points is not drawn yet.
        scale: 1 for pixel corners, 2 where the middle of a side counts too.
        straight: (arcs) drawn arcs that would be straight, had nothing bent them.
    """

    points: I32
    offset: I64
    scale: int
    straight: Bools


class Measures(NamedTuple):
    """Per arc, seen from its left side.

    Attributes:
        area2: twice the signed area under the arc in squared 1 / scale pixels; adds up to a ring's.
        length: ground length in units of ``Metric.unit_m``.
        least: row * 2**32 + column of the arc's uppermost, leftmost point.
        least_at: its index, counted from the arc's first point.
    """

    area2: I64
    length: I64
    least: I64
    least_at: I32


class Rings(NamedTuple):
    """Closed sequences of half arcs: arc * 2 forward, arc * 2 + 1 backward; the region is on the left.

    Attributes:
        half: half arcs of all rings.
        offset: (rings + 1) first half arc of each ring.
        region: region of each ring.
        area2: twice the signed area; positive for a shell.
        least: see ``Measures``.
        points: number of points, the closing one included.
        length: ground length in units of ``Metric.unit_m``.
    """

    half: I64
    offset: I64
    region: I32
    area2: I64
    least: I64
    points: I64
    length: I64


@kernel
def pick_lines(lines: Lines, which: I32) -> Lines:
    """Pick lines by index; -1 stands for one that is not drawn yet."""
    offset = np.empty(which.shape[0] + 1, np.int64)
    offset[0] = 0
    for k in range(which.shape[0]):
        size = lines.offset[which[k] + 1] - lines.offset[which[k]] if which[k] >= 0 else 0
        offset[k + 1] = offset[k] + size
    points = np.empty((offset[-1], 2), np.int32)
    straight = np.zeros(which.shape[0], np.bool_)
    for k in range(which.shape[0]):
        straight[k] = which[k] >= 0 and lines.straight[which[k]]
        for n in range(offset[k + 1] - offset[k]):
            points[offset[k] + n, 0] = lines.points[lines.offset[which[k]] + n, 0]
            points[offset[k] + n, 1] = lines.points[lines.offset[which[k]] + n, 1]
    return Lines(points, offset, lines.scale, straight)


@kernel
def measure_arcs(lines: Lines, metric: Metric) -> Measures:
    """Measure each arc once, so that rings only add up."""
    count = lines.offset.shape[0] - 1
    area2 = np.zeros(count, np.int64)
    length = np.zeros(count, np.int64)
    least = np.full(count, -1, np.int64)
    least_at = np.zeros(count, np.int32)
    size = 1.0 / lines.scale
    unit = size / metric.unit_m
    for arc in range(count):
        first, stop = lines.offset[arc], lines.offset[arc + 1]
        if first == stop:
            continue
        r, c = np.int64(lines.points[first, 0]), np.int64(lines.points[first, 1])
        low = (r << 32) + c
        low_at = 0
        area = np.int64(0)
        for k in range(first + 1, stop):
            r1, c1 = np.int64(lines.points[k, 0]), np.int64(lines.points[k, 1])
            area += c1 * r - c * r1
            key = (r1 << 32) + c1
            if key < low:
                low = key
                low_at = k - first
            r, c = r1, c1
        area2[arc], least[arc], least_at[arc] = area, low, low_at
        total = np.int64(0)
        for k in range(first + 1, stop):
            dr = abs(lines.points[k, 0] - lines.points[k - 1, 0])
            dc = abs(lines.points[k, 1] - lines.points[k - 1, 1])
            # each step by the ground under it: where blocks end may decide which steps make up an arc
            at = (lines.points[k, 0] + lines.points[k - 1, 0]) * 0.5 * size
            down2, right2, inner = form_at(metric, at, (lines.points[k, 1] + lines.points[k - 1, 1]) * 0.5 * size)
            if dc == 0:
                total += np.int64(dr * np.sqrt(down2) * unit + 0.5)
            elif dr == 0:
                total += np.int64(dc * np.sqrt(right2) * unit + 0.5)
            else:
                slope = (lines.points[k, 0] - lines.points[k - 1, 0]) * (lines.points[k, 1] - lines.points[k - 1, 1])
                total += np.int64(np.sqrt(dr * dr * down2 + dc * dc * right2 + 2 * slope * inner) * unit + 0.5)
        length[arc] = total
    return Measures(area2, length, least, least_at)


class Links(NamedTuple):
    """Half arcs of regions (see ``Rings``), region by region, and for each half arc the one behind it."""

    half: I64
    follower: I64


@kernel
def link_arcs(arcs: Arcs, selected: Bools, kind: I32) -> Links:
    """Find the half arcs of regions and what follows each: -1 where it is not there, UNSURE where it is undecided.

    Args:
        arcs: boundaries.
        selected: regions to link.
        kind: differs between any two regions, unless they may turn out to be one.
    """
    count = arcs.side.shape[0]
    start = np.zeros(selected.shape[0] + 1, np.int64)
    for arc in range(count):
        for side in range(2):
            region = arcs.side[arc, side]
            if region >= 0 and selected[region]:
                start[region + 1] += 1
    for region in range(selected.shape[0]):
        start[region + 1] += start[region]
    half = np.empty(start[-1], np.int64)
    # three or more half arcs leave a node, though not all of them may be of closed regions
    table = table_for(half.shape[0] // 2 + 8)
    leaving = np.full((table.shape[0], 4), -1, np.int32)
    fill = start.copy()
    for arc in range(count):
        a, b = arcs.offset[arc], arcs.offset[arc + 1] - 1
        for side in range(2):
            region = arcs.side[arc, side]
            if region >= 0 and selected[region]:
                half[fill[region]] = arc * 2 + side
                fill[region] += 1
                if arcs.end[arc, 0] != CLOSED:
                    at, to = (a, a + 1) if side == 0 else (b, b - 1)
                    slot = slot_of(table, arcs.points[at, 0], arcs.points[at, 1])
                    leaving[slot, heading_of(arcs.points, at, to)] = arc * 2 + side
    follower = np.full(count * 2, -1, np.int64)
    for k in range(half.shape[0]):
        arc, side = half[k] >> 1, half[k] & 1
        if arcs.end[arc, 0] == CLOSED:
            follower[half[k]] = half[k]
            continue
        a, b = arcs.offset[arc], arcs.offset[arc + 1] - 1
        at, to = (b - 1, b) if side == 0 else (a + 1, a)
        heading = heading_of(arcs.points, at, to)
        slot = slot_of(table, arcs.points[to, 0], arcs.points[to, 1])
        # where a region touches itself at a corner, turning right crosses over: the touch then lies between two rings
        for turn in (1, 0, 3):
            candidate = leaving[slot, (heading + turn) & 3]
            if candidate < 0:
                continue
            region, other = arcs.side[arc, side], arcs.side[candidate >> 1, candidate & 1]
            if region == other:
                follower[half[k]] = candidate
                break
            if turn == 1 and kind[region] == kind[other]:
                follower[half[k]] = UNSURE
                break
    return Links(half, follower)


@kernel
def find_rings(arcs: Arcs, lines: Lines, measures: Measures, links: Links, selected: Bools) -> Rings:
    """Walk around every requested region; rings come region by region, in no order within a region."""
    half, follower = links.half, links.follower
    seen = np.zeros(follower.shape[0], np.bool_)
    out = np.empty(half.shape[0], np.int64)
    offset = np.empty(half.shape[0] + 1, np.int64)
    region = np.empty(half.shape[0], np.int32)
    area2 = np.zeros(half.shape[0], np.int64)
    least = np.empty(half.shape[0], np.int64)
    points = np.ones(half.shape[0], np.int64)
    length = np.zeros(half.shape[0], np.int64)
    offset[0] = 0
    n = used = 0
    for k in range(half.shape[0]):
        here = half[k]
        if seen[here] or not selected[arcs.side[here >> 1, here & 1]]:
            continue
        region[n] = arcs.side[here >> 1, here & 1]
        least[n] = np.iinfo(np.int64).max
        while not seen[here]:
            seen[here] = True
            out[used] = here
            used += 1
            arc = here >> 1
            area2[n] += -measures.area2[arc] if here & 1 else measures.area2[arc]
            least[n] = min(least[n], measures.least[arc])
            points[n] += lines.offset[arc + 1] - lines.offset[arc] - 1
            length[n] += measures.length[arc]
            here = follower[here]
        n += 1
        offset[n] = used
    return Rings(out[:used], offset[: n + 1], region[:n], area2[:n], least[:n], points[:n], length[:n])


@kernel
def draw_rings(
    rings: Rings, order: I64, lines: Lines, measures: Measures, affine: tuple[float, float, float, float, float, float]
) -> tuple[F64, I64]:
    """Write the coordinates of rings, each from its uppermost, leftmost point, counter-clockwise around its region.

    Args:
        rings: see ``find_rings``.
        order: which rings, in which order.
        lines: shapes of the arcs.
        measures: of ``lines``.
        affine: (a, b, c, d, e, f): x = a col + b row + c, y = d col + e row + f.

    Returns:
        (points, 2) x and y, and (rings + 1) the first point of each ring.
    """
    a, b, c0, d, e, f = affine
    # rings run counter-clockwise where rows grow downwards; a grid that is not mirrored so needs the other direction
    flip = a * e - b * d > 0
    offset = np.empty(order.shape[0] + 1, np.int64)
    offset[0] = 0
    for k in range(order.shape[0]):
        offset[k + 1] = offset[k] + rings.points[order[k]]
    out = np.empty((offset[-1], 2), np.float64)
    size = 1.0 / lines.scale
    for k in range(order.shape[0]):
        ring = order[k]
        n = rings.points[ring] - 1
        skip = 0
        for h in range(rings.offset[ring], rings.offset[ring + 1]):
            arc = rings.half[h] >> 1
            inner = lines.offset[arc + 1] - lines.offset[arc] - 1
            if measures.least[arc] == rings.least[ring]:
                skip += measures.least_at[arc] if rings.half[h] & 1 == 0 else inner - measures.least_at[arc]
                break
            skip += inner
        skip %= n
        position = n - skip
        for h in range(rings.offset[ring], rings.offset[ring + 1]):
            arc = rings.half[h] >> 1
            inner = lines.offset[arc + 1] - lines.offset[arc] - 1
            at = lines.offset[arc] if rings.half[h] & 1 == 0 else lines.offset[arc + 1] - 1
            step = 1 if rings.half[h] & 1 == 0 else -1
            for _ in range(inner):
                if position >= n:
                    position -= n
                row, col = lines.points[at, 0] * size, lines.points[at, 1] * size
                place = offset[k] + (n - position if flip and position else position)
                out[place, 0] = a * col + b * row + c0
                out[place, 1] = d * col + e * row + f
                position += 1
                at += step
        out[offset[k] + n] = out[offset[k]]
    return out, offset
