"""FinishedRasters: the blocks of a run, read back from the rasters that it wrote."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.windows import Window as RasterioWindow

from geoseg.core.closing import Closing
from geoseg.core.tiling import Block
from geoseg.io.files.gdal_name import gdal_name
from geoseg.io.files.quiet import quiet


class FinishedRasters(Closing):
    """The layers of each block as a ``Store`` keeps them, from finished rasters. Reading is thread-safe.

    Args:
        directory: holds the rasters; stands in messages.
        paths: uint8 rasters of one band in the order of the store's layers; None reads as nodata (255).
    """

    def __init__(self, directory: Path, paths: Sequence[Path | None]) -> None:
        self.path = directory
        self._lock = threading.Lock()
        self._stack = ExitStack()
        with quiet():
            self._files = [
                None if path is None else self._stack.enter_context(rasterio.open(gdal_name(path), driver="GTiff"))
                for path in paths
            ]

    def read(self, block: Block) -> tuple[npt.NDArray[np.uint8], ...]:
        """Read the layers of a block, (y, x) uint8 each."""
        w = block.window
        at = RasterioWindow(w.col_start, w.row_start, w.width, w.height)
        with self._lock:
            return tuple(
                np.full(w.shape, 255, np.uint8) if file is None else file.read(1, window=at) for file in self._files
            )

    def close(self) -> None:
        """Close the files."""
        self._stack.close()
