"""Buffers of lines and points, in metres on the ground."""

from __future__ import annotations

from math import ceil

import numpy as np
import shapely
from odc.geo.geobox import GeoBox
from pyproj import CRS

from geoseg.core.ground import gsd_m
from geoseg.io.vectors.features import Geometry
from geoseg.io.vectors.projection import ProjectionError, crs_of, near_grid, projector, to_crs

_TOLERANCE = 0.001
_TOLERANCE_DEGREES = 1e-8
_LINE_PARTS = 256


def widened(geometry: Geometry, source: CRS, geobox: GeoBox, buffer_m: float) -> Geometry:
    """Buffer lines and points near a grid; polygons are unchanged.

    Args:
        geometry: (feature,) shapely geometries of any kind, or None.
        source: their CRS.
        geobox: the grid, which has a CRS.
        buffer_m: metres to each side of a line, or around a point.

    Returns:
        (feature,) geometries in ``source``; None for lines and points far from the grid.

    Raises:
        ProjectionError: there is no transformation from the CRS to longitude and latitude.
    """
    thin = (shapely.get_dimensions(geometry) < 2) & ~shapely.is_missing(geometry) & ~shapely.is_empty(geometry)
    if not thin.any():
        return geometry
    target = crs_of(geobox)
    if target is None:
        raise ProjectionError("lines and points are widened in metres, which a grid without a CRS has not")
    plane = _plane(geobox, target)
    pad = ceil(buffer_m / min(gsd_m(geobox))) + 1
    ground = near_grid(geobox.pad(pad, pad), source)
    west, south, east, north = shapely.get_parts(ground)[0].bounds
    step = float(np.hypot(east - west, north - south)) / _LINE_PARTS
    near = np.asarray(shapely.intersection(shapely.force_2d(geometry[thin]), ground), object)
    flat = shapely.transform(shapely.segmentize(near, step), projector(source, plane))
    buffers = np.asarray(shapely.buffer(flat, buffer_m), object)
    there = ~shapely.is_empty(buffers)
    wide: Geometry = np.full(len(buffers), None, object)
    wide[there] = to_crs(buffers[there], plane, source, tolerance=_tolerance(source))
    out: Geometry = geometry.copy()
    out[thin] = wide
    return out


def _plane(geobox: GeoBox, target: CRS) -> CRS:
    """Make an azimuthal equidistant CRS around the centre of a grid."""
    height, width = geobox.shape
    middle = np.array([geobox.transform * (width / 2, height / 2)])
    lon, lat = projector(target, CRS.from_epsg(4326))(middle)[0]
    return CRS.from_proj4(f"+proj=aeqd +lat_0={lat} +lon_0={lon} +units=m +type=crs")


def _tolerance(source: CRS) -> float:
    return _TOLERANCE_DEGREES if source.is_geographic else _TOLERANCE
