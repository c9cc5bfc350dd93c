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
    """Smallest regions that are kept.

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


def merge_small(patch: Patch, minimum: Minimum) -> tuple[Patch, Bools]:
    """Merge regions below the minimum into the label they share the longest boundary with.

    All neighbours of that label become one region with it. A region without any neighbour stays.

    Args:
        patch: a block, or blocks joined.
        minimum: what is too small.

    Returns:
        The patch after it, and the regions about which too little is known yet.
    """
    small = _small(patch.sums, minimum)
    settled = small & ~_unsettled(patch.arcs, small, patch.is_open)
    if settled.any():
        ranks = _ranked(patch.sums, minimum)
        rank, parent = _merge(patch.arcs, patch.sums, settled, ranks, minimum.step)
        patch = _merged(patch, ranks._replace(rank=rank), parent, minimum.shape)
        small = _small(patch.sums, minimum)
    return patch, _unsettled(patch.arcs, small, patch.is_open)


def _small(sums: Sums, minimum: Minimum) -> Bools:
    return np.asarray((sums.code != minimum.nodata) & (sums.weight < minimum.weight[sums.code]))


class _Ranks(NamedTuple):
    """Labels of a patch, numbered in their order.

    Attributes:
        rank: of each region's label.
        label: (rank) the labels, ascending.
        code: (rank) their classes.
        weight: (rank) minimum of the label's class; -1 for pixels that belong to no polygon.
    """

    rank: I32
    label: I32
    code: U8
    weight: I64


def _ranked(sums: Sums, minimum: Minimum) -> _Ranks:
    label, first, rank = np.unique(sums.label, return_index=True, return_inverse=True)
    code = sums.code[first]
    weight = np.where(code == minimum.nodata, -1, minimum.weight[code])
    return _Ranks(rank.astype(np.int32), label, code, weight.astype(np.int64))


@kernel
def near_unsettled(arcs: Arcs, unsettled: Bools) -> Bools:
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
    arcs: Arcs, sums: Sums, settled: Bools, ranks: _Ranks, step: tuple[int, int]
) -> tuple[I32, I32]:
    """Give settled regions new labels, smallest first, until none is too small or without a neighbour; by rank."""
    count = settled.shape[0]
    rank = ranks.rank.copy()
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
            length[arc] += step[0] * abs(arcs.points[k, 0] - arcs.points[k - 1, 0])
            length[arc] += step[1] * abs(arcs.points[k, 1] - arcs.points[k - 1, 1])
    onward = np.full(count, -1, np.int32)
    tail = np.arange(count).astype(np.int32)
    large = ~settled
    shared = np.zeros(ranks.label.shape[0], np.int64)
    changed = True
    while changed:
        changed = False
        roots = np.array([k for k in range(count) if settled[k] and parent[k] == k])
        roots = roots[np.argsort(sums.last[roots], kind="mergesort")]
        roots = roots[np.argsort(weight[roots], kind="mergesort")]
        for seed in roots:
            if parent[seed] != seed or large[seed] or weight[seed] >= ranks.weight[rank[seed]]:
                continue
            region = seed
            while region >= 0:
                for n in range(start[region], start[region + 1]):
                    other = arcs.side[half[n] >> 1, 1 - (half[n] & 1)]
                    if other >= 0 and ranks.weight[rank[find_root(parent, other)]] >= 0:
                        root = find_root(parent, other)
                        if root != seed:
                            shared[rank[root]] += length[half[n] >> 1]
                region = onward[region]
            to = -1
            region = seed
            while region >= 0:
                for n in range(start[region], start[region + 1]):
                    other = arcs.side[half[n] >> 1, 1 - (half[n] & 1)]
                    if other >= 0:
                        near = rank[find_root(parent, other)]
                        most = shared[to] if to >= 0 else np.int64(0)
                        if shared[near] > most or (shared[near] == most and most > 0 and near < to):
                            to = near
                region = onward[region]
            # only what was touched is cleared: there may be as many labels as regions
            region = seed
            while region >= 0:
                for n in range(start[region], start[region + 1]):
                    other = arcs.side[half[n] >> 1, 1 - (half[n] & 1)]
                    if other >= 0:
                        shared[rank[find_root(parent, other)]] = 0
                region = onward[region]
            if to < 0:
                continue
            changed = True
            rank[seed] = to
            region = seed
            end = tail[seed]
            while region >= 0:
                stop = region == end
                for n in range(start[region], start[region + 1]):
                    other = arcs.side[half[n] >> 1, 1 - (half[n] & 1)]
                    if other < 0:
                        continue
                    other = find_root(parent, other)
                    if other == seed or rank[other] != to:
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
        rank[region] = rank[find_root(parent, region)]
    return rank, parent


def _merged(patch: Patch, ranks: _Ranks, parent: I32, shape: tuple[int, int]) -> Patch:
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
        sums=add_sums(patch.sums._replace(label=ranks.label[ranks.rank], code=ranks.code[ranks.rank]), number, count),
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
