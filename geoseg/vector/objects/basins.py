"""Parts of a block: catchment basins of a height, or connected regions, with what adds up over their pixels.

Every pixel points to the highest of its neighbours of one class, itself included; of equal heights to the last pixel.
This needs a pixel's neighbours alone. So the basins of a scene are the components of a graph that can be put together
block by block, in any order (the drop-of-water principle of Cousty et al. 2009, watershed cuts).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geoseg.vector.kernel import kernel
from geoseg.vector.regions import find_root

Bools = npt.NDArray[np.bool_]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]


class Parts(NamedTuple):
    """Parts of objects: what adds up over their pixels. Integers, so that no order of adding matters.

    Attributes:
        code: class.
        weight: ground area in units of ``PixelGround.unit_m2``.
        last: number of the last pixel, row * scene width + column; -1 without any.
        height: of the highest pixel; -1 without any.
        peak: number of the last of the highest pixels, which names a basin in its scene.
        cut: whether a pixel lies at the scene's edge or next to nodata.
    """

    code: U8
    weight: I64
    last: I64
    height: I32
    peak: I64
    cut: Bools


class Passages(NamedTuple):
    """Contacts between parts of one class; each pair once.

    Attributes:
        parts: (passages, 2) the parts, the lower number first.
        height: of the highest pass between the two.
    """

    parts: I32
    height: I32


@kernel
def _towards(k: int) -> tuple[int, int]:
    """Step to a neighbour: up, left, right, down, then the corners."""
    if k < 4:
        return (k == 3) - (k == 0), (k == 2) - (k == 1)
    return 1 - 2 * (k < 6), 1 - 2 * (k % 2 == 0)


@kernel
def _climb(codes: U8, height: I32, selected: Bools, neighbours: int) -> I32:
    """Find for each pixel the neighbour it points to (row * columns + column)."""
    rows, cols = codes.shape
    out = np.full(rows * cols, -1, np.int32)
    for i in range(rows):
        for j in range(cols):
            code = codes[i, j]
            if not selected[code]:
                continue
            best, top = i * cols + j, height[i, j]
            for k in range(neighbours):
                down, right = _towards(k)
                a, b = i + down, j + right
                if 0 <= a < rows and 0 <= b < cols and codes[a, b] == code:
                    near = a * cols + b
                    if height[a, b] > top or (height[a, b] == top and near > best):
                        best, top = near, height[a, b]
            out[i * cols + j] = best
    return out


@kernel
def _connect(codes: U8, selected: Bools, neighbours: int) -> I32:
    """Join each pixel with all neighbours of its class."""
    rows, cols = codes.shape
    parent = np.full(rows * cols, -1, np.int32)
    for i in range(rows):
        for j in range(cols):
            code = codes[i, j]
            if not selected[code]:
                continue
            here = i * cols + j
            parent[here] = here
            for k in (0, 1, 4, 5):  # those that have been visited
                if k >= neighbours:
                    break
                down, right = _towards(k)
                a, b = i + down, j + right
                if a >= 0 and 0 <= b < cols and codes[a, b] == code:
                    one, other = find_root(parent, here), find_root(parent, a * cols + b)
                    parent[max(one, other)] = min(one, other)
    return parent


@kernel
def _crop(onward: I32, cols: int, inner: tuple[int, int, int, int]) -> I32:
    """Keep what points from a pixel of a rectangle to one of it; others point to themselves."""
    top, bottom, left, right = inner
    width = right - left
    out = np.full((bottom - top) * width, -1, np.int32)
    for i in range(top, bottom):
        for j in range(left, right):
            to = onward[i * cols + j]
            if to < 0:
                continue
            row, col = to // cols, to % cols
            here = (i - top) * width + j - left
            inside = top <= row < bottom and left <= col < right
            out[here] = (row - top) * width + col - left if inside else here
    return out


@kernel
def _number(parent: I32, shape: tuple[int, int]) -> tuple[I32, int]:
    """Number the trees of a forest in the order of their first pixels: (part of each pixel or -1, how many)."""
    number = np.full(parent.shape[0], -1, np.int32)
    out = np.full(parent.shape[0], -1, np.int32)
    count = 0
    for pixel in range(parent.shape[0]):
        if parent[pixel] < 0:
            continue
        root = find_root(parent, pixel)
        if number[root] < 0:
            number[root] = count
            count += 1
        out[pixel] = number[root]
    return out.reshape(shape), count


def number_parts(
    codes: U8, height: I32 | None, selected: Bools, inner: tuple[int, int, int, int], connectivity: int
) -> tuple[I32, int]:
    """Number the parts in a rectangle.

    Args:
        codes: (rows, columns): the rectangle and all neighbours of its pixels.
        height: same shape; None: parts are connected regions, else basins.
        selected: (256) classes that have parts.
        inner: first row, row behind the last, first column and column behind the last of the rectangle.
        connectivity: 4 or 8.

    Returns:
        (rows, columns) int32 part of each pixel of the rectangle, -1 outside of parts; and how many there are.
    """
    top, bottom, left, right = inner
    if height is None:
        forest = _connect(np.ascontiguousarray(codes[top:bottom, left:right]), selected, connectivity)
    else:
        forest = _crop(_climb(codes, height, selected, connectivity), codes.shape[1], inner)
    return _number(forest, (bottom - top, right - left))


@kernel
def add_up(
    part: I32, count: int, codes: U8, height: I32, cumulative: I64, place: tuple[int, int, int, int, int, int, int]
) -> Parts:
    """Add up the pixels that a block owns.

    Args:
        part: (rows, columns) part of each pixel, or -1.
        count: how many parts there are.
        codes: (rows + 2, columns + 2) with one pixel around, nodata outside the scene.
        height: (rows, columns).
        cumulative: see ``PixelGround.cumulative``; from the first owned pixel on.
        place: scene's row and column of the first pixel, rows and columns at the start that are not owned, width of the
            scene, log2 of the band height, and the nodata code.
    """
    row0, col0, above, before, scene_width, shift, nodata = place
    code = np.zeros(count, np.uint8)
    weight = np.zeros(count, np.int64)
    last = np.full(count, -1, np.int64)
    top = np.full(count, -1, np.int32)
    peak = np.full(count, -1, np.int64)
    cut = np.zeros(count, np.bool_)
    band0 = (row0 + above) >> shift
    for i in range(part.shape[0]):
        line = row0 + i
        band = (line >> shift) - band0
        step = line & ((1 << shift) - 1)
        for j in range(part.shape[1]):
            k = part[i, j]
            if k < 0:
                continue
            code[k] = codes[i + 1, j + 1]
            if i < above or j < before:
                continue
            upper, lower, b = cumulative[band], cumulative[band + 1], j - before
            weight[k] += ((1 << shift) - step) * (upper[b + 1] - upper[b]) + step * (lower[b + 1] - lower[b])
            last[k] = line * scene_width + col0 + j
            if height[i, j] >= top[k]:
                top[k] = height[i, j]
                peak[k] = last[k]
            at_nodata = codes[i, j + 1] == nodata or codes[i + 2, j + 1] == nodata
            cut[k] |= at_nodata or codes[i + 1, j] == nodata or codes[i + 1, j + 2] == nodata
    return Parts(code, weight, last, top, peak, cut)


@kernel
def _pairs(part: I32, codes: U8, height: I32, neighbours: int) -> tuple[I64, I32]:
    rows, cols = part.shape
    total = 0
    for fill in range(2):
        if fill:
            key = np.empty(total, np.int64)
            pass_height = np.empty(total, np.int32)
        n = 0
        for i in range(rows):
            for j in range(cols):
                one = part[i, j]
                if one < 0:
                    continue
                for k in (0, 1, 4, 5):
                    if k >= neighbours:
                        break
                    down, right = _towards(k)
                    a, b = i + down, j + right
                    if a < 0 or b < 0 or b >= cols:
                        continue
                    other = part[a, b]
                    if other < 0 or other == one or codes[a + 1, b + 1] != codes[i + 1, j + 1]:
                        continue
                    if fill:
                        key[n] = (np.int64(min(one, other)) << 32) | max(one, other)
                        pass_height[n] = min(height[i, j], height[a, b])
                    n += 1
        total = n
    return key, pass_height


def find_passages(part: I32, codes: U8, height: I32, connectivity: int) -> Passages:
    """Find which parts of one class touch, and how high the pass between them is; arguments as of ``add_up``."""
    key, pass_height = _pairs(part, codes, height, connectivity)
    return highest(np.stack([key >> 32, key & 0xFFFFFFFF], axis=1).astype(np.int32), pass_height)


def highest(parts: I32, height: I32) -> Passages:
    """Keep the highest of all passages between the same two parts, and none from a part to itself.

    Args:
        parts: (passages, 2).
        height: (passages,).
    """
    real = parts[:, 0] != parts[:, 1]
    parts, height = np.sort(parts[real], axis=1), height[real]
    order = np.lexsort((height, parts[:, 1], parts[:, 0]))
    parts, height = parts[order], height[order]
    final = np.ones(len(parts), np.bool_)
    final[:-1] = (parts[1:] != parts[:-1]).any(axis=1)
    return Passages(parts[final], height[final])
