"""Moving a vertex of polygons that share their edges: it moves in all polygons that have it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from geoseg.errors import UsageError


def nearest_vertex(polygons: Sequence[BaseGeometry], place: tuple[float, float], within: float) -> tuple[float, float]:
    """Return the vertex of some polygons that is nearest to a place.

    Args:
        polygons: the polygons.
        place: x and y.
        within: largest distance.

    Raises:
        UsageError: no vertex is so near.
    """
    points = np.concatenate([np.zeros((0, 2)), *(shapely.get_coordinates(polygon) for polygon in polygons)])
    distance = np.hypot(*(points - np.asarray(place)).T)
    if not len(points) or distance.min() > within:
        raise UsageError(f"move_vertex: no vertex is near {place[0]:g}, {place[1]:g}. Start the line at one.")
    x, y = points[int(distance.argmin())]
    return float(x), float(y)


def moved_vertex(
    polygons: Sequence[BaseGeometry], old: tuple[float, float], new: tuple[float, float]
) -> dict[int, BaseGeometry]:
    """Move a vertex in every polygon that has it, so that shared edges stay shared.

    Args:
        polygons: polygons that do not overlap, at least all around the vertex.
        old: its place.
        new: where it is moved to.

    Returns:
        The polygons that change, by their places in the list.

    Raises:
        UsageError: no polygon has the vertex, or an outline would cross itself or another polygon.
    """
    moved = {}
    for place, polygon in enumerate(polygons):
        points = shapely.get_coordinates(polygon)
        here = (points == np.asarray(old)).all(axis=1)
        if here.any():
            points[here] = new
            moved[place] = shapely.set_coordinates(shapely.from_wkb(shapely.to_wkb(polygon)), points)
    if not moved:
        raise UsageError(f"move_vertex: no polygon has a vertex at {old[0]:g}, {old[1]:g}.")
    after = [moved.get(place, polygon) for place, polygon in enumerate(polygons)]
    if not all(shapely.is_valid(polygon) and polygon.area > 0 for polygon in moved.values()) or _overlap(after, moved):
        raise UsageError("move_vertex: an outline would cross itself or another polygon. Move the vertex less far.")
    return moved


def _overlap(polygons: Sequence[BaseGeometry], moved: dict[int, BaseGeometry]) -> bool:
    tree = shapely.STRtree(polygons)
    for place, polygon in moved.items():
        for other in tree.query(polygon, predicate="intersects").tolist():
            if other != place and shapely.relate_pattern(polygon, polygons[other], "T********"):
                return True
    return False
