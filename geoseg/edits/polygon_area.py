"""The area that a polygon or a brush stroke of an edit covers."""

from __future__ import annotations

import shapely
from shapely.geometry.base import BaseGeometry

from geoseg.edits.finished_map import FinishedMap
from geoseg.errors import UsageError
from geoseg.io.edits.areas import in_pixels, in_world, window_of
from geoseg.io.edits.edit import Edit


def polygon_area(finished: FinishedMap, edit: Edit) -> BaseGeometry:
    """Return the area of a polygon or brush stroke, valid, in map coordinates.

    Raises:
        UsageError: no pixel of the map lies in it.
    """
    assert edit.geometry is not None  # noqa: S101 - Edit checks it
    area_px = in_pixels(edit.geometry, finished.grid)
    if edit.width_px is not None and "Polygon" not in edit.geometry.geom_type:
        area_px = shapely.buffer(area_px, edit.width_px / 2)
    area_px = only_polygons(shapely.make_valid(area_px))
    if not window_of(area_px, finished.grid.shape).pixels:
        raise UsageError(f"{edit.kind}: the geometry lies outside of the map, or has no area.")
    return in_world(area_px, finished.grid)


def only_polygons(geometry: BaseGeometry) -> BaseGeometry:
    """Keep the polygons of a geometry."""
    parts = shapely.get_parts(shapely.get_parts(geometry))
    return shapely.MultiPolygon([part for part in parts if isinstance(part, shapely.Polygon) and part.area > 0])
