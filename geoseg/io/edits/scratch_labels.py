"""ScratchLabels: polygons burnt into a raster of labels that lies in a file without a name."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
from shapely.geometry.base import BaseGeometry

from geoseg.core.window import Window
from geoseg.errors import ResourceError
from geoseg.io.edits.areas import burn, window_of

I32 = npt.NDArray[np.int32]


class ScratchLabels:
    """Labels of the pixels of a grid, 0 for none. Reading is thread-safe.

    The file has no name: nobody else can open it, and it goes with the process.

    Args:
        shape: (rows, columns).
        folder: on the disk that holds the file.

    Raises:
        ResourceError: the disk is full.
    """

    def __init__(self, shape: tuple[int, int], folder: Path) -> None:
        size_bytes = shape[0] * shape[1] * np.dtype(np.int32).itemsize
        try:
            with tempfile.TemporaryFile(dir=folder) as file:
                if hasattr(os, "posix_fallocate"):  # a map of a file that cannot grow would end the process
                    os.posix_fallocate(file.fileno(), 0, size_bytes)
                self._labels: I32 = np.memmap(file, np.int32, "r+" if file.seek(0, 2) else "w+", shape=shape)
        except OSError as error:
            raise ResourceError(f"{folder}: has no room for {size_bytes:,} bytes of labels: {error}.") from error
        self.shape = shape

    def burn(self, area_px: BaseGeometry, label: int) -> int:
        """Give the pixels inside an area a label, and return their number.

        Args:
            area_px: in columns and rows.
            label: the label.
        """
        window = window_of(area_px, self.shape)
        inside = burn(area_px, window)
        self._labels[window.slices][inside] = label
        return int(inside.sum())

    def read(self, window: Window) -> I32:
        """Read labels, (y, x) int32."""
        return np.array(self._labels[window.slices])
