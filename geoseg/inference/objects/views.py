"""TileViews: what each tile of a run has detected, read from the finished blocks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Protocol

import numpy as np
import numpy.typing as npt

from geoseg.core.block_result import BlockResult
from geoseg.core.layer import RasterLayer
from geoseg.core.objects import ObjectTable
from geoseg.core.tiling import Blocks
from geoseg.core.types.arrays import AnyArray
from geoseg.core.window import Window
from geoseg.inference.match import ReadPlan
from geoseg.inference.objects.match import SeenBlock
from geoseg.inference.objects.planes import draw_planes
from geoseg.inference.tasks.instance import LABELS_PER_TILE, seen_window
from geoseg.inference.tasks.instance_layers import valid_layer

_BLOCKS_KEPT = 12
"""Blocks in memory: one, its neighbours, and those that other threads read."""

_TILES_KEPT = 16
"""Tiles whose pictures are in memory."""


class BlockReader(Protocol):
    """Protocol of the readers of finished blocks, such as ``geoseg.run.finished_blocks.FinishedBlocks``."""

    @property
    def blocks(self) -> Blocks:
        """The blocks."""
        ...

    def read(self, row: int, col: int) -> BlockResult:
        """Read the result of the block in a row and column of blocks."""
        ...

    def read_window(self, window: Window, layers: tuple[RasterLayer, ...]) -> tuple[AnyArray, ...]:
        """Read planes over any window."""
        ...


Tables = dict[int, ObjectTable]


class TileViews:
    """Detections of the tiles of a scene. Thread-safe.

    Args:
        blocks: finished blocks of the run.
        read: plan for reading the scene.

    Attributes:
        shape: (rows, columns) of the scene.
        tiles: windows of the tiles, row by row.
    """

    def __init__(self, blocks: BlockReader, read: ReadPlan) -> None:
        self._blocks = blocks
        self.shape = read.scene_shape
        tiling = blocks.blocks.tiling
        self.tiles = [SeenBlock(core=tile.core, read=seen_window(read, tile)) for tile in tiling]
        rows, cols = tiling.shape
        self._cols = cols
        self._row_reads = np.array([_ends(self.tiles[row * cols].read)[:2] for row in range(rows)])
        self._col_reads = np.array([_ends(self.tiles[col].read)[2:] for col in range(cols)])
        cores = blocks.blocks.cores
        self._block_of = [(row // cores, col // cores) for row in range(rows) for col in range(cols)]
        self._kept: OrderedDict[tuple[int, int], tuple[BlockResult, Tables]] = OrderedDict()
        self._drawn: OrderedDict[int, list[npt.NDArray[np.int32]]] = OrderedDict()
        self._lock = threading.Lock()

    def in_block_order(self) -> list[int]:
        """Return the numbers of the tiles, block by block, so that each block is read few times."""
        return sorted(range(len(self.tiles)), key=lambda tile: (self._block_of[tile], tile))

    def block_windows(self) -> list[Window]:
        """Return the windows of the blocks, which partition the scene."""
        return [block.window for block in self._blocks.blocks]

    def table(self, tile: int) -> ObjectTable:
        """Read the detections of a tile; its labels are ``tile * LABELS_PER_TILE + k``, rising."""
        return self._read(self._block_of[tile])[1].get(tile, _NOTHING)

    def over(self, window: Window) -> list[int]:
        """Return the numbers of the tiles that see pixels of a window."""
        rows = np.flatnonzero((self._row_reads[:, 0] < window.row_stop) & (self._row_reads[:, 1] > window.row_start))
        cols = np.flatnonzero((self._col_reads[:, 0] < window.col_stop) & (self._col_reads[:, 1] > window.col_start))
        return [int(row) * self._cols + int(col) for row in rows for col in cols]

    def before(self, tile: int) -> list[int]:
        """Return the numbers of the neighbours of a tile, corners included, that come before it."""
        row, col = divmod(tile, self._cols)
        near = [(row - 1, col - 1), (row - 1, col), (row - 1, col + 1), (row, col - 1)]
        return [r * self._cols + c for r, c in near if r >= 0 and 0 <= c < self._cols]

    def planes(self, tile: int) -> list[npt.NDArray[np.int32]]:
        """Draw what a tile detects over the window that it sees: index in its table plus one; see ``draw_planes``."""
        with self._lock:
            if tile in self._drawn:
                self._drawn.move_to_end(tile)
                return self._drawn[tile]
        table = self.table(tile)
        drawn = draw_planes(table, self.tiles[tile].read, np.arange(1, len(table) + 1, dtype=np.int32))
        with self._lock:
            self._drawn[tile] = drawn
            while len(self._drawn) > _TILES_KEPT:
                self._drawn.popitem(last=False)
        return drawn

    def valid(self, window: Window) -> npt.NDArray[np.bool_]:
        """Read which pixels of a window were predicted."""
        return self._blocks.read_window(window, (valid_layer(),))[0] > 0

    def _read(self, place: tuple[int, int]) -> tuple[BlockResult, Tables]:
        with self._lock:
            if place in self._kept:
                self._kept.move_to_end(place)
                return self._kept[place]
        result = self._blocks.read(*place)
        both = result, _by_tile(result.objects)
        with self._lock:
            self._kept[place] = both
            while len(self._kept) > _BLOCKS_KEPT:
                self._kept.popitem(last=False)
        return both


_NOTHING = ObjectTable.empty()


def _by_tile(table: ObjectTable | None) -> Tables:
    if table is None or not len(table):
        return {}
    tiles = table.label // LABELS_PER_TILE
    return {int(tile): table.take(np.flatnonzero(tiles == tile)) for tile in np.unique(tiles)}


def _ends(window: Window) -> tuple[int, int, int, int]:
    return window.row_start, window.row_stop, window.col_start, window.col_stop
