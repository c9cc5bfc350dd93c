"""Tiles, areas and least certain places of a scene's layers."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from geoseg.core.layer import CLASSES, CONFIDENCE
from geoseg.core.legend import Legend
from geoseg.core.types.json_value import UntypedDict
from geoseg.io.publish.lowest_cells import CELL_PX, lowest_cells
from geoseg.io.tiles.address import Bounds, TileAddress
from geoseg.io.tiles.pictures import Picture, change_palette, code_table, empty_picture, imagery_picture
from geoseg.io.tiles.placed import Pixels, Resampling
from geoseg.viewer.describe import polygon
from geoseg.viewer.layers import SceneLayers

COUNTED_PX: Final = 2048
"""Longest side of the grid on which areas are counted, pixels."""

_CELLS: Final = 48
"""Cells along the longer side of a scene in which confidence is averaged, where there are no polygons."""


def raster_tile(layers: SceneLayers, name: str, address: TileAddress, side_px: int) -> Picture | None:
    """Draw a tile of a raster; None if there is no such layer."""
    view = layers.rasters.get(name)
    if view is None:
        return None
    if address.zoom < view.raster.least_zoom:
        return empty_picture(side_px)
    smooth = view.palette is None and address.zoom < view.raster.native_zoom
    resampling: Resampling = "bilinear" if smooth else "nearest"
    pixels = view.raster.tile(address, side_px, resampling=resampling)
    if pixels is None or not pixels.valid.any():
        return empty_picture(side_px)
    return imagery_picture(pixels, view.stretch) if view.palette is None else view.palette.picture(pixels)


def changes_tile(layers: SceneLayers, other: SceneLayers, address: TileAddress, side_px: int) -> Picture | None:
    """Draw where two class maps differ; None if one of them has none."""
    if layers.legend is None or other.legend is None:
        return None
    first = layers.rasters[CLASSES].raster.tile(address, side_px, resampling="nearest")
    second = other.rasters[CLASSES].raster.tile(address, side_px, resampling="nearest")
    if first is None or second is None:
        return empty_picture(side_px)
    differ = _differ(first, layers.legend, second, other.legend)
    if not differ.any():
        return empty_picture(side_px)
    return change_palette().picture(Pixels(values=differ.astype(np.uint8)[None], valid=np.ones_like(differ)))


def areas(layers: SceneLayers, other: SceneLayers | None, bounds: Bounds) -> UntypedDict:
    """Count the area of each class in an extent.

    Args:
        layers: with the class map.
        other: a class map to compare with, or None.
        bounds: west, south, east and north, degrees.

    Returns:
        Square metres by code; the side of a counted pixel, metres; whether it is as small as the map's own; and
        square metres that changed.
    """
    legend = layers.legend
    grid = None if legend is None else layers.rasters[CLASSES].raster.grid(bounds, COUNTED_PX)
    if legend is None or grid is None:
        zeros = {} if legend is None else {str(code): 0.0 for code in legend.codes}
        return {"areas": zeros, "pixel_m": None, "full": legend is not None, "changed_m2": None}
    pixels = layers.rasters[CLASSES].raster.on_grid(grid)
    counts = np.bincount(pixels.values[0][pixels.valid].astype(np.int64).clip(0, 255), minlength=256)
    changed = None
    if other is not None and other.legend is not None:
        differ = _differ(pixels, legend, other.rasters[CLASSES].raster.on_grid(grid), other.legend)
        changed = float(differ.sum()) * grid.pixel_m**2
    return {
        "areas": {str(code): float(counts[code]) * grid.pixel_m**2 for code in legend.codes},
        "pixel_m": grid.pixel_m,
        "full": grid.full,
        "changed_m2": changed,
    }


def least_certain(layers: SceneLayers, most: int, least_m2: float) -> UntypedDict:
    """List the places where the model is least certain, worst first: polygons, or cells of the confidence raster."""
    legend = layers.legend
    hidden = () if legend is None or legend.background is None else (legend.background,)
    for name, table in layers.polygons.items():
        found = table.least_certain(most=most, hidden=hidden, least_m2=least_m2)
        if found:
            return {"layer": name, "places": [polygon(place) for place in found]}
    view = layers.rasters.get(CONFIDENCE)
    return {"layer": None, "places": [] if view is None else _cells(layers, most)}


def _differ(first: Pixels, own: Legend, second: Pixels, common: Legend) -> npt.NDArray[np.bool_]:
    """Mark the pixels that both maps have and whose classes have different names."""
    differ: npt.NDArray[np.bool_] = (
        first.valid & second.valid & (_by_name(first, own, common) != _by_name(second, common, common))
    )
    return differ


def _by_name(pixels: Pixels, own: Legend, common: Legend) -> npt.NDArray[np.int16]:
    """Number classes by their names in a common legend; classes that it lacks get numbers of their own."""
    known = {name: place for place, name in enumerate(common.names)}
    numbers = {entry.code: known.get(entry.name, 300 + entry.code) for entry in own.classes}
    return np.asarray(code_table(numbers)[pixels.values[0].astype(np.int64).clip(0, 255)], np.int16)


def _cells(layers: SceneLayers, most: int) -> list[UntypedDict]:
    """Average confidence in cells of the scene, and list the lowest."""
    raster = layers.rasters[CONFIDENCE].raster
    grid = raster.grid(raster.bounds, _CELLS * CELL_PX)
    if grid is None:
        return []
    pixels = raster.on_grid(grid)
    return [
        {
            "row": number,
            "attributes": {"confidence": round(cell.mean / 100, 4)},
            "bounds": grid.lonlat(cell.rows, cell.cols),
        }
        for number, cell in enumerate(lowest_cells(pixels.values[0], pixels.valid, most))
    ]
