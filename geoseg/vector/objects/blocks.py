"""Parts of one block, found without knowing more of the others than the pixels around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geoseg.core.objects import ObjectTable
from geoseg.core.window import Window
from geoseg.errors import UsageError
from geoseg.vector.ground import PixelGround
from geoseg.vector.objects.basins import Parts, Passages, add_up, find_passages, number_parts
from geoseg.vector.objects.distance import squared_distance
from geoseg.vector.objects.masks import table_of_labels
from geoseg.vector.objects.spec import ObjectSpec
from geoseg.vector.source import CodeSource

I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]

_SURE = 100
_UNKNOWN = 255
_NO_PASSAGES = Passages(np.zeros((0, 2), np.int32), np.zeros(0, np.int32))


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockParts:
    """Parts of objects found in a block.

    Attributes:
        window: the pixels that the block owns.
        table: masks of the parts; labels are indices into ``parts``.
        parts: what adds up over their pixels; parts that only neighbouring blocks own come without any.
        passages: where parts touch; none when nothing is cut.
        north: part of each pixel in the row above the block, from the one above ``west`` on, -1 outside of parts; empty
            at the scene's edge.
        south: part of each pixel in its last row.
        west: part of each pixel in the column to the left; empty at the scene's edge.
        east: part of each pixel in its last column.
    """

    window: Window
    table: ObjectTable
    parts: Parts
    passages: Passages
    north: I32
    south: I32
    west: I32
    east: I32


def find_parts(source: CodeSource, window: Window, spec: ObjectSpec, ground: PixelGround, nodata: int) -> BlockParts:
    """Find the parts of one block: regions of the classes of objects, or basins where regions are to be cut.

    Args:
        source: of class codes, and of confidence where the cuts follow it.
        window: the pixels that the block owns.
        spec: which classes, and how to cut.
        ground: pixel sizes of the scene.
        nodata: code of the pixels without a class.
    """
    scene = Window.whole(source.shape)
    above, before = int(window.row_start > 0), int(window.col_start > 0)
    inner = Window(window.row_start - above, window.row_stop, window.col_start - before, window.col_stop)
    seen = inner.expanded(spec.halo_px).intersection(scene)
    codes, confidence = source.read(seen)
    selected = np.zeros(256, np.bool_)
    selected[list(spec.codes)] = True
    height = _height(codes, confidence, selected, spec)
    near = inner.expanded(1).intersection(scene)
    codes, height = np.ascontiguousarray(codes[near.within(seen)]), np.ascontiguousarray(height[near.within(seen)])
    rows, cols = inner.within(near)
    part, count = number_parts(
        codes,
        height if spec.splits else None,
        selected,
        (rows.start, rows.stop, cols.start, cols.stop),
        spec.connectivity,
    )
    height = np.ascontiguousarray(height[rows, cols])
    framed = np.full((inner.height + 2, inner.width + 2), nodata, np.uint8)
    framed[near.within(inner.expanded(1))] = codes
    cumulative = ground.cumulative((window.row_start, window.row_stop), (window.col_start, window.col_stop))
    place = inner.row_start, inner.col_start, above, before, source.shape[1], ground.shift, nodata
    parts = add_up(part, count, framed, height, cumulative, place)
    is_open = np.zeros(count + 1, np.bool_)
    none = np.empty(0, np.int32)
    north = part[0] if above else none
    west = part[above:, 0].copy() if before else none
    for border in (north, west, part[-1] if window.row_stop < scene.row_stop else none):
        is_open[border] = True
    is_open[part[:, -1] if window.col_stop < scene.col_stop else none] = True
    owned = np.ascontiguousarray(part[above:, before:])
    return BlockParts(
        window=window,
        table=table_of_labels(owned, window, parts.code, is_open[:-1]),
        parts=parts,
        passages=find_passages(part, framed, height, spec.connectivity) if spec.splits else _NO_PASSAGES,
        north=north.copy(),
        south=owned[-1].copy(),
        west=west,
        east=owned[:, -1].copy(),
    )


def _height(codes: U8, confidence: U8 | None, selected: npt.NDArray[np.bool_], spec: ObjectSpec) -> I32:
    """Measure the squared height of each pixel: of how far it lies inside, or of that times its confidence."""
    if not spec.splits:
        return np.zeros(codes.shape, np.int32)
    height = squared_distance(codes, selected, spec.reach_px)
    if spec.split == "distance":
        return height
    if confidence is None:
        raise UsageError("split 'confidence' needs the confidence of each pixel; give it, or split by distance")
    percent = np.where(confidence == _UNKNOWN, _SURE, confidence).astype(np.int32)
    return np.asarray(height * percent * percent, np.int32)
