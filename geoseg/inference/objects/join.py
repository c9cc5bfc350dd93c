"""Joining of the detections of tiles into objects with their pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from geoseg.inference.objects.match import match_objects
from geoseg.inference.objects.views import TileViews
from geoseg.vector.regions import find_root, union

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SCORE_UNIT = 1 << 16
"""Scores are counted in integers of this unit, so that no order of adding matters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedObjects:
    """Objects of a scene, as views of tiles.

    Attributes:
        starts: (tile + 1,) index of the first view of each tile.
        label: (view,) number of the object that a view gives pixels to, from 1; 0: to none.
        code: (object,) class.
        score: (object,) int64, in units of ``SCORE_UNIT``.
        whole: (object,) True if one view gives all pixels; else each view gives those in the core of its tile.
        pixels: (object,) pixels of all masks.
    """

    starts: I64
    label: I32
    code: npt.NDArray[np.uint8]
    score: I64
    whole: Bools
    pixels: I64

    def __len__(self) -> int:
        return len(self.code)

    def of_tile(self, tile: int) -> I32:
        """Return the labels of the views of a tile."""
        return self.label[self.starts[tile] : self.starts[tile + 1]]

    def keep(self, chosen: Bools) -> Self:
        """Leave objects out and number the others anew, in their order."""
        number = np.concatenate([[0], np.where(chosen, np.cumsum(chosen), 0)]).astype(np.int32)
        return replace(
            self,
            label=number[self.label],
            code=self.code[chosen],
            score=self.score[chosen],
            whole=self.whole[chosen],
            pixels=self.pixels[chosen],
        )


def join_views(views: TileViews, least_iou: float = 0.5) -> JoinedObjects:
    """Join the views of tiles into objects.

    Views of two tiles are one object if connected pieces of their masks agree in the window that both tiles see. An
    object is the closed view that has most of its pixels in the core of its tile. If no view is closed, as of objects
    that are larger than a tile, every view gives the pixels in the core of its tile. Views without pixels there give
    none: what lies in another tile's core is for that tile to tell.

    Objects are numbered by their first views, so nothing depends on how tiles make blocks.

    Args:
        views: detections of the tiles.
        least_iou: least intersection over union of matching pieces.
    """
    order = views.in_block_order()
    counts = np.zeros(len(views.tiles), np.int64)
    for tile in order:
        counts[tile] = len(views.table(tile))
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    total = int(starts[-1])
    parent = np.arange(total, dtype=np.int32)
    own, pixels, score = (np.zeros(total, np.int64) for _ in range(3))
    is_open, code = np.zeros(total, np.bool_), np.zeros(total, np.uint8)
    for tile in order:
        table = views.table(tile)
        if not len(table):
            continue
        here = slice(starts[tile], starts[tile + 1])
        code[here], is_open[here], pixels[here] = table.code, table.open, table.pixels()
        score[here] = np.rint(table.score.astype(np.float64) * SCORE_UNIT).astype(np.int64)
        left, cut = table.clipped(views.tiles[tile].core)
        own[starts[tile] + left] = cut.pixels()
        for other in views.before(tile):
            if counts[other]:
                pairs = _matches(views, tile, other, least_iou)
                union(parent, pairs[:, 0] + np.int32(starts[tile]), pairs[:, 1] + np.int32(starts[other]))
    root = np.array([find_root(parent, view) for view in range(total)], np.int64)
    return _composed(root, starts, _Columns(own=own, pixels=pixels, score=score, is_open=is_open, code=code))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    """Of each view: pixels in the core of its tile and in all, score, whether it is open, class."""

    own: I64
    pixels: I64
    score: I64
    is_open: Bools
    code: npt.NDArray[np.uint8]


def _matches(views: TileViews, tile: int, other: int, least_iou: float) -> I32:
    strip = views.tiles[tile].read.intersection(views.tiles[other].read)
    if not strip.pixels:
        return np.zeros((0, 2), np.int32)
    one, two = (
        [np.ascontiguousarray(plane[strip.within(views.tiles[number].read)]) for plane in views.planes(number)]
        for number in (tile, other)
    )
    return match_objects((one, two), (views.table(tile).code, views.table(other).code), least_iou)


def _composed(root: I64, starts: I64, of: _Columns) -> JoinedObjects:
    first = np.full(len(root), len(root), np.int64)
    np.minimum.at(first, root, np.arange(len(root)))
    _, member = np.unique(first[root], return_inverse=True)
    count = int(member.max(initial=-1)) + 1
    closed = ~of.is_open & (of.own > 0)
    view = np.arange(len(root))
    order = np.lexsort((view, -of.score, -of.own, ~closed, member))
    best = order[np.concatenate([[True], member[order][1:] != member[order][:-1]])] if count else order
    whole = closed[best]
    gives = np.where(whole[member], best[member] == view, of.own > 0)
    owned = np.bincount(member, of.own, count).astype(np.int64)
    summed = np.zeros(count, np.int64)
    np.add.at(summed, member, of.score * of.own)
    score = np.where(whole, of.score[best], summed // np.maximum(owned, 1))
    joined = JoinedObjects(
        starts=starts,
        label=np.where(gives, member + 1, 0).astype(np.int32),
        code=of.code[best],
        score=score,
        whole=whole,
        pixels=np.where(whole, of.pixels[best], owned),
    )
    return joined.keep(joined.pixels > 0)
