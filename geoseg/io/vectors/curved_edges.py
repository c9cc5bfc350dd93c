"""Projection of polygons with densification: vertices are added so that projected edges follow the original ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

F64 = npt.NDArray[np.float64]
Project = Callable[[F64], F64]

_HALVINGS = 24


def project_edges(
    geometry: npt.NDArray[np.object_], project: Project, *, tolerance: float, reach: float, on_globe: bool = False
) -> npt.NDArray[np.object_]:
    """Project polygons, adding vertices where a straight edge becomes curved.

    Edges are halved symmetrically, so neighbours that share an edge still share it.

    Args:
        geometry: shapely Polygons or MultiPolygons.
        project: (point, 2) -> (point, 2).
        tolerance: largest distance of the middle of an edge from the projected middle, in units of the result.
        reach: edges up to this length, in units of the result, are not divided.
        on_globe: the result is longitude and latitude: longitudes are equal modulo 360 degrees, and a degree of
            longitude counts as its length on the ground.
    """
    kind, points, offsets = shapely.to_ragged_array(geometry, include_z=False)
    projected = project(points)
    rings = np.asarray(offsets[0])
    fresh = np.ones(max(0, len(points) - 1), bool)
    fresh[rings[1:-1] - 1] = False
    for _ in range(_HALVINGS):
        at = np.flatnonzero(fresh)
        at = at[np.abs(projected[at + 1] - projected[at]).max(axis=1, initial=0) > reach]
        step = _step(projected[at], projected[at + 1], on_globe=on_globe)
        middle = (points[at] + points[at + 1]) / 2
        landed = project(middle)
        off = _step(projected[at] + step / 2, landed, on_globe=on_globe)
        if on_globe:
            # never nothing: an edge along a pole may run round the Earth
            off[:, 0] *= np.maximum(np.cos(np.radians(landed[:, 1])), 1e-3)
        crooked = np.hypot(off[:, 0], off[:, 1]) > tolerance
        if not crooked.any():
            break
        at = at[crooked]
        points, projected = (
            np.insert(old, at + 1, new[crooked], axis=0) for old, new in ((points, middle), (projected, landed))
        )
        rings = rings + np.searchsorted(at, rings - 1)
        first = at + np.arange(len(at))
        fresh = np.zeros(len(points) - 1, bool)
        fresh[first] = fresh[first + 1] = True
    return _polygons(kind, projected, (rings, *offsets[1:]))


def _polygons(kind: Any, points: F64, offsets: tuple[Any, ...]) -> npt.NDArray[np.object_]:
    return np.asarray(shapely.from_ragged_array(kind, points, offsets), object)


def _step(start: F64, stop: F64, *, on_globe: bool) -> F64:
    step = stop - start
    if on_globe:
        step[:, 0] -= 360 * np.round(step[:, 0] / 360)
    return step
