"""Resolving of edits: what an edit asks for becomes areas that are painted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import shapely
from shapely.geometry.base import BaseGeometry

from geoseg.edits.finished_map import FinishedMap
from geoseg.errors import UsageError
from geoseg.io.edits.areas import in_pixels, in_world, window_of
from geoseg.io.edits.edit import Edit, EditLog, LoggedEdit, Paint

Resolver = Callable[[FinishedMap, EditLog, Edit], tuple[tuple[Paint, ...], int]]
"""Returns the areas that an edit paints, and the next free number of an object by hand."""


def resolved(finished: FinishedMap, log: EditLog, edit: Edit) -> EditLog:
    """Add an edit to the log.

    Raises:
        UsageError: the edit makes no sense on this map.
    """
    if any(entry.edit.id == edit.id for entry in log.entries):
        raise UsageError(f"the edit {edit.id} was applied already.")
    code = edit.class_code
    if code is not None and code not in {*finished.legend.codes, finished.legend.nodata}:
        raise UsageError(f"there is no class {code}; the classes are {_classes(finished)}.")
    resolver = _RESOLVERS.get(edit.kind)
    if resolver is None:
        raise UsageError(f"{edit.kind}: this map has no layer for it.")
    paints, next_number = resolver(finished, log, edit)
    entries = (*log.entries, LoggedEdit(edit=edit, paints=paints))
    return replace(log, entries=entries, next_number=next_number)


def polygon_area(finished: FinishedMap, edit: Edit) -> BaseGeometry:
    """Return the area of a polygon or brush stroke, valid, in map coordinates.

    Raises:
        UsageError: no pixel of the map lies in it.
    """
    assert edit.geometry is not None  # noqa: S101 - Edit checks it
    area_px = in_pixels(edit.geometry, finished.grid)
    if edit.width_px is not None and "Polygon" not in edit.geometry.geom_type:
        area_px = shapely.buffer(area_px, edit.width_px / 2)
    area_px = _polygons(shapely.make_valid(area_px))
    if not window_of(area_px, finished.grid.shape).pixels:
        raise UsageError(f"{edit.kind}: the geometry lies outside of the map, or has no area.")
    return in_world(area_px, finished.grid)


def _repaint(finished: FinishedMap, log: EditLog, edit: Edit) -> tuple[tuple[Paint, ...], int]:
    if finished.detects:
        raise UsageError("repaint: the classes of this map are drawn from its objects. Add, reshape or delete objects.")
    return (Paint(area=polygon_area(finished, edit), code=edit.class_code),), log.next_number


def _polygons(geometry: BaseGeometry) -> BaseGeometry:
    """Keep the polygons of a geometry."""
    parts = shapely.get_parts(shapely.get_parts(geometry))
    return shapely.MultiPolygon([part for part in parts if part.geom_type == "Polygon" and part.area > 0])


def _classes(finished: FinishedMap) -> str:
    return ", ".join(f"{entry.code} ({entry.name})" for entry in finished.legend.classes)


_RESOLVERS: Final[Mapping[str, Resolver]] = MappingProxyType({"repaint": _repaint})
