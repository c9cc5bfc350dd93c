"""Patch: the regions and boundaries of a part of a scene that other parts may go on from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geoseg.core.types.arrays import AnyArray
from geoseg.core.window import Window
from geoseg.vector.arcs import Arcs, trace_arcs
from geoseg.vector.corner_groups import group_regions
from geoseg.vector.ground import PixelGround
from geoseg.vector.regions import (
    Sums,
    label_regions,
    regions_of_column,
    regions_of_row,
    sum_regions,
)
from geoseg.vector.rings import Lines
from geoseg.vector.source import LabelTable
from geoseg.vector.zonal import BandSums, sum_bands

U8 = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.integer]
I32 = npt.NDArray[np.int32]
Bools = npt.NDArray[np.bool_]

_NO_CONFIDENCE = np.empty((0, 0), np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """A part of a scene.

    Attributes:
        sums: what adds up over the pixels of each region.
        bands: what adds up in other bands; None without statistics.
        arcs: boundaries; regions are indices into ``sums``, or -1 where nobody asks any more.
        lines: the arcs as they are drawn, as far as they are drawn already.
        is_open: regions that may go on outside this part.
        group: number of the group that each region belongs to; see ``group_regions``. None when connectivity is 4.
        known: first row, row behind the last, first column and column behind the last of the points where all lines
            are there.
        north: region of each pixel in the row above this part, from the one above ``west`` on; empty at the scene's
            edge.
        south: region of each pixel in its last row.
        west: region of each pixel in the column to the left; empty at the scene's edge.
        east: region of each pixel in its last column.
    """

    sums: Sums
    bands: BandSums | None
    arcs: Arcs
    lines: Lines
    is_open: Bools
    group: I32 | None
    known: tuple[int, int, int, int]
    north: I32
    south: I32
    west: I32
    east: I32


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The pixels of one block.

    Attributes:
        window: where it is.
        labels: (height + 1, width + 1) uint8 or int32, with one row above and one column to the left; the label of no
            polygon at the scene's edge.
        confidence: (height, width) percent, or None.
        bands: values of other bands and which of them count, both (band, height, width), or None.
    """

    window: Window
    labels: Labels
    confidence: U8 | None
    bands: tuple[AnyArray, Bools] | None = None


def trace_block(
    block: Block, ground: PixelGround, shape: tuple[int, int], table: LabelTable, connectivity: int = 4
) -> Patch:
    """Trace one block, knowing nothing of the others.

    Args:
        block: its pixels.
        ground: pixel sizes of the scene.
        shape: (rows, columns) of the scene.
        table: classes of the labels.
        connectivity: 4, or 8 to group regions across corners.
    """
    window = block.window
    frame = window.row_start == 0, window.row_stop == shape[0], window.col_start == 0, window.col_stop == shape[1]
    labels = np.pad(block.labels, ((0, int(frame[1])), (0, int(frame[3]))), constant_values=table.none)
    runs, count = label_regions(labels)
    cumulative = ground.cumulative((window.row_start, window.row_stop), (window.col_start, window.col_stop))
    place = (*window_origin(window), *window.shape, shape[1], ground.shift)
    confidence = _NO_CONFIDENCE if block.confidence is None else np.ascontiguousarray(block.confidence)
    sums = sum_regions(labels, confidence, runs, count, cumulative, place)
    sums = sums._replace(code=table.code[sums.label])
    bands = None if block.bands is None else sum_bands(*block.bands, runs, count)
    arcs = trace_arcs(labels, runs, frame)
    arcs.points[:] += np.array(window_origin(window), np.int32)

    none = np.empty(0, np.int32)
    height, width = window.shape
    row = slice(1, width + 1)
    column = slice(1, height + 1)
    north = none if frame[0] else regions_of_row(runs, 0, labels.shape[1])[int(frame[2]) : width + 1]
    south = none if frame[1] else regions_of_row(runs, height, labels.shape[1])[row]
    west = none if frame[2] else regions_of_column(runs, 0)[column]
    east = none if frame[3] else regions_of_column(runs, width)[column]
    is_open = np.zeros(count, np.bool_)
    for border in (north, south, west, east):
        is_open[border] = True
    lines = Lines(
        np.empty((0, 2), np.int32), np.zeros(len(arcs.side) + 1, np.int64), 2, np.zeros(len(arcs.side), np.bool_)
    )
    known = (
        window.row_start + (not frame[0]),
        window.row_stop + frame[1],
        window.col_start + (not frame[2]),
        window.col_stop + frame[3],
    )
    borders = {"north": north, "south": south, "west": west, "east": east}
    group = group_regions(labels, runs, count, table.none) if connectivity == 8 else None
    return Patch(sums=sums, bands=bands, arcs=arcs, lines=lines, is_open=is_open, group=group, known=known, **borders)


def window_origin(window: Window) -> tuple[int, int]:
    """Return (first row, first column)."""
    return window.row_start, window.col_start
