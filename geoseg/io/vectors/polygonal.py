"""Polygonal parts of geometries of any kind, flat and valid."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely
from shapely import GeometryType

from geoseg.io.vectors.features import Geometry

_AREAL = (GeometryType.POLYGON, GeometryType.MULTIPOLYGON)


def polygonal(geometry: Geometry) -> Geometry:
    """Extract the polygons of geometries, at any depth of collections.

    Args:
        geometry: (feature,) shapely geometries, or None.

    Returns:
        (feature,) Polygons and MultiPolygons without z; None where a geometry has none.
    """
    flat: Geometry = geometry.copy()
    high = shapely.has_z(geometry) | shapely.has_m(geometry)
    flat[high] = shapely.force_2d(geometry[high])
    kinds = shapely.get_type_id(flat)
    for place in np.flatnonzero(kinds == GeometryType.GEOMETRYCOLLECTION):
        parts = _polygons_of(flat[place])
        flat[place] = shapely.MultiPolygon(parts) if len(parts) > 1 else next(iter(parts), None)
    flat[~np.isin(shapely.get_type_id(flat), _AREAL) | shapely.is_empty(flat)] = None
    return flat


def other_kinds(geometry: Geometry, areas: Geometry) -> tuple[int, int]:
    """Count geometries without polygons: those with lines, and those of points only.

    Args:
        geometry: (feature,) of any kind, or None.
        areas: (feature,) result of ``polygonal``.
    """
    rest = geometry[shapely.is_missing(areas)]
    dimension = shapely.get_dimensions(rest[~(shapely.is_empty(rest) | shapely.is_missing(rest))])
    return int((dimension == 1).sum()), int((dimension == 0).sum())


def parts_of(geometry: Geometry) -> tuple[Geometry, npt.NDArray[np.int64]]:
    """Split MultiPolygons into their polygons.

    Returns:
        (part,) polygons and (part,) index of the geometry each comes from.
    """
    parts, index = shapely.get_parts(geometry, return_index=True)
    return np.asarray(parts, object), np.asarray(index, np.int64)


def made_valid(geometry: Geometry) -> Geometry:
    """Make polygons valid; valid ones are unchanged, those without area become None.

    The interior of a self-crossing outline follows the even-odd rule; overlapping parts are united.
    """
    valid = geometry.copy()
    for place in np.flatnonzero(~shapely.is_valid(geometry)):
        parts = polygonal(np.asarray(shapely.make_valid(shapely.get_parts(geometry[place])), object))
        whole = shapely.union_all([part for part in parts if part is not None])
        valid[place] = polygonal(np.array([whole], object))[0]
    return valid


def _polygons_of(geometry: shapely.Geometry) -> list[shapely.Polygon]:
    found: list[shapely.Polygon] = []
    for part in shapely.get_parts(geometry):
        if part.geom_type == "Polygon" and not part.is_empty:
            found.append(part)
        elif part.geom_type in {"MultiPolygon", "GeometryCollection"}:
            found += _polygons_of(part)
    return found
