"""Basins of a height inside a mask, joined where the pass between two of them is nearly as high as the lower top."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Bools = npt.NDArray[np.bool_]
F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
AnyCells = TypeVar("AnyCells", I32, Bools)

_STEPS = ((-1, 0), (0, -1), (0, 1), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1))


def object_basins(mask: Bools, height: F32, cell: int, *, neck: float, least_px: int) -> tuple[I32, int, list[float]]:
    """Part a mask into objects, as numbers of cells.

    Each cell of the mask points to the highest of its neighbours; cells that end at one top are a basin. Basins of one
    region are joined over the highest pass first, where it is at least ``neck`` times the top of the lower one or one
    of them is too small. An object is the largest piece of its cells that is connected over edges.

    Args:
        mask: (rows, cols).
        height: (cells down, cells across), at least as large as the mask.
        cell: pixels a cell, along rows and columns.
        neck: share of the lower top.
        least_px: least pixels of an object.

    Returns:
        (cells down, cells across) number of the object from 1, else 0; how many there are; the height of each one's
        top.
    """
    rows, cols = mask.shape
    down, across = -(-rows // cell), -(-cols // cell)
    counts = np.zeros((down, across), np.int64)
    for first in np.ndindex(cell, cell):
        part = mask[first[0] :: cell, first[1] :: cell]
        counts[: part.shape[0], : part.shape[1]] += part
    inside, height = counts > 0, height[:down, :across]
    basin, tops = _basins(inside, height)
    group, tops = _joined(basin, counts, height, tops, (neck, least_px))
    return _largest_pieces(np.where(inside, group[basin], 0), counts, tops, least_px)


def between_objects(numbers: I32, reach_px: int) -> Bools:
    """Find the pixels that see two objects within a distance along rows and columns, inside objects too.

    Args:
        numbers: (rows, cols) number of the object, 0 for none.
        reach_px: the distance.
    """
    far, window = np.iinfo(np.int32).max, 2 * reach_px + 1
    highest = ndimage.maximum_filter(numbers, window)
    lowest = ndimage.minimum_filter(np.where(numbers > 0, numbers, far), window)
    return np.asarray((lowest < highest) & (lowest < far))


def on_pixels(cells: AnyCells, cell: int, shape: tuple[int, ...]) -> AnyCells:
    """Repeat the values of cells over their pixels."""
    wide = np.broadcast_to(cells[:, None, :, None], (cells.shape[0], cell, cells.shape[1], cell))
    return np.asarray(wide.reshape(cells.shape[0] * cell, cells.shape[1] * cell)[: shape[0], : shape[1]])


def filled(numbers: I32, free: Bools, steps: int) -> I32:
    """Give free pixels to the nearest object, as steps to neighbours count.

    Args:
        numbers: (rows, cols) number of the object, 0 for none.
        free: (rows, cols) pixels that may be given away.
        steps: so many are made at most.
    """
    rows, cols = np.nonzero(free & (numbers == 0))
    grown = np.pad(numbers, 1)
    for _ in range(steps):
        near = np.stack([grown[rows + 1 + down, cols + 1 + right] for down, right in _STEPS])
        first = np.take_along_axis(near, (near > 0).argmax(0)[None], 0)[0]
        found = first > 0
        if not found.any():
            break
        grown[rows[found] + 1, cols[found] + 1] = first[found]
        rows, cols = rows[~found], cols[~found]
    return np.ascontiguousarray(grown[1:-1, 1:-1])


def _neighbours(shape: tuple[int, ...], step: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Return the cells that have a neighbour in a direction, and these neighbours."""
    pairs = []
    for size, move in zip(shape, step, strict=True):
        pairs.append((slice(max(0, -move), size - max(0, move)), slice(max(0, move), size + min(0, move))))
    (row, row_to), (col, col_to) = pairs
    return (row, col), (row_to, col_to)


