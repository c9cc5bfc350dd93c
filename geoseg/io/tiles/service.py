"""ServiceRaster: a tile or map service on the web map, read by windows as a prediction reads it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.transform import from_bounds
from rasterio.warp import reproject, transform_bounds

from geoseg.core.window import Window
from geoseg.errors import SceneError
from geoseg.io.files.drivers import gdal_settings
from geoseg.io.raster.scene import Scene
from geoseg.io.raster.source import reason
from geoseg.io.tiles.address import Bounds
from geoseg.io.tiles.placed import PixelGrid, Pixels, PlacedRaster, Resampling

_MOST_READ_PX: Final = 2048
"""Longest side of what a service is asked for to draw one tile: 64 of its tiles of 256 px."""

_MARGIN_PX: Final = 2


class ServiceRaster(PlacedRaster):
    """A scene of a service. Thread-safe; its tiles are asked for as they are looked at, and kept.

    Args:
        name: name for messages, without login and query.
        scene: the open scene, which is closed with this.
        bands: 1-based bands to read.
    """

    def __init__(self, name: str, scene: Scene, bands: Sequence[int]) -> None:
        self._scene, self._bands = scene, tuple(bands)
        box = scene.geobox
        self._crs = CRS.from_user_input(box.crs.to_wkt())
        left, bottom, right, top = box.extent.boundingbox.bbox
        rows, cols = (int(side) for side in box.shape)
        grid = PixelGrid(
            crs=self._crs,
            bounds=(left, bottom, right, top),
            shape=(rows, cols),
            coarsest_px=max(rows, cols),
            most_read_px=_MOST_READ_PX,
        )
        super().__init__(name, grid, str(scene.dtype))

    def close(self) -> None:
        """Close the scene."""
        self._scene.close()

    def _read(self, bounds: Bounds, crs: CRS, shape: tuple[int, int], resampling: Resampling) -> Pixels:
        values = np.zeros((len(self._bands), *shape), self._scene.dtype)
        valid = np.zeros(shape, np.uint8)
        try:
            window = self._window(bounds, crs)
            if window is None:
                return Pixels(values=values, valid=valid > 0)
            raster = self._scene.read(window, self._bands)
            place = self._scene.geobox.affine * Affine.translation(window.col_start, window.row_start)
            how = {
                "src_transform": place,
                "src_crs": self._crs,
                "dst_transform": from_bounds(*bounds, shape[1], shape[0]),
                "dst_crs": crs,
            }
            with gdal_settings():
                reproject(raster.values, values, resampling=rasterio.enums.Resampling[resampling], **how)
                reproject(raster.valid.astype(np.uint8), valid, resampling=rasterio.enums.Resampling.nearest, **how)
        except (RasterioError, CRSError) as error:
            raise SceneError(self.name, f"it cannot be read there ({reason(error)}).") from error
        return Pixels(values=values, valid=valid > 0)

    def _window(self, bounds: Bounds, crs: CRS) -> Window | None:
        """Return the pixels of the scene that bounds touch; None if there are none, or more than a tile may ask for."""
        left, bottom, right, top = transform_bounds(crs, self._crs, *bounds, densify_pts=21)
        inverse = ~self._scene.geobox.affine
        (col, row), (last_col, last_row) = inverse * (left, top), inverse * (right, bottom)
        if not all(map(math.isfinite, (col, row, last_col, last_row))):
            return None
        rows, cols = (int(side) for side in self._scene.geobox.shape)
        row_start, col_start = max(0, math.floor(row) - _MARGIN_PX), max(0, math.floor(col) - _MARGIN_PX)
        row_stop = min(rows, math.ceil(last_row) + _MARGIN_PX)
        col_stop = min(cols, math.ceil(last_col) + _MARGIN_PX)
        if row_start >= row_stop or col_start >= col_stop:
            return None
        if max(row_stop - row_start, col_stop - col_start) > 2 * _MOST_READ_PX:
            return None
        return Window(row_start, row_stop, col_start, col_stop)
