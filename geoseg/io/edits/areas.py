"""Areas on a grid: polygons in map coordinates become pixels, and pixels become polygons."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from rasterio.features import rasterize, shapes
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from geoseg.core.window import Window
from geoseg.io.publish.grid import LayerGrid

Bools = npt.NDArray[np.bool_]
F64 = npt.NDArray[np.float64]
_SHIFT_PX = 1
_STRIP_ROWS = 4096
_FAR_PX = 2**20
"""GDAL counts columns and rows in 32 bits, so areas are cut at this distance from the window."""
Conversion = Callable[[F64, F64], tuple[F64, F64]]


def in_pixels(area: BaseGeometry, grid: LayerGrid) -> BaseGeometry:
    """Convert a geometry from map coordinates to columns and rows."""
    return _moved(area, grid.to_pixels)


def in_world(area: BaseGeometry, grid: LayerGrid) -> BaseGeometry:
    """Convert a geometry from columns and rows to map coordinates."""
    return _moved(area, grid.to_world)


def window_of(area_px: BaseGeometry, shape: tuple[int, int]) -> Window:
    """Return the smallest window that holds all pixels of an area; without pixels if it lies outside of the grid.

    Args:
        area_px: in columns and rows.
        shape: (rows, columns) of the grid.
    """
    if area_px.is_empty:
        return Window(0, 0, 0, 0)
    left, top, right, bottom = area_px.bounds
    rows, cols = (
        np.clip([np.floor(top), np.ceil(bottom)], 0, shape[0]),
        np.clip([np.floor(left), np.ceil(right)], 0, shape[1]),
    )
    return Window(int(rows[0]), int(rows[1]), int(cols[0]), int(cols[1]))


def burn(area_px: BaseGeometry, window: Window) -> Bools:
    """Mark the pixels of a window, (y, x) bool, whose centres lie inside an area in columns and rows."""
    if not window.pixels or area_px.is_empty:
        return np.zeros(window.shape, np.bool_)
    left, top = window.col_start - _FAR_PX, window.row_start - _FAR_PX
    right, bottom = window.col_stop + _FAR_PX, window.row_stop + _FAR_PX
    if not shapely.box(left, top, right, bottom).covers(shapely.box(*area_px.bounds)):
        area_px = shapely.clip_by_rect(area_px, left, top, right, bottom)
        if area_px.is_empty:
            return np.zeros(window.shape, np.bool_)
    shifted = shapely.transform(area_px, lambda points: points + _SHIFT_PX)
    return np.asarray(rasterize([shifted], out_shape=window.shape, transform=_at(window), dtype="uint8"), np.bool_)


class BurntArea:
    """Pixels of an area, burnt once and kept as bits; read from any thread, unlike rasterio's function, which warns.

    Args:
        area_px: in columns and rows.
        window: smallest window of its pixels.
    """

    def __init__(self, area_px: BaseGeometry, window: Window) -> None:
        self._window = window
        strips = [np.zeros((0, -(-window.width // 8)), np.uint8)]
        for top in range(window.row_start, window.row_stop, _STRIP_ROWS):
            strip = Window(top, min(top + _STRIP_ROWS, window.row_stop), window.col_start, window.col_stop)
            strips.append(np.packbits(burn(area_px, strip), axis=1))
        self._bits = np.concatenate(strips)

    def read(self, part: Window) -> Bools:
        """Mark the pixels of a part of the window, (y, x) bool."""
        rows, cols = part.within(self._window)
        return np.unpackbits(self._bits[rows], axis=1, count=self._window.width)[:, cols].astype(np.bool_)


def outline(mask: Bools, window: Window) -> BaseGeometry:
    """Draw the outlines of marked pixels, a MultiPolygon in columns and rows.

    Args:
        mask: (y, x) over the window.
        window: where it lies.
    """
    found = [shape(one) for one, _ in shapes(mask.astype(np.uint8), mask=mask, transform=_at(window))]
    polygons = shapely.MultiPolygon([polygon for polygon in found if isinstance(polygon, shapely.Polygon)])
    return shapely.transform(polygons, lambda points: points - _SHIFT_PX)


def _at(window: Window) -> Affine:
    """Return the transform of a window, shifted: an identity would be warned of as no georeference."""
    return Affine.translation(window.col_start + _SHIFT_PX, window.row_start + _SHIFT_PX)


def _moved(area: BaseGeometry, to: Conversion) -> BaseGeometry:
    def convert(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.column_stack(to(points[:, 0], points[:, 1]))

    return shapely.transform(area, convert)
