"""Polygons in longitude and latitude for web formats: WGS84, cut at the antimeridian."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError
from shapely import Polygon
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from geoseg.errors import UsageError
from geoseg.io.vectors.curved_edges import project_edges

F64 = npt.NDArray[np.float64]
Geometry = npt.NDArray[np.object_]

# a centimetre; no edge of a hundred metres bends as much
_TOLERANCE_DEGREES = 1e-7
_REACH_DEGREES = 1e-3
_POLE = 90 - 1e-9


class ToWgs84:
    """Transformation of polygons from a CRS to longitude and latitude on WGS84.

    Args:
        path: the output file, for error messages.
        crs_wkt: CRS of the polygons.

    Raises:
        UsageError: there is no CRS, or none that can be transformed to longitude and latitude.
    """

    def __init__(self, path: Path, crs_wkt: str | None) -> None:
        cure = "Give the scene's CRS with --assume-crs, or write .gpkg, .fgb or .parquet."
        if crs_wkt is None:
            raise UsageError(f"{path}: it holds longitudes and latitudes, but the scene has no CRS. {cure}")
        self._refusal = f"{path}: the scene's CRS does not lead to longitudes and latitudes on Earth"
        try:
            crs = CRS.from_wkt(crs_wkt)
            if crs.is_engineering:
                raise UsageError(f"{self._refusal} ({crs.name}). {cure}")
            self._transformer = Transformer.from_crs(crs, 4326, always_xy=True)
        except (CRSError, ProjError) as error:
            raise UsageError(f"{self._refusal} ({' '.join(str(error).split())}). {cure}") from error

    def __call__(self, geometry: Geometry) -> Geometry:
        """Transform polygons; one that crosses the antimeridian or contains a pole may become a MultiPolygon.

        Args:
            geometry: shapely Polygons or MultiPolygons in the CRS.

        Returns:
            The same number of geometries, with longitudes in [-180, 180].

        Raises:
            UsageError: a point has no longitude and latitude.

        Source:
            RFC 7946, section 3.1.9.
        """
        if not len(geometry):
            return geometry
        lonlat = project_edges(
            geometry, self._project, tolerance=_TOLERANCE_DEGREES, reach=_REACH_DEGREES, on_globe=True
        )
        west, south, east, north = shapely.bounds(lonlat).T
        odd = (east - west > 180) | (west < -180) | (east > 180) | (south < -_POLE) | (north > _POLE)
        lonlat[odd] = [_cut(polygons) for polygons in lonlat[odd]]
        return lonlat

    def _project(self, points: F64) -> F64:
        lon, lat = self._transformer.transform(points[:, 0], points[:, 1])
        lonlat = np.column_stack([lon, lat])
        if not np.isfinite(lonlat).all():
            x, y = points[~np.isfinite(lonlat).all(axis=1)][0]
            raise UsageError(f"{self._refusal} at x {x:g}, y {y:g}. Write .gpkg, .fgb or .parquet.")
        return lonlat


def _cut(geometry: BaseGeometry) -> BaseGeometry:
    """Unroll polygons that jump between 180 and -180 degrees and cut them there."""
    parts = [part for polygon in shapely.get_parts(geometry) for part in _cut_one(polygon)]
    # what was unrolled from another meridian than -180 may meet itself there again
    return parts[0] if len(parts) == 1 else shapely.union_all(parts)


def _cut_one(polygon: Polygon) -> list[Polygon]:
    shell: Any = _unrolled(polygon.exterior)
    shell = translate(shell, -360 * np.floor((shell.bounds[0] + 180) / 360))
    if polygon.interiors:
        holes = [_unrolled(ring) for ring in polygon.interiors]
        copies = [translate(hole, 360 * turn) for hole in holes for turn in range(-3, 4)]
        shell = shapely.difference(shell, shapely.union_all([copy for copy in copies if copy.intersects(shell)]))
    parts: list[Polygon] = []
    for turn in (0, 360):
        world = shapely.box(turn - 180, -90, turn + 180, 90)
        found = shapely.get_parts(translate(shapely.intersection(shell, world), -turn))
        parts += [part for part in found if part.geom_type == "Polygon" and part.area > 0]
    return parts


def _unrolled(ring: shapely.LinearRing) -> Polygon:
    """Make a polygon of a ring, continuous in longitude; one around the Earth encloses the nearer pole."""
    lon, lat = shapely.get_coordinates(ring)[:-1].T
    polar = np.abs(lat) > _POLE
    if polar.any() and not polar.all():
        # all longitudes meet at the pole: arrive on one's own, leave on the next one's
        start = int(np.argmin(polar))
        lon, lat, polar = (np.roll(values, -start) for values in (lon, lat, polar))
        arrive, leave = np.roll(lon, 1), np.roll(lon, -1)
        twice = np.repeat(np.arange(len(lon)), 1 + polar)
        second = np.r_[False, twice[1:] == twice[:-1]]
        lon = np.where(polar[twice], np.where(second, leave[twice], arrive[twice]), lon[twice])
        lat = lat[twice]
    lon = np.unwrap(np.r_[lon, lon[0]], period=360)
    lat = np.r_[lat, lat[0]]
    if abs(lon[-1] - lon[0]) > 180:
        pole = 90.0 if lat.mean() > 0 else -90.0
        lon, lat = np.r_[lon, lon[-1], lon[0]], np.r_[lat, pole, pole]
    polygon = Polygon(np.column_stack([lon, lat]))
    return polygon if polygon.is_valid else polygon.buffer(0)
