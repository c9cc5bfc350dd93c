"""CodeFile: class codes and optional confidence, read by window from written layers."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.windows import Window as RasterioWindow

from geoseg.core.closing import Closing
from geoseg.core.types.arrays import AnyArray
from geoseg.core.window import Window
from geoseg.errors import OutputError
from geoseg.io.files.gdal_messages import suppress_gdal_messages
from geoseg.io.files.gdal_name import gdal_name

Codes = npt.NDArray[np.uint8]


class LayerFiles(Closing):
    """Written raster layers of one band on one grid, read by window. Thread-safe.

    Args:
        paths: the rasters.

    Attributes:
        shape: (rows, columns).

    Raises:
        OutputError: a file is missing or damaged, here or when it is read.
    """

    def __init__(self, *paths: Path) -> None:
        self._lock = threading.Lock()
        self._paths, self._files = paths, []
        with ExitStack() as opened, suppress_gdal_messages():
            for path in paths:
                try:
                    file = rasterio.open(gdal_name(path), driver="GTiff")
                except RasterioError as error:
                    raise _damaged(path) from error
                self._files.append(opened.enter_context(file))
            opened.pop_all()
        self.shape: tuple[int, int] = self._files[0].shape

    def planes(self, window: Window) -> list[AnyArray]:
        """Read the pixels of each raster, (y, x) of its type."""
        at = RasterioWindow(window.col_start, window.row_start, window.width, window.height)
        planes = []
        with self._lock:
            for path, file in zip(self._paths, self._files, strict=True):
                try:
                    planes.append(file.read(1, window=at))
                except RasterioError as error:
                    raise _damaged(path) from error
        return planes

    def overview(self, shape: tuple[int, int]) -> AnyArray:
        """Read the first raster reduced to ``shape`` by the most frequent value."""
        with self._lock:
            reduced: AnyArray = self._files[0].read(1, out_shape=shape, resampling=Resampling.mode)
        return reduced

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            for file in self._files:
                file.close()


class CodeFile(LayerFiles):
    """A class raster and its confidence, as input of the vectoriser. Thread-safe.

    Args:
        classes: one uint8 band of codes.
        confidence: one uint8 band of percent on the same grid, or None.
    """

    def __init__(self, classes: Path, confidence: Path | None) -> None:
        super().__init__(*(path for path in (classes, confidence) if path is not None))

    def read(self, window: Window) -> tuple[Codes, Codes | None]:
        """Read codes and confidence, both (y, x) uint8."""
        layers = self.planes(window)
        return layers[0], layers[1] if len(layers) > 1 else None


def _damaged(path: Path) -> OutputError:
    return OutputError(f"{path}: is missing or damaged. Restore it from a copy, or run geoseg predict again.")
