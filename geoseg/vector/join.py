"""Parts of a scene become one: regions by union-find over shared border pixels, arcs end to end."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from geoseg.vector.arcs import AT_NODE, CLOSED, OPEN, Arcs
from geoseg.vector.corner_groups import join_groups
from geoseg.vector.kernel import kernel
from geoseg.vector.patch import Patch
from geoseg.vector.point_table import slot_of, table_for
from geoseg.vector.regions import Sums, compact, union
from geoseg.vector.rings import Lines, pick_lines
from geoseg.vector.zonal import merge_bands, stack_bands

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]


@kernel
def add_sums(sums: Sums, number: I32, count: int) -> Sums:
    """Add up regions that are one: ``number`` is the new number of each, ``count`` how many there are."""
    label = np.zeros(count, np.int32)
    code = np.zeros(count, np.uint8)
    pixels = np.zeros(count, np.int64)
    weight = np.zeros(count, np.int64)
    known = np.zeros(count, np.int64)
    percent = np.zeros(count, np.int64)
    lowest = np.full(count, 255, np.uint8)
    last = np.full(count, -1, np.int64)
    for k in range(number.shape[0]):
        to = number[k]
        if to < 0:
            continue
        label[to] = sums.label[k]
        code[to] = sums.code[k]
        pixels[to] += sums.pixels[k]
        weight[to] += sums.weight[k]
        known[to] += sums.known[k]
        percent[to] += sums.percent[k]
        lowest[to] = min(lowest[to], sums.lowest[k])
        last[to] = max(last[to], sums.last[k])
    return Sums(label, code, pixels, weight, known, percent, lowest, last)


@kernel
def _runs_straight(arcs: Arcs, one: int, other: int) -> bool:
    """Tell whether two ends at the same point (2 arc + 0 or 1) go on into each other without a turn."""
    rows = np.empty(2, np.int64)
    cols = np.empty(2, np.int64)
    for n, end in enumerate((one, other)):
        first, last = arcs.offset[end >> 1], arcs.offset[(end >> 1) + 1] - 1
        at, to = (first, first + 1) if end & 1 == 0 else (last, last - 1)
        rows[n], cols[n] = arcs.points[to, 0] - arcs.points[at, 0], arcs.points[to, 1] - arcs.points[at, 1]
    return bool((rows[0] == 0 and rows[1] == 0) or (cols[0] == 0 and cols[1] == 0))


@kernel
def _partners(arcs: Arcs, known: tuple[int, int, int, int], shape: tuple[int, int]) -> I64:
    """Find for each end of an arc (2 arc + 0 or 1) the end that goes on from it, or -1; the others become nodes."""
    count = arcs.side.shape[0]
    table = table_for(2 * count)
    meeting = np.zeros(table.shape[0], np.int32)
    first = np.full(table.shape[0], -1, np.int64)
    partner = np.full(2 * count, -1, np.int64)
    slots = np.full(2 * count, -1, np.int64)
    for arc in range(count):
        for which in range(2):
            at = arcs.offset[arc] if which == 0 else arcs.offset[arc + 1] - 1
            state = arcs.end[arc, which]
            row, col = arcs.points[at, 0], arcs.points[at, 1]
            if state == CLOSED or not (known[0] <= row < known[1] and known[2] <= col < known[3]):
                continue
            slot = slot_of(table, row, col)
            slots[2 * arc + which] = slot
            meeting[slot] += 1 if state == OPEN else 3
    for end in range(2 * count):
        slot = slots[end]
        if slot < 0:
            continue
        if meeting[slot] != 2:
            arcs.end[end >> 1, end & 1] = AT_NODE
            continue
        if first[slot] < 0:
            first[slot] = end
            continue
        row, col = table[slot] >> 32, table[slot] & 0xFFFFFFFF
        on_edge = row == 0 or col == 0 or row == shape[0] or col == shape[1]
        if on_edge and not _runs_straight(arcs, end, first[slot]):
            arcs.end[end >> 1, end & 1] = arcs.end[first[slot] >> 1, first[slot] & 1] = AT_NODE
            continue
        partner[end] = first[slot]
        partner[first[slot]] = end
    return partner


@kernel
def _append(arcs: Arcs, arc: int, backwards: bool, points: I32, begin: int, used: int) -> int:
    """Copy an arc behind the line that began at ``begin``, leaving out the joint where the line runs straight on."""
    a, b = arcs.offset[arc], arcs.offset[arc + 1] - 1
    at, step = (b, -1) if backwards else (a, 1)
    if used > begin:
        row, col = points[used - 1, 0], points[used - 1, 1]
        same_row = points[used - 2, 0] == row and arcs.points[at + step, 0] == row
        same_col = points[used - 2, 1] == col and arcs.points[at + step, 1] == col
        if same_row or same_col:
            used -= 1
        at += step
    while a <= at <= b:
        points[used] = arcs.points[at]
        used += 1
        at += step
    return used


@kernel
def _close(points: I32, begin: int, used: int) -> tuple[int, bool]:
    """Turn a ring without nodes to its uppermost, leftmost corner and clockwise: (points used, whether reversed)."""
    n = used - begin - 1
    ring = points[begin : used - 1].copy()
    if (ring[0, 0] == ring[1, 0] == ring[n - 1, 0]) or (ring[0, 1] == ring[1, 1] == ring[n - 1, 1]):
        ring = ring[1:].copy()
        n -= 1
    low = 0
    for k in range(1, n):
        if ring[k, 0] < ring[low, 0] or (ring[k, 0] == ring[low, 0] and ring[k, 1] < ring[low, 1]):
            low = k
    backwards = ring[(low + 1) % n, 0] != ring[low, 0]
    step = -1 if backwards else 1
    for k in range(n + 1):
        points[begin + k] = ring[(low + step * k) % n]
    return begin + n + 1, backwards


@kernel
def _chain(arcs: Arcs, partner: I64) -> tuple[Arcs, I32]:
    count = arcs.side.shape[0]
    points = np.empty_like(arcs.points)
    offset = np.empty(count + 1, np.int64)
    side = np.empty((count, 2), np.int32)
    end = np.empty((count, 2), np.uint8)
    seen = np.zeros(count, np.bool_)
    origin = np.empty(count, np.int32)
    offset[0] = 0
    n = used = 0
    for seed in range(count):
        if seen[seed]:
            continue
        # go back to where the line begins, or once around
        entry = 2 * seed
        while partner[entry] >= 0:
            entry = partner[entry] ^ 1
            if entry == 2 * seed:
                break
        ring = partner[entry] >= 0
        begin = used
        side[n, 0], side[n, 1] = arcs.side[entry >> 1, entry & 1], arcs.side[entry >> 1, 1 - (entry & 1)]
        end[n, 0] = arcs.end[entry >> 1, entry & 1]
        here = entry
        while True:
            arc = here >> 1
            seen[arc] = True
            used = _append(arcs, arc, here & 1 == 1, points, begin, used)
            end[n, 1] = arcs.end[arc, 1 - (here & 1)]
            onward = partner[here ^ 1]
            if onward < 0 or onward == entry:
                break
            here = onward
        if ring:
            used, backwards = _close(points, begin, used)
            end[n, 0] = end[n, 1] = CLOSED
            if backwards:
                side[n, 0], side[n, 1] = side[n, 1], side[n, 0]
        origin[n] = -1 if ring or here != entry else seed
        n += 1
        offset[n] = used
    return Arcs(points[:used], offset[: n + 1], side[:n], end[:n]), origin[:n]


def join_arcs(arcs: Arcs, known: tuple[int, int, int, int], shape: tuple[int, int]) -> tuple[Arcs, I32]:
    """Join arcs end to end wherever exactly two open ends meet; on the scene's edge only where they run straight.

    Args:
        arcs: to be joined.
        known: first row, row behind the last, first column and column behind the last of the points where every line
            is there.
        shape: (rows, columns) of the scene.

    Returns:
        The joined arcs, and for each the arc that it was, or -1 where it is several.
    """
    return _chain(arcs, _partners(arcs, known, shape))


def stack_arcs(parts: Sequence[Arcs], regions: Sequence[int]) -> Arcs:
    """Put arcs of several parts into one table; ``regions`` is how many regions each part has."""
    points = np.concatenate([part.points for part in parts])
    starts = np.cumsum([0, *(len(part.points) for part in parts)])
    offset = np.concatenate([[0], *(part.offset[1:] + start for part, start in zip(parts, starts, strict=False))])
    firsts = np.cumsum([0, *regions])
    side = [np.where(part.side >= 0, part.side + first, -1) for part, first in zip(parts, firsts, strict=False)]
    end = np.concatenate([part.end for part in parts])
    return Arcs(points, offset.astype(np.int64), np.concatenate(side).astype(np.int32), end)


def _stack_lines(parts: Sequence[Lines]) -> Lines:
    points = np.concatenate([part.points for part in parts])
    starts = np.cumsum([0, *(len(part.points) for part in parts)])
    offset = np.concatenate([[0], *(part.offset[1:] + start for part, start in zip(parts, starts, strict=False))])
    straight = np.concatenate([part.straight for part in parts])
    return Lines(points, offset.astype(np.int64), parts[0].scale, straight)


def _joined_groups(parts: Sequence[Patch], number: I32, count: int) -> I32 | None:
    groups = [part.group for part in parts if part.group is not None]
    if not groups:
        return None
    firsts = np.cumsum([0, *(group.max(initial=-1) + 1 for group in groups)])
    stacked = np.concatenate([group + first for group, first in zip(groups, firsts, strict=False)])
    return join_groups(stacked.astype(np.int32), number, count)


def join_strip(carry: Patch | None, blocks: Sequence[Patch], bottom: int, shape: tuple[int, int]) -> Patch:
    """Join one row of blocks with each other and with all that was left open above.

    Args:
        carry: what is left from above, or None at the scene's upper edge.
        blocks: from left to right, without gaps.
        bottom: row behind the last row of the blocks.
        shape: (rows, columns) of the scene.
    """
    parts = [*blocks] if carry is None else [carry, *blocks]
    counts = [len(part.sums.code) for part in parts]
    firsts = dict(zip(map(id, parts), np.cumsum([0, *counts]), strict=False))
    parent = np.arange(sum(counts), dtype=np.int32)

    def numbered(part: Patch, border: I32) -> I32:
        return np.asarray(border + firsts[id(part)], np.int32)

    for left, right in pairwise(blocks):
        union(parent, numbered(left, left.east), numbered(right, right.west))
    if carry is not None:
        south = numbered(carry, carry.south)
        column = 0
        for block in blocks:
            width = len(block.north) - (block.west.size > 0)
            union(parent, south[column + width - len(block.north) : column + width], numbered(block, block.north))
            column += width
    number, count = compact(parent)
    stacked = Sums(*(np.concatenate(column) for column in zip(*(part.sums for part in parts), strict=True)))
    arcs = stack_arcs([part.arcs for part in parts], counts)
    arcs = arcs._replace(side=np.where(arcs.side >= 0, number[arcs.side], np.int32(-1)).astype(np.int32))
    south = np.concatenate([number[numbered(block, block.south)] for block in blocks])
    is_open = np.zeros(count, np.bool_)
    is_open[south] = True
    none = np.empty(0, np.int32)
    known = 0, bottom + (bottom == shape[0]), 0, shape[1] + 1
    joined, origin = join_arcs(arcs, known, shape)
    lines = _stack_lines([part.lines for part in parts])
    return Patch(
        sums=add_sums(stacked, number, count),
        bands=merge_bands(stack_bands([part.bands for part in parts]), number, count),
        arcs=joined,
        lines=pick_lines(lines, origin),
        is_open=is_open,
        group=_joined_groups(parts, number, count),
        known=known,
        north=none,
        south=south,
        west=none,
        east=none,
    )
