"""Whether two layers lie on one grid, and what differs when they do not."""

from __future__ import annotations

from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox

from geoseg.core.window import Window
from geoseg.errors import SceneError
from geoseg.io.georeference import crop
from geoseg.io.label_layer import LabelLayer
from geoseg.io.resampled_layer import ResampledLabels

_TOLERANCE_PX = 0.01


def difference(one: GeoBox, other: GeoBox) -> str | None:
    """Name the first thing in which two grids differ, the second one's value first; None when they are equal.

    A grid without a CRS differs from another one in its size only.
    """
    if one.crs is not None and other.crs is not None:
        if one.crs != other.crs:
            return f"its CRS is {_crs(other.crs)}, not {_crs(one.crs)}"
        ours, theirs = one.transform, other.transform
        steps, others = (np.array([t.a, t.b, t.d, t.e]) for t in (ours, theirs))
        # so little that it does not add up to a pixel's part over the whole grid
        if np.abs(steps - others).max() * max(*one.shape, *other.shape) > _TOLERANCE_PX * np.abs(steps).max():
            return f"its pixels are {_size(theirs)}, not {_size(ours)}"
        col, row = ~ours * (theirs.c, theirs.f)
        if max(abs(row), abs(col)) > _TOLERANCE_PX:
            return f"its corner lies {row:.6g} rows and {col:.6g} columns off"
    if tuple(one.shape) != tuple(other.shape):
        return f"it has {tuple(other.shape)} pixels (rows, columns), not {tuple(one.shape)}"
    return None


def offset(one: LabelLayer, other: LabelLayer) -> tuple[int, int]:
    """Find where the first pixel of another layer lies in a grid, in rows and columns.

    Raises:
        SceneError: the two do not share pixels; what differs is said.
    """
    if one.geobox.crs is None and other.geobox.crs is None:
        return 0, 0
    col, row = (0.0, 0.0) if one.geobox.crs is None else ~one.geobox.transform * _corner(other.geobox)
    height, width = other.geobox.shape
    moved = crop(one.geobox, Window(round(row), round(row) + height, round(col), round(col) + width))
    differs = difference(moved, other.geobox)
    if differs or (one.geobox.crs is None) != (other.geobox.crs is None):
        raise SceneError(
            other.name,
            f"it does not share the pixels of {one.name}: {differs or 'one of the two has no CRS'}.",
            "Give two maps of the same imagery.",
        )
    return round(row), round(col)


def aligned(layer: LabelLayer, grid: LabelLayer, *, resample: bool, role: str) -> LabelLayer:
    """Bring a layer onto the grid of another one.

    Args:
        layer: what is read.
        grid: whose pixels are wanted.
        resample: take the nearest label where the grids differ; else that is refused.
        role: what ``grid`` is, for the message.

    Raises:
        SceneError: the grids differ; how is said.
    """
    differs = difference(grid.geobox, layer.geobox)
    if differs is None:
        return layer
    if not resample:
        raise SceneError(
            layer.name,
            f"it is not on the grid of {role} {grid.name}: {differs}.",
            "Pass --resample to take the nearest label, or bring it onto that grid.",
        )
    return ResampledLabels(layer, grid.geobox)


def _corner(geobox: GeoBox) -> tuple[float, float]:
    return geobox.transform.c, geobox.transform.f


def _crs(crs: Any) -> str:
    epsg = crs.to_epsg()
    return f"EPSG:{epsg}" if epsg else str(crs.to_wkt())[:60]


def _size(transform: Any) -> str:
    return f"{np.hypot(transform.d, transform.e):.9g} x {np.hypot(transform.a, transform.d):.9g}"
