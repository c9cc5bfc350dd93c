"""Small regions go to their neighbours before anything is drawn: in the graph of regions, not in the raster.

Regions below the minimum that touch each other form a cluster. Nothing outside a cluster but the classes around it has
a say in what becomes of it, so each cluster is settled as soon as all its members are whole, wherever blocks end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geoseg.vector.arcs import AT_NODE, CLOSED, OPEN, Arcs
from geoseg.vector.ground import PixelGround
from geoseg.vector.join import add_sums, join_arcs
from geoseg.vector.kernel import kernel
from geoseg.vector.patch import Patch
from geoseg.vector.point_table import has_point, slot_of, table_for
from geoseg.vector.polygons import pick_arcs
from geoseg.vector.regions import Sums, compact, find_root
from geoseg.vector.rings import pick_lines
from geoseg.vector.spec import VectorSpec
from geoseg.vector.zonal import merge_bands

Bools = npt.NDArray[np.bool_]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]


class Minimum(NamedTuple):
    """What is too small.

    Attributes:
        weight: (256) minimum of each class, in the unit of ``Sums.weight``.
        nodata: code of the pixels that belong to no polygon.
        step: relative lengths of one step down and one step right.
        shape: (rows, columns) of the scene.
    """

    weight: I64
    nodata: int
    step: tuple[int, int]
    shape: tuple[int, int]


_MOST_WEIGHT = 2**62
"""More than any region weighs."""


def minimum_of(spec: VectorSpec, ground: PixelGround, nodata: int, shape: tuple[int, int]) -> Minimum:
    """Turn square metres into what regions are counted in."""
    weight = [
        int(min(np.ceil(spec.min_area_of(code) / ground.unit_m2 * (1 - 1e-9)), _MOST_WEIGHT)) for code in range(256)
    ]
    middle = [side[side.shape[0] // 2, side.shape[1] // 2] for side in ground.metric.form[:2]]
    step = tuple(int(np.rint(1024 * np.sqrt(side / max(middle)))) for side in middle)
    return Minimum(np.array(weight, np.int64), nodata, (step[0], step[1]), shape)


def absorb(patch: Patch, minimum: Minimum) -> tuple[Patch, Bools]:
    """Merge regions below the minimum into the class they share the longest boundary with.

    All neighbours of that class become one region with it. A region without any neighbour stays.

    Args:
        patch: a block, or blocks joined.
        minimum: what is too small.

    Returns:
        The patch after it, and the regions about which too little is known yet.
    """
    small = _small(patch.sums, minimum)
    settled = small & ~_unsettled(patch.arcs, small, patch.is_open)
    if settled.any():
        patch = _merged(patch, *_merge(patch.arcs, patch.sums, settled, minimum), minimum.shape)
        small = _small(patch.sums, minimum)
    return patch, _unsettled(patch.arcs, small, patch.is_open)


def _small(sums: Sums, minimum: Minimum) -> Bools:
    return np.asarray((sums.code != minimum.nodata) & (sums.weight < minimum.weight[sums.code]))


@kernel
def beside(arcs: Arcs, unsettled: Bools) -> Bools:
    """Find regions whose bounding rectangles meet that of something unsettled, which may still change their lines."""
    count = unsettled.shape[0]
    out = unsettled.copy()
    for arc in range(arcs.side.shape[0]):
        left, right = arcs.side[arc]
        if left >= 0 and right >= 0 and (unsettled[left] or unsettled[right]):
            out[left] = out[right] = True
    box = np.empty((count, 4), np.int32)
    box[:, :2] = np.iinfo(np.int32).max
    box[:, 2:] = -1
    for arc in range(arcs.side.shape[0]):
        for side in range(2):
            region = arcs.side[arc, side]
            if region >= 0:
                for k in range(arcs.offset[arc], arcs.offset[arc + 1]):
                    row, col = arcs.points[k]
                    box[region, 0], box[region, 1] = min(box[region, 0], row), min(box[region, 1], col)
                    box[region, 2], box[region, 3] = max(box[region, 2], row), max(box[region, 3], col)
    # sweep from top to bottom, so that only rectangles of like rows are compared
    some = np.flatnonzero(unsettled)
    some = some[np.argsort(box[some, 0])]
    tallest = 0
    for region in some:
        tallest = max(tallest, box[region, 2] - box[region, 0])
    tops = box[some, 0]
    for region in range(count):
        if out[region] or box[region, 2] < 0:
            continue
        for n in range(np.searchsorted(tops, box[region, 0] - tallest), some.shape[0]):
            other = some[n]
            if box[other, 0] > box[region, 2]:
                break
            if box[other, 2] >= box[region, 0] and box[other, 1] <= box[region, 3] and box[other, 3] >= box[region, 1]:
                out[region] = True
                break
    return out


@kernel
def _unsettled(arcs: Arcs, small: Bools, is_open: Bools) -> Bools:
    """Find small regions that touch, over any number of small ones, a small one that may go on elsewhere."""
    parent = np.arange(small.shape[0]).astype(np.int32)
    for arc in range(arcs.side.shape[0]):
        left, right = arcs.side[arc]
        if left >= 0 and right >= 0 and small[left] and small[right]:
            one, other = find_root(parent, left), find_root(parent, right)
            parent[max(one, other)] = min(one, other)
    out = np.zeros(small.shape[0], np.bool_)
    for region in range(small.shape[0]):
        if small[region] and is_open[region]:
            out[find_root(parent, region)] = True
    for region in range(small.shape[0]):
        out[region] = small[region] and out[find_root(parent, region)]
    return out


@kernel
def _merge(  # noqa: PLR0915 - one kernel: numba would copy the arrays between several
    arcs: Arcs, sums: Sums, settled: Bools, minimum: Minimum
) -> tuple[U8, I32]:
    """Give settled regions their new codes, smallest first, until none is too small or has no neighbour."""
    count = settled.shape[0]
    code = sums.code.copy()
    weight = sums.weight.copy()
    parent = np.arange(count).astype(np.int32)
    # arcs of each settled region, and the settled regions of each cluster as chains
    start = np.zeros(count + 1, np.int64)
    for arc in range(arcs.side.shape[0]):
        for side in range(2):
            region = arcs.side[arc, side]
            if region >= 0 and settled[region]:
                start[region + 1] += 1
    for region in range(count):
        start[region + 1] += start[region]
    half = np.empty(start[-1], np.int64)
    length = np.zeros(arcs.side.shape[0], np.int64)
    fill = start.copy()
    for arc in range(arcs.side.shape[0]):
        for side in range(2):
            region = arcs.side[arc, side]
            if region >= 0 and settled[region]:
                half[fill[region]] = 2 * arc + side
                fill[region] += 1
        for k in range(arcs.offset[arc] + 1, arcs.offset[arc + 1]):
            length[arc] += minimum.step[0] * abs(arcs.points[k, 0] - arcs.points[k - 1, 0])
            length[arc] += minimum.step[1] * abs(arcs.points[k, 1] - arcs.points[k - 1, 1])
    onward = np.full(count, -1, np.int32)
    tail = np.arange(count).astype(np.int32)
    large = ~settled
    shared = np.zeros(256, np.int64)
    changed = True
    while changed:
        changed = False
        roots = np.array([k for k in range(count) if settled[k] and parent[k] == k])
        roots = roots[np.argsort(sums.last[roots], kind="mergesort")]
        roots = roots[np.argsort(weight[roots], kind="mergesort")]
        for seed in roots:
            if parent[seed] != seed or large[seed] or weight[seed] >= minimum.weight[code[seed]]:
                continue
            shared[:] = 0
            region = seed
            while region >= 0:
                for n in range(start[region], start[region + 1]):
                    other = arcs.side[half[n] >> 1, 1 - (half[n] & 1)]
                    if other >= 0 and code[find_root(parent, other)] != minimum.nodata:
                        root = find_root(parent, other)
                        if root != seed:
                            shared[code[root]] += length[half[n] >> 1]
                region = onward[region]
            to = np.argmax(shared)
            if shared[to] == 0:
                continue
            changed = True
            code[seed] = to
            region = seed
            end = tail[seed]
            while region >= 0:
                stop = region == end
                for n in range(start[region], start[region + 1]):
                    other = arcs.side[half[n] >> 1, 1 - (half[n] & 1)]
                    if other < 0:
                        continue
                    other = find_root(parent, other)
                    if other == seed or code[other] != to:
                        continue
                    parent[other] = seed
                    large[seed] |= large[other]
                    weight[seed] += weight[other]
                    if settled[other]:
                        onward[tail[seed]] = other
                        tail[seed] = tail[other]
                if stop:
                    break
                region = onward[region]
    for region in range(count):
        code[region] = code[find_root(parent, region)]
    return code, parent


def _merged(patch: Patch, code: U8, parent: I32, shape: tuple[int, int]) -> Patch:
    number, count = compact(parent)
    is_open = np.zeros(count, np.bool_)
    np.logical_or.at(is_open, number, patch.is_open)
    side = np.where(patch.arcs.side >= 0, number[patch.arcs.side], -1).astype(np.int32)
    inner = (side[:, 0] == side[:, 1]) & (side[:, 0] >= 0)
    arcs = _loosen(patch.arcs._replace(side=side), inner)
    lines = pick_lines(patch.lines, np.flatnonzero(~inner).astype(np.int32))
    borders = (patch.north, patch.south, patch.west, patch.east)
    joined, origin = join_arcs(pick_arcs(arcs, ~inner), patch.known, shape)
    return replace(
        patch,
        sums=add_sums(patch.sums._replace(code=code), number, count),
        bands=merge_bands(patch.bands, number, count),
        arcs=joined,
        lines=pick_lines(lines, origin),
        is_open=is_open,
        north=number[borders[0]],
        south=number[borders[1]],
        west=number[borders[2]],
        east=number[borders[3]],
    )


@kernel
def _loosen(arcs: Arcs, inner: Bools) -> Arcs:
    """Open the nodes that lose an arc, so that the others there can be joined."""
    count = 0
    for arc in range(inner.shape[0]):
        count += inner[arc]
    table = table_for(2 * count)
    for arc in range(inner.shape[0]):
        if inner[arc] and arcs.end[arc, 0] != CLOSED:
            for at in (arcs.offset[arc], arcs.offset[arc + 1] - 1):
                slot_of(table, arcs.points[at, 0], arcs.points[at, 1])
    end = arcs.end.copy()
    for arc in range(inner.shape[0]):
        for which in range(2):
            at = arcs.offset[arc] if which == 0 else arcs.offset[arc + 1] - 1
            if end[arc, which] == AT_NODE and has_point(table, arcs.points[at]):
                end[arc, which] = OPEN
    return Arcs(arcs.points, arcs.offset, arcs.side, end)
