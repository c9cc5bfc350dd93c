"""Stitching: join the objects found in overlapping windows of blocks into the objects of a scene.

Each pixel belongs to the block whose core contains it, and to the object that this block has there. Objects of two
blocks are the same if they agree in the strip that both have read: connected pieces of their masks in the strip are
matched by intersection over union. A network that is right about every pixel gives equal pieces to both blocks,
however it divides its own window into objects; so an object may be larger than any window, a ring, or a line one pixel
wide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely

from geoseg.core.objects import ObjectTable
from geoseg.core.window import Window
from geoseg.inference.objects.match import SeenBlock, match_objects
from geoseg.inference.objects.planes import draw_planes
from geoseg.vector.objects.masks import paint
from geoseg.vector.objects.stitch import Objects
from geoseg.vector.regions import find_root, union

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class StitchedObjects:
    """Objects of a scene, joined from blocks.

    Attributes:
        objects: ids and classes; its ``label`` has one entry for each row of each block's table, block by block.
        score: (object,) float32 mean of the scores of its views, by their pixels.
        starts: index of each block's first row in ``objects.label``.
    """

    objects: Objects
    score: npt.NDArray[np.float32]
    starts: I64


def stitch_objects(
    blocks: Sequence[SeenBlock],
    read_table: Callable[[int], ObjectTable],
    shape: tuple[int, int],
    *,
    least_iou: float = 0.5,
) -> StitchedObjects:
    """Join the objects of blocks into objects of the scene.

    The result depends neither on the order of the blocks nor on the labels in their tables. The tables of one block and
    its neighbours are in memory at a time.

    Args:
        blocks: blocks of the scene.
        read_table: number of a block in ``blocks`` -> its objects; masks on the scene's grid, none on another.
        shape: (rows, columns) of the scene.
        least_iou: least intersection over union of matching pieces, above 0.
    """
    counts = [len(read_table(number)) for number in range(len(blocks))]
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    parent = np.arange(starts[-1], dtype=np.int32)
    last = np.full(starts[-1], -1, np.int64)
    pixels, total = np.zeros(starts[-1], np.int64), np.zeros(starts[-1])
    cut = np.zeros(starts[-1], np.bool_)
    code = np.zeros(starts[-1], np.uint8)
    cores = shapely.STRtree([_box(block.core) for block in blocks])
    for number, block in enumerate(blocks):
        table = read_table(number)
        here = slice(starts[number], starts[number + 1])
        code[here] = table.code
        own = _painted(table, block.core)
        last[here], pixels[here] = _ends(own, block.core, len(table), shape[1])
        total[here] = pixels[here] * table.score.astype(np.float64)
        cut[here] = _at_edge(own, block.core, len(table), shape)
        for other in cores.query(_box(block.core), "intersects"):  # at a side or a corner
            if other >= number:
                continue
            strip = block.read.intersection(blocks[other].read)
            pair = _same(table, read_table(other), strip, least_iou)
            union(parent, pair[:, 0] + np.int32(starts[number]), pair[:, 1] + np.int32(starts[other]))
    root = np.array([find_root(parent, k) for k in range(len(parent))], np.int64)
    return _gathered(root, _Views(last, pixels, total, cut, code), starts)


class _Views(NamedTuple):
    """Per row of each table, the pixels in the core of its block; ``total`` is the sum of scores over pixels."""

    last: I64
    pixels: I64
    total: npt.NDArray[np.float64]
    cut: npt.NDArray[np.bool_]
    code: npt.NDArray[np.uint8]


def _gathered(root: I64, views: _Views, starts: I64) -> StitchedObjects:
    """Merge the views of each object into one row; views without pixels in the core of their block are ignored."""
    sets, member = np.unique(root, return_inverse=True)
    last = np.full(len(sets), -1, np.int64)
    np.maximum.at(last, member, views.last)
    pixels, total, cut = (np.bincount(member, column, len(sets)) for column in (views.pixels, views.total, views.cut))
    order = np.argsort(last)
    order = order[last[order] >= 0]
    rank = np.zeros(len(sets), np.int32)
    rank[order] = np.arange(1, len(order) + 1)
    label: I32 = np.where(views.pixels > 0, rank[member], 0).astype(np.int32)
    score = (total[order] / pixels[order]).astype(np.float32)
    objects = Objects(id=last[order], code=views.code[sets[order]], cut=cut[order] > 0, label=label)
    return StitchedObjects(objects=objects, score=score, starts=starts)


def _box(window: Window) -> shapely.Polygon:
    return shapely.box(window.col_start, window.row_start, window.col_stop, window.row_stop)


def _painted(table: ObjectTable, window: Window) -> I32:
    """Rasterise the objects of a table in a window: their index in the table plus one, 0 elsewhere."""
    out = np.zeros(window.shape, np.int32)
    paint(out, window, table, np.arange(1, len(table) + 1, dtype=np.int32))
    return out


def _ends(own: I32, core: Window, count: int, scene_width: int) -> tuple[I64, I64]:
    """Return the number of the last pixel of each object in a core, -1 if none, and its number of pixels there."""
    last = np.full(count + 1, -1, np.int64)
    rows, cols = np.nonzero(own)
    # of several, the last assignment stays
    last[own[rows, cols]] = (rows + core.row_start) * scene_width + cols + core.col_start
    return last[1:], np.bincount(own.ravel(), minlength=count + 1)[1:]


def _at_edge(own: I32, core: Window, count: int, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    out = np.zeros(count + 1, np.bool_)
    sides = (
        (core.row_start == 0, own[:1]),
        (core.row_stop == shape[0], own[-1:]),
        (core.col_start == 0, own[:, :1]),
        (core.col_stop == shape[1], own[:, -1:]),
    )
    for at_edge, pixels in sides:
        if at_edge:
            out[pixels] = True
    return out[1:]


def _same(one: ObjectTable, other: ObjectTable, strip: Window, least_iou: float) -> I32:
    """Match objects of two tables: (pair, 2) indices in the tables."""
    drawn = [draw_planes(table, strip, np.arange(1, len(table) + 1, dtype=np.int32)) for table in (one, other)]
    return match_objects((drawn[0], drawn[1]), (one.code, other.code), least_iou)
