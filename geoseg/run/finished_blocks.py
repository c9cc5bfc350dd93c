"""Finished blocks of a run, read one by one or by any window of the scene."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from geoseg.core.block_result import BlockResult
from geoseg.core.layer import RasterLayer
from geoseg.core.tiling import Block, Blocks
from geoseg.core.types.arrays import AnyArray
from geoseg.core.window import Window
from geoseg.errors import OutputError


class BlockSource(Protocol):
    """Protocol of the readers of finished blocks: the store of a run, or rasters that a run has written."""

    @property
    def path(self) -> Path | str:
        """The folder, for messages."""

    def read(self, block: Block) -> BlockResult | None:
        """Read the result of a block; None if it is missing or damaged."""


class FinishedBlocks:
    """The finished blocks of a run, readable until ``stop`` is called. Thread-safe.

    Args:
        blocks: the blocks of the run.
        source: reads their results.
    """

    def __init__(self, blocks: Blocks, source: BlockSource) -> None:
        self.blocks = blocks
        self.shape = blocks.tiling.scene_shape
        self._source = source
        self._stopped = threading.Event()
        rows, cols = blocks.shape
        self._tops = np.array([blocks.block(row, 0).window.row_start for row in range(rows)])
        self._lefts = np.array([blocks.block(0, col).window.col_start for col in range(cols)])

    def stop(self) -> None:
        """Make all reads raise from now on."""
        self._stopped.set()

    def read(self, row: int, col: int) -> BlockResult:
        """Read the result of the block in a row and column of blocks.

        Raises:
            OutputError: it is missing or damaged.
            CancelledError: reading was stopped.
        """
        if self._stopped.is_set():
            raise CancelledError
        result = self._source.read(self.blocks.block(row, col))
        if result is None:
            folder = self._source.path
            raise OutputError(f"{folder}: a finished block is missing or damaged. Run again: it will be redone.")
        return result

    def plane(self, layer: RasterLayer) -> Iterator[tuple[Window, AnyArray]]:
        """Read a plane block by block."""
        for block in self.blocks:
            yield block.window, self.read(block.row, block.col).planes[layer.name]

    def read_window(self, window: Window, layers: tuple[RasterLayer, ...]) -> tuple[AnyArray, ...]:
        """Read planes over any window, assembled from the blocks that overlap it.

        Args:
            window: window of the scene's grid.
            layers: the planes.

        Returns:
            One array (y, x) over the window per layer.
        """
        found = tuple(np.empty(window.shape, layer.dtype) for layer in layers)
        for row in _under(self._tops, window.row_start, window.row_stop):
            for col in _under(self._lefts, window.col_start, window.col_stop):
                whole = self.blocks.block(row, col).window
                part = whole.intersection(window)
                planes = self.read(row, col).planes
                for plane, layer in zip(found, layers, strict=True):
                    plane[part.within(window)] = planes[layer.name][part.within(whole)]
        return found


def _under(starts: npt.NDArray[np.int64], start: int, stop: int) -> range:
    """Return the range of intervals, which begin at ``starts``, that overlap [start, stop)."""
    return range(int(np.searchsorted(starts, start, "right")) - 1, int(np.searchsorted(starts, stop, "left")))


class StoredCodes:
    """Codes and confidence of finished blocks over any window, as input of the vectoriser. Thread-safe."""

    def __init__(self, blocks: FinishedBlocks, codes: RasterLayer, confidence: RasterLayer | None) -> None:
        self._blocks = blocks
        self._layers = (codes,) if confidence is None else (codes, confidence)
        self.shape = blocks.shape

    def read(self, window: Window) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8] | None]:
        """Read codes and confidence of a window."""
        found = self._blocks.read_window(window, self._layers)
        return found[0], found[1] if len(found) > 1 else None
