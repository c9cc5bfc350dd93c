"""ConfidenceRaster: whole percent of confidence, read by window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from odc.geo.geobox import GeoBox

from geoseg.core.closing import Closing
from geoseg.core.window import Window
from geoseg.errors import SceneError
from geoseg.io.labels.label_layer import Labels, Valid
from geoseg.io.raster.scene import open_scene


class ConfidenceRaster(Closing):
    """Band 1 of a raster: whole percent, 0 to 100. Thread-safe; pickles as its path.

    Args:
        path: the raster.
        assume_crs: CRS of a raster that carries none.
        unplaced: accept a raster without a CRS.

    Attributes:
        name: for messages.
        scene: the underlying scene.
        geobox: the grid; its CRS is None where the file has none.
        hidden: None, see ``LabelLayer``.

    Raises:
        SceneError: it cannot be read, or holds colours.
    """

    hidden: int | None = None

    def __init__(self, path: Path | str, assume_crs: str | None = None, *, unplaced: bool = True) -> None:
        self.name = str(path)
        self.scene = open_scene(path, unplaced=unplaced, assume_crs=assume_crs)
        self.geobox: GeoBox = self.scene.geobox
        self._arguments = self.name, assume_crs
        names = [band.name for band in self.scene.bands[:3]]
        if names == ["red", "green", "blue"]:
            self.scene.close()
            raise SceneError(
                self.name,
                f"it is a picture (bands {', '.join(names)}), where percent in one band are expected.",
                "Give a raster of one band; if all is in the first of these: rio stack IN.tif --bidx 1 OUT.tif.",
            )

    def read(self, window: Window) -> tuple[Labels, Valid]:
        """Read percent and their validity mask, both (y, x).

        Raises:
            SceneError: a valid value is not a whole percent.
        """
        raster = self.scene.read(window, bands=[1])
        values = raster.values[0]
        inside = raster.valid & (values >= 0) & (values <= 100)
        percent = np.where(inside, values, 0).astype(np.int64)
        wrong = raster.valid & (~inside | (percent != values))
        if wrong.any():
            raise SceneError(
                self.name,
                f"it holds the value {values[wrong][0]!s}; a confidence is whole percent, from 0 to 100.",
                "Round it to whole percent, or set its nodata value with rio edit-info --nodata.",
            )
        return percent, inside

    def close(self) -> None:
        """Close the raster."""
        self.scene.close()

    def __reduce__(self) -> tuple[type[ConfidenceRaster], tuple[str, str | None]]:
        return type(self), self._arguments
