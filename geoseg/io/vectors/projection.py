"""Projection of polygons to another CRS with densified edges, limited to those near a grid."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import shapely
from odc.geo.geobox import GeoBox
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

from geoseg.io.vectors.curved_edges import project_edges
from geoseg.io.vectors.features import Geometry
from geoseg.io.vectors.polygonal import polygonal

F64 = npt.NDArray[np.float64]

_TOLERANCE_PX = 0.002
_STRAIGHT_PX = 2.0
_SIDE_POINTS = 65
_MARGIN = 0.1


class ProjectionError(ValueError):
    """A point has no coordinates in a CRS, or there is no transformation between two CRS."""


def same_crs(one: CRS, other: CRS) -> bool:
    """Return True if two CRS are equal for coordinates with x first."""
    return bool(one == other or one.equals(other, ignore_axis_order=True))


def crs_of(geobox: GeoBox) -> CRS | None:
    """Return the CRS of a grid as a pyproj CRS."""
    return None if geobox.crs is None else CRS.from_wkt(geobox.crs.to_wkt())


def projector(source: CRS, target: CRS) -> Callable[[F64], F64]:
    """Return a function that transforms points from one CRS to another; failing points become infinite.

    Args:
        source: CRS of the points.
        target: CRS of the result.

    Returns:
        Function (point, 2) -> (point, 2) float64, x first.

    Raises:
        ProjectionError: there is no transformation, as for a local CRS.
    """
    refusal = f"its CRS ({source.name}) does not lead to {target.name}"
    if source.is_engineering or target.is_engineering:
        raise ProjectionError(refusal)
    try:
        transformer = Transformer.from_crs(source, target, always_xy=True)
    except (ProjError, CRSError) as error:
        raise ProjectionError(f"{refusal}: {' '.join(str(error).split())}") from error

    def project(points: F64) -> F64:
        x, y = transformer.transform(points[:, 0], points[:, 1])
        return np.column_stack([x, y])

    return project


def near_grid(geobox: GeoBox, source: CRS) -> shapely.Geometry:
    """Return the footprint of a grid, with a margin, in another CRS; in longitudes with all copies 360 degrees apart.

    Args:
        geobox: the grid.
        source: CRS of the result.

    Raises:
        ProjectionError: there is no transformation, or no point of the grid can be transformed.
    """
    target = crs_of(geobox)
    if target is None or same_crs(source, target):
        whole: shapely.Geometry = geobox.extent.geom.envelope
        return whole
    height, width = geobox.shape
    row, col = (axis.ravel() for axis in np.mgrid[0 : height : _SIDE_POINTS * 1j, 0 : width : _SIDE_POINTS * 1j])
    t = geobox.transform
    grid = np.column_stack([t.a * col + t.b * row + t.c, t.d * col + t.e * row + t.f])
    points = projector(target, source)(grid)
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        raise ProjectionError(f"the grid has no place in its CRS ({source.name})")
    if source.is_geographic:
        return _lonlat_ground(points)
    (west, south), (east, north) = points.min(axis=0), points.max(axis=0)
    margin = _MARGIN * max(east - west, north - south)
    box: shapely.Geometry = shapely.box(west - margin, south - margin, east + margin, north + margin)
    return box


def onto_grid(geometry: Geometry, source: CRS, geobox: GeoBox) -> Geometry:
    """Project polygons onto a grid's CRS, accurate to 0.002 pixels between their vertices too.

    Args:
        geometry: (feature,) valid Polygons and MultiPolygons in ``source``.
        source: their CRS.
        geobox: the grid, which has a CRS.

    Returns:
        (feature,) polygons; None for those far from the grid, and without their parts far from it.

    Raises:
        ProjectionError: there is no transformation, or a vertex near the grid cannot be transformed.
    """
    target = crs_of(geobox)
    if target is None or same_crs(source, target):
        return geometry
    ground = near_grid(geobox, source)
    shapely.prepare(ground)
    out: Geometry = np.full(len(geometry), None, object)
    near = shapely.intersects(ground, geometry)
    clipped = geometry[near]
    across = ~shapely.covers(ground, clipped)
    clipped[across] = [_cut(shape, ground) for shape in clipped[across]]
    places = np.flatnonzero(near)[~shapely.is_missing(clipped)]
    clipped = clipped[~shapely.is_missing(clipped)]
    if not len(clipped):
        return out
    t = geobox.transform
    pixel = float(np.sqrt(abs(t.a * t.e - t.b * t.d)))
    project = _checked(projector(source, target), source, target)
    middle = t * (geobox.shape[1] / 2, geobox.shape[0] / 2)

    def unrolled(points: F64) -> F64:
        projected = project(points)
        if target.is_geographic:  # a grid may cross the antimeridian
            projected[:, 0] -= 360 * np.round((projected[:, 0] - middle[0]) / 360)
        return projected

    out[places] = project_edges(clipped, unrolled, tolerance=_TOLERANCE_PX * pixel, reach=_STRAIGHT_PX * pixel)
    return out


def to_crs(geometry: Geometry, source: CRS, target: CRS, *, tolerance: float) -> Geometry:
    """Project whole polygons, adding vertices where a straight edge becomes curved.

    Args:
        geometry: (feature,) Polygons and MultiPolygons in ``source``.
        source: their CRS.
        target: the CRS of the result.
        tolerance: in units of ``target``.

    Raises:
        ProjectionError: there is no transformation, or a vertex cannot be transformed.
    """
    if same_crs(source, target) or not len(geometry):
        return geometry
    project = _checked(projector(source, target), source, target)
    return project_edges(geometry, project, tolerance=tolerance, reach=200 * tolerance)


def _checked(project: Callable[[F64], F64], source: CRS, target: CRS) -> Callable[[F64], F64]:
    def checked(points: F64) -> F64:
        projected = project(points)
        lost = ~np.isfinite(projected).all(axis=1)
        if lost.any():
            x, y = points[lost][0]
            raise ProjectionError(f"a point at {x:g}, {y:g} of its CRS ({source.name}) has no place in {target.name}")
        return projected

    return checked


def _cut(shape: shapely.Geometry, ground: shapely.Geometry) -> shapely.Geometry | None:
    part: shapely.Geometry | None = polygonal(np.array([shapely.intersection(shape, ground)], object))[0]
    return part


def _lonlat_ground(points: F64) -> shapely.Geometry:
    lon = np.sort(points[:, 0] % 360)
    gaps = np.diff(np.append(lon, lon[0] + 360))
    widest = int(np.argmax(gaps))
    south, north = float(points[:, 1].min()), float(points[:, 1].max())
    west = float(lon[(widest + 1) % len(lon)])
    east = west + 360 - float(gaps[widest])
    margin = _MARGIN * max(east - west, north - south)
    if east - west > 300:  # round a pole, or round the Earth
        west, east = -180.0, 180.0
        south, north = (south, 90.0) if north > 80 else (south, north)
        south = -90.0 if south < -80 else south
    boxes = [
        shapely.box(west - margin + turn, max(-90, south - margin), east + margin + turn, min(90, north + margin))
        for turn in (-720, -360, 0, 360)
    ]
    copies: shapely.Geometry = shapely.union_all(boxes)
    return copies
