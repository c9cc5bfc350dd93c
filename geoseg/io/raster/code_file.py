"""CodeFile: class codes and optional confidence, read by window from written layers."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.enums import Resampling
from rasterio.windows import Window as RasterioWindow

from geoseg.core.closing import Closing
from geoseg.core.window import Window
from geoseg.io.files.gdal_messages import suppress_gdal_messages
from geoseg.io.files.gdal_name import gdal_name

Codes = npt.NDArray[np.uint8]


class CodeFile(Closing):
    """A class raster and its confidence, as input of the vectoriser. Thread-safe.

    Args:
        classes: one uint8 band of codes.
        confidence: one uint8 band of percent on the same grid, or None.
    """

    def __init__(self, classes: Path, confidence: Path | None) -> None:
        self._lock = threading.Lock()
        with suppress_gdal_messages():
            self._files = [
                rasterio.open(gdal_name(path), driver="GTiff") for path in (classes, confidence) if path is not None
            ]
        self.shape: tuple[int, int] = self._files[0].shape

    def read(self, window: Window) -> tuple[Codes, Codes | None]:
        """Read codes and confidence, both (y, x) uint8."""
        at = RasterioWindow(window.col_start, window.row_start, window.width, window.height)
        with self._lock:
            layers = [file.read(1, window=at) for file in self._files]
        return layers[0], layers[1] if len(layers) > 1 else None

    def overview(self, shape: tuple[int, int]) -> Codes:
        """Read all codes reduced to ``shape`` by the most frequent one."""
        with self._lock:
            reduced: Codes = self._files[0].read(1, out_shape=shape, resampling=Resampling.mode)
        return reduced

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            for file in self._files:
                file.close()
