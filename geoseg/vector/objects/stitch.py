"""Stitcher: parts of blocks, row of blocks by row of blocks, become the objects of a scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from geoseg.vector.kernel import kernel
from geoseg.vector.objects.basins import Parts, Passages, highest
from geoseg.vector.objects.blocks import BlockParts
from geoseg.vector.objects.merge import merge_parts
from geoseg.vector.regions import compact, union

Bools = npt.NDArray[np.bool_]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """Objects of a scene, in the order of their ids.

    Attributes:
        id: (object,) int64 number of the last pixel, row * scene width + column.
        code: (object,) class.
        cut: (object,) whether it touches the scene's edge or nodata, so that there may be more of it.
        label: (part,) of each part in the order in which blocks were added, the place of its object in this list plus
            one; 0: it belongs to none.
    """

    id: I64
    code: U8
    cut: Bools
    label: I32


@dataclass(frozen=True, slots=True, kw_only=True)
class _Open:
    """Parts that may go on below.

    Attributes:
        parts: what adds up so far.
        serial: of each part, the number that it has among all parts of the scene.
        passages: between them.
        south: part of each pixel in the last row, or -1.
    """

    parts: Parts
    serial: I32
    passages: Passages
    south: I32


class Stitcher:
    """Joins the parts of blocks; keeps what is open, one number for each part, and one row for each object.

    Args:
        height: rows of the scene.
        neck: see ``ObjectSpec``.
        least: smallest weight of an object.
    """

    def __init__(self, height: int, neck: float, least: int) -> None:
        self._height = height
        self._limits = neck, least
        self._open: _Open | None = None
        self._same: list[I32] = []
        self._count = 0
        self._objects: list[Parts] = []
        self._members: list[tuple[I32, I64]] = []
        self._found = 0

    def add_row(self, blocks: Sequence[BlockParts]) -> list[int]:
        """Add one row of blocks below all that were added before.

        Args:
            blocks: from left to right, without gaps.

        Returns:
            Of each block, the number of its first part among all parts of the scene.
        """
        upper = self._open
        counts = [0 if upper is None else len(upper.serial), *(len(block.parts.code) for block in blocks)]
        first = np.cumsum([0, *counts])
        starts = (self._count + first[1:-1] - first[1]).tolist()
        self._count += int(first[-1] - first[1])
        parent = np.arange(first[-1], dtype=np.int32)
        if upper is not None:
            column = 0
            for start, block in zip(first[1:], blocks, strict=False):
                width = block.window.width
                _join(parent, (upper.south, 0), (block.north, start), column + width - len(block.north))
                column += width
        for at, (left, right) in zip(first[1:], pairwise(blocks), strict=False):
            _join(parent, (left.east, at), (right.west, at + len(left.parts.code)), 0)
        number, count = compact(parent)
        tables = [block.parts for block in blocks] if upper is None else [upper.parts, *(b.parts for b in blocks)]
        stacked = Parts._make(np.concatenate(columns) for columns in zip(*tables, strict=True))
        parts = _add(stacked, number, count)
        serial = np.arange(starts[0], self._count, dtype=np.int32)
        serial = serial if upper is None else np.concatenate([upper.serial, serial])
        one = np.full(count, -1, np.int32)
        one[number[::-1]] = serial[::-1]  # the first part of each stands for it
        self._same.append(np.stack([serial, one[number]]))
        touching = [block.passages for block in blocks]
        starts_here = first[1:-1]
        if upper is not None:
            touching, starts_here = [upper.passages, *touching], first[:-1]
        pairs = np.concatenate([p.parts + np.int32(at) for p, at in zip(touching, starts_here, strict=True)])
        passages = highest(number[pairs], np.concatenate([p.height for p in touching]))
        south = np.concatenate([_at(number, block.south, at) for block, at in zip(blocks, first[1:], strict=False)])
        self._settle(_Open(parts=parts, serial=one, passages=passages, south=south), blocks[0].window.row_stop)
        return [int(start) for start in starts]

    def _settle(self, now: _Open, bottom: int) -> None:
        """Make objects of what is whole, and keep the rest."""
        count = len(now.serial)
        region = np.arange(count, dtype=np.int32)
        union(region, now.passages.parts[:, 0], now.passages.parts[:, 1])
        region = compact(region)[0]
        goes_on = np.zeros(count + 1, np.bool_)
        if bottom < self._height:
            goes_on[region[now.south[now.south >= 0]]] = True
        still = goes_on[region]
        self._finish(now, ~still)
        new = np.where(still, np.cumsum(still) - 1, -1).astype(np.int32)
        kept = still[now.passages.parts[:, 0]]
        self._open = _Open(
            parts=Parts._make(column[still] for column in now.parts),
            serial=now.serial[still],
            passages=Passages(new[now.passages.parts[kept]], now.passages.height[kept]),
            south=np.append(new, np.int32(-1))[now.south],
        )

    def _finish(self, now: _Open, whole: Bools) -> None:
        some = np.flatnonzero(whole)
        new = np.cumsum(whole) - 1
        here = whole[now.passages.parts[:, 0]]
        passages = Passages(new[now.passages.parts[here]].astype(np.int32), now.passages.height[here])
        parts = Parts._make(column[some] for column in now.parts)
        root = merge_parts(passages, parts.height, parts.peak, parts.weight, self._limits)
        number, count = compact(root)
        objects = _add(parts, number, count)
        large = objects.weight >= self._limits[1]
        place = np.where(large, self._found + np.cumsum(large), 0)
        self._members.append((now.serial[some], place[number]))
        self._objects.append(Parts._make(column[large] for column in objects))
        self._found += int(large.sum())

    def finish(self) -> Objects:
        """List the objects, when all rows of blocks were added."""
        objects = Parts._make(np.concatenate(columns) for columns in zip(*self._objects, strict=True))
        order = np.argsort(objects.last)
        rank = np.zeros(len(order) + 1, np.int32)
        rank[order + 1] = np.arange(1, len(order) + 1)
        label = np.zeros(self._count, np.int32)
        for serial, place in self._members:
            label[serial] = rank[place]
        # a part that went into another one learns of its object from it: later rows first
        for serial, one in reversed(self._same):
            label[serial] = label[one]
        return Objects(id=objects.last[order], code=objects.code[order], cut=objects.cut[order], label=label)


def _at(number: I32, border: I32, start: int) -> I32:
    return np.append(number, np.int32(-1))[np.where(border >= 0, border + start, -1)]


def _join(parent: I32, one: tuple[I32, int], other: tuple[I32, int], skip: int) -> None:
    """Join the parts that two blocks see in the same pixels; ``skip`` pixels of the first line are not in the other."""
    line, at = one
    near, start = other
    if not len(near):
        return
    same = line[skip : skip + len(near)]
    inside = (same >= 0) & (near >= 0)
    union(parent, (same[inside] + at).astype(np.int32), (near[inside] + start).astype(np.int32))


@kernel
def _add(parts: Parts, number: I32, count: int) -> Parts:
    """Add up parts that are one."""
    code = np.zeros(count, np.uint8)
    weight = np.zeros(count, np.int64)
    last = np.full(count, -1, np.int64)
    height = np.full(count, -1, np.int32)
    peak = np.full(count, -1, np.int64)
    cut = np.zeros(count, np.bool_)
    for k in range(number.shape[0]):
        to = number[k]
        code[to] = parts.code[k]
        weight[to] += parts.weight[k]
        last[to] = max(last[to], parts.last[k])
        if parts.height[k] > height[to] or (parts.height[k] == height[to] and parts.peak[k] > peak[to]):
            height[to], peak[to] = parts.height[k], parts.peak[k]
        cut[to] |= parts.cut[k]
    return Parts(code, weight, last, height, peak, cut)
