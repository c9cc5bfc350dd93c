"""FinishedRasters: the blocks of a run, read from the rasters that it wrote."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import rasterio
from rasterio.windows import Window as RasterioWindow

from geoseg.core.block_result import BlockResult
from geoseg.core.closing import Closing
from geoseg.core.layer import RasterLayer
from geoseg.core.tiling import Block
from geoseg.io.files.gdal_messages import suppress_gdal_messages
from geoseg.io.files.gdal_name import gdal_name


class FinishedRasters(Closing):
    """Reader of the planes of blocks from finished rasters, in place of a ``Store``. Thread-safe.

    Args:
        directory: folder of the rasters, for messages.
        planes: layers with their rasters of one band; a plane without a raster is all nodata.
    """

    def __init__(self, directory: Path, planes: Sequence[tuple[RasterLayer, Path | None]]) -> None:
        self.path = directory
        self._lock = threading.Lock()
        self._stack = ExitStack()
        with suppress_gdal_messages():
            self._files = [
                (
                    layer,
                    None if path is None else self._stack.enter_context(rasterio.open(gdal_name(path), driver="GTiff")),
                )
                for layer, path in planes
            ]

    def read(self, block: Block) -> BlockResult:
        """Read the planes of a block."""
        w = block.window
        at = RasterioWindow(w.col_start, w.row_start, w.width, w.height)
        with self._lock:
            planes = {
                layer.name: layer.empty(w.shape) if file is None else file.read(1, window=at)
                for layer, file in self._files
            }
        return BlockResult(block=block, planes=planes)

    def close(self) -> None:
        """Close the files."""
        self._stack.close()
