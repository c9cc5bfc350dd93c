"""Local metric planes for measuring polygons anywhere on Earth."""

from __future__ import annotations

from typing import Any

import geopandas
import shapely
from pyproj import CRS

from geoseg.io.vectors.projection import projector, same_crs, to_crs

_LONLAT = CRS.from_epsg(4326)
_TOLERANCE_M = 0.01


def metric(frame: geopandas.GeoDataFrame, like: geopandas.GeoDataFrame) -> tuple[object, object, str]:
    """Project two sets of polygons to one metric plane.

    Args:
        frame: polygons.
        like: the reference, which defines the centre of the plane.

    Returns:
        Shapely geometries of both (object arrays) and the unit: ``m`` in an azimuthal equal-area plane around the
        centre of ``like`` (lengths are true to 0.02 % within 250 km), or ``units`` if they have no CRS, or a local
        one.

    Raises:
        ProjectionError: a CRS cannot be transformed to longitude and latitude.
    """
    one, other = frame.geometry.to_numpy(), like.geometry.to_numpy()
    if frame.crs is None or like.crs is None:
        return one, other, "units"
    ours, theirs = CRS(frame.crs), CRS(like.crs)
    if ours.is_engineering and same_crs(ours, theirs):
        return one, other, "units"
    if not len(one) and not len(other):
        return one, other, "m"
    west, south, east, north = _lonlat_bounds(other, theirs) if len(other) else _lonlat_bounds(one, ours)
    plane = CRS.from_proj4(f"+proj=laea +lat_0={(south + north) / 2} +lon_0={(west + east) / 2} +units=m +type=crs")
    ours_there = to_crs(one, ours, plane, tolerance=_TOLERANCE_M)
    return ours_there, to_crs(other, theirs, plane, tolerance=_TOLERANCE_M), "m"


def _lonlat_bounds(geometry: Any, crs: CRS) -> Any:
    corners = shapely.get_coordinates(geometry)
    degrees = corners if same_crs(crs, _LONLAT) else projector(crs, _LONLAT)(corners)
    return *degrees.min(axis=0), *degrees.max(axis=0)
