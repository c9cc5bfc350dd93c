"""Small regions of stuff, found over all blocks of a scene, and the stuff that each joins."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

from geoseg.core.ground import pixel_sides_m
from geoseg.core.window import Window
from geoseg.vector.kernel import kernel
from geoseg.vector.regions import Runs, find_root, label_regions, union

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Read = Callable[[Window], I32]
Tick = Callable[[int], None]

_KEPT = 6
"""Blocks whose labels are in memory."""

_UNITS = 1 << 16
"""Units of the area of the largest pixel."""


class SmallRegions:
    """Labels of a scene after small regions of stuff have joined others. Thread-safe.

    Args:
        read: reads the labels before that.
        windows: the blocks that the regions were found in.
        joins: per block the regions that get another label, and that label.
    """

    def __init__(self, read: Read, windows: Sequence[Window], joins: Sequence[tuple[I64, I32]]) -> None:
        self._windows, self._joins, self._read = windows, joins, read
        self._kept: OrderedDict[int, I32] = OrderedDict()
        self._lock = threading.Lock()
        self._rows = np.array([(w.row_start, w.row_stop, w.col_start, w.col_stop) for w in windows])

    def read(self, window: Window) -> I32:
        """Read labels, (y, x) int32 over a window."""
        out = np.zeros(window.shape, np.int32)
        top, bottom, left, right = self._rows.T
        over = (top < window.row_stop) & (bottom > window.row_start) & (left < window.col_stop)
        for index in np.flatnonzero(over & (right > window.col_start)).tolist():
            part = self._windows[index].intersection(window)
            out[part.within(window)] = self._block(index)[part.within(self._windows[index])]
        return out

    def _block(self, index: int) -> I32:
        with self._lock:
            if index in self._kept:
                self._kept.move_to_end(index)
                return self._kept[index]
        labels = self._read(self._windows[index])
        regions, to = self._joins[index]
        if len(regions):
            table = np.full(int(regions[-1]) + 2, -1, np.int32)
            table[regions] = to
            new = table[np.minimum(_regions(labels)[0], len(table) - 1)]
            labels = np.where(new >= 0, new, labels)
        with self._lock:
            self._kept[index] = labels
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return labels


@dataclass(slots=True)
class _Graph:
    """Regions of all blocks, numbered block by block.

    Attributes:
        label: (region,).
        weight: (region,) ground area, in ``_UNITS`` of the largest pixel.
        same: pairs of regions that are one.
        edges: pairs of regions of stuff that touch, and the length of their border in pixels.
    """

    label: list[I32]
    weight: list[I64]
    same: list[I64]
    edges: list[I64]


def find_small_regions(
    read: Read, windows: Sequence[Window], geobox: GeoBox, rule: tuple[int, float], tick: Tick | None = None
) -> SmallRegions:
    """Find the connected regions of stuff below an area, and the stuff that each joins.

    A region joins the class of stuff with which it shares the longest border, of equal ones the first in the legend;
    regions that are small themselves have no say until they have joined one. A region that touches no other stuff
    stays. The result does not depend on the windows.

    Args:
        read: reads labels: 0 for nothing, things up to a number, then the classes of stuff.
        windows: blocks that partition the scene.
        geobox: the grid.
        rule: number of things, and the area, square metres.
        tick: called now and then with 0; may raise, to stop.
    """
    things, area_m2 = rule
    weights, least = _weights(geobox, area_m2)
    graph, start = _Graph([], [], [], []), 0
    starts: list[int] = []
    rows: dict[tuple[int, int], tuple[I32, I64]] = {}
    cols: dict[tuple[int, int], tuple[I32, I64]] = {}
    for window in windows:
        if tick is not None:
            tick(0)
        labels = read(window)
        regions, count = _regions(labels)
        numbers = regions + start
        starts.append(start)
        first = np.zeros(count, np.int64)
        first[regions.ravel()[::-1]] = np.arange(regions.size)[::-1]
        graph.label.append(labels.ravel()[first].astype(np.int32))
        each = np.repeat(weights[window.row_start : window.row_stop], window.width)
        graph.weight.append(np.bincount(regions.ravel(), each, count).astype(np.int64))
        _pairs(graph, (labels[:-1], labels[1:]), (numbers[:-1], numbers[1:]), things)
        _pairs(graph, (labels[:, :-1], labels[:, 1:]), (numbers[:, :-1], numbers[:, 1:]), things)
        above = rows.pop((window.row_start, window.col_start), None)
        left = cols.pop((window.row_start, window.col_start), None)
        for near, here, number in ((above, labels[0], numbers[0]), (left, labels[:, 0], numbers[:, 0])):
            if near is not None:
                _pairs(graph, (near[0], here), (near[1], number), things)
        rows[window.row_stop, window.col_start] = labels[-1].copy(), numbers[-1].copy()
        cols[window.row_start, window.col_stop] = labels[:, -1].copy(), numbers[:, -1].copy()
        start += count
    label, joined = _joined(graph, things, least)
    bounds = [*starts, start]
    joins = []
    for low, high in pairwise(bounds):
        moved = np.flatnonzero(joined[low:high] != label[low:high])
        joins.append((moved.astype(np.int64), joined[low:high][moved]))
    return SmallRegions(read, windows, joins)


def _weights(geobox: GeoBox, area_m2: float) -> tuple[I64, int]:
    """Return the area of a pixel of each row, in integers so that no order of adding matters, and of ``area_m2``."""
    rows, cols = (int(side) for side in geobox.shape)
    area = np.nan_to_num(pixel_sides_m(geobox, np.arange(rows) + 0.5, cols / 2)[2])
    unit = max(float(area.max()), 1e-300) / _UNITS
    least = int(np.ceil(min(area_m2 / unit, 2.0**60) * (1 - 1e-9)))
    return np.rint(area / unit).astype(np.int64), least


def _pairs(graph: _Graph, labels: tuple[I32, I32], numbers: tuple[I64, I64], things: int) -> None:
    """Add the pairs of touching pixels: those of one label that are not one region yet, and those of two stuffs."""
    one, other = (plane.ravel() for plane in labels)
    low, high = (plane.ravel() for plane in numbers)
    same = (one == other) & (low != high) & (one > things)
    graph.same.append(_unique(low[same], high[same])[:2])
    differ = (one != other) & (one > things) & (other > things)
    graph.edges.append(_unique(low[differ], high[differ]))


def _unique(one: I64, other: I64) -> I64:
    """Count pairs: rows of the lower number, the higher number and how often."""
    key, count = np.unique(np.minimum(one, other) << 32 | np.maximum(one, other), return_counts=True)
    return np.stack([key >> 32, key & 0xFFFFFFFF, count]).astype(np.int64)


def _joined(graph: _Graph, things: int, least: int) -> tuple[I32, I32]:
    """Return the label of each region before and after small ones have joined others."""
    label = np.concatenate([np.zeros(0, np.int32), *graph.label])
    weight = np.concatenate([np.zeros(0, np.int64), *graph.weight])
    parent = np.arange(len(label), dtype=np.int32)
    same = np.concatenate([np.zeros((2, 0), np.int64), *graph.same], axis=1).astype(np.int32)
    union(parent, same[0], same[1])
    root = _roots(parent)
    total = np.bincount(root, weight, len(label)).astype(np.int64)
    edges = np.concatenate([np.zeros((3, 0), np.int64), *graph.edges], axis=1)
    one, other, length = root[edges[0]], root[edges[1]], edges[2]
    open_ = (label > things) & (total < least) & (root == np.arange(len(label)))
    after = label.copy()
    mine, theirs = np.concatenate([one, other]), np.concatenate([other, one])
    border_px = np.concatenate([length, length])
    while True:
        use = open_[mine] & ~open_[theirs]
        if not use.any():
            break
        key, place = np.unique(mine[use].astype(np.int64) << 32 | after[theirs[use]], return_inverse=True)
        border = np.bincount(place, border_px[use])
        region, to = key >> 32, (key & 0xFFFFFFFF).astype(np.int32)
        order = np.lexsort((to, -border, region))
        best = order[np.concatenate([[True], region[order][1:] != region[order][:-1]])]
        after[region[best]] = to[best]
        open_[region[best]] = False
    return label, after[root]


@kernel
def _roots(parent: I32) -> I32:
    out = np.empty_like(parent)
    for node in range(parent.shape[0]):
        out[node] = find_root(parent, node)
    return out


def _regions(labels: I32) -> tuple[I64, int]:
    """Number the connected regions of equal labels from 0, (y, x), and count them."""
    runs, count = label_regions(labels)
    return _spread(runs, labels.shape[0], labels.shape[1]), count


@kernel
def _spread(runs: Runs, rows: int, cols: int) -> I64:
    out = np.empty((rows, cols), np.int64)
    for i in range(rows):
        for k in range(runs.row[i], runs.row[i + 1] - 1):
            for j in range(runs.start[k], runs.start[k + 1]):
                out[i, j] = runs.region[k]
    return out