def _basins(inside: Bools, height: F32) -> tuple[I64, F32]:
    """Number the basins from 1, 0 outside; and return the height of each top, that of number 0 being 0."""
    value = np.where(inside, height, -np.inf).astype(np.float32)
    places = np.arange(value.size).reshape(value.shape)
    best, to = value.copy(), places.copy()
    for step in _STEPS:
        here, there = _neighbours(value.shape, step)
        higher = (value[there] > best[here]) | ((value[there] == best[here]) & (places[there] > to[here]))
        best[here] = np.where(higher, value[there], best[here])
        to[here] = np.where(higher, places[there], to[here])
    onward = to.ravel()
    while True:
        further = onward[onward]
        if (further == onward).all():
            break
        onward = further
    is_top = (onward == places.ravel()) & inside.ravel()
    basin = np.where(inside.ravel(), np.cumsum(is_top)[onward], 0)
    return basin.reshape(value.shape), np.concatenate([np.zeros(1, np.float32), value.ravel()[is_top]])


def _joined(basin: I64, counts: I64, height: F32, tops: F32, limits: tuple[float, int]) -> tuple[I64, F32]:
    """Join basins; return for each the number of its group, named by one of its basins, and the tops of groups."""
    neck, least_px = limits
    keys, passes = [], []
    for step in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here, there = _neighbours(basin.shape, step)
        one, other = basin[here], basin[there]
        touch = (one != other) & (one > 0) & (other > 0)
        low, high = np.minimum(one, other)[touch], np.maximum(one, other)[touch]
        keys.append(low * len(tops) + high)
        passes.append(np.minimum(height[here], height[there])[touch])
    key, value = np.concatenate(keys), np.concatenate(passes)
    pair, place = np.unique(key, return_inverse=True)
    highest = np.full(len(pair), -np.inf)
    np.maximum.at(highest, place, value)
    parent = list(range(len(tops)))
    top, pixels = tops.tolist(), np.bincount(basin.ravel(), counts.ravel(), minlength=len(tops)).tolist()

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for k in np.argsort(-highest, kind="stable").tolist():
        first, second = sorted((root(int(pair[k]) // len(tops)), root(int(pair[k]) % len(tops))))
        wide = highest[k] >= neck * min(top[first], top[second])
        if first != second and (wide or min(pixels[first], pixels[second]) < least_px):
            parent[second] = first
            top[first], pixels[first] = max(top[first], top[second]), pixels[first] + pixels[second]
    return np.asarray([root(index) for index in range(len(tops))]), np.asarray(top, np.float32)


def _largest_pieces(number: I64, counts: I64, tops: F32, least_px: int) -> tuple[I32, int, list[float]]:
    """Keep the largest connected piece of each number where it is large enough, and count anew from 1."""
    pieces, count = _pieces(number)
    size = np.bincount(pieces.ravel(), counts.ravel(), minlength=count + 1)
    owner = np.zeros(count + 1, np.int64)
    owner[pieces.ravel()] = number.ravel()
    order = np.lexsort((np.arange(count + 1), -size, owner))
    _, first = np.unique(owner[order], return_index=True)
    kept = np.sort(order[first])
    kept = kept[(owner[kept] > 0) & (size[kept] >= least_px)]
    renumbered = np.zeros(count + 1, np.int32)
    renumbered[kept] = np.arange(1, len(kept) + 1)
    return renumbered[pieces], len(kept), tops[owner[kept]].tolist()


def _pieces(number: I64) -> tuple[I32, int]:
    """Number the regions of equal numbers, connected over edges, from 1; 0 stays 0."""
    grid = np.zeros(tuple(2 * n - 1 for n in number.shape), bool)
    grid[::2, ::2] = number > 0
    grid[1::2, ::2] = (number[1:] == number[:-1]) & (number[1:] > 0)
    grid[::2, 1::2] = (number[:, 1:] == number[:, :-1]) & (number[:, 1:] > 0)
    labels, count = ndimage.label(grid)
    return labels[::2, ::2].astype(np.int32), int(count)
