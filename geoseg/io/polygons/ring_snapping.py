"""Snapping of polygons to a grid of whole units, dropping redundant vertices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Geometry = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class _Rings:
    """Open rings, concatenated: points (point, 2), and the number of points of each."""

    points: F64
    count: I64

    def near(self, steps: int) -> F64:
        """Return for each point the one a number of steps further on its ring."""
        starts = np.cumsum(self.count) - self.count
        place = np.arange(len(self.points)) - np.repeat(starts, self.count) + steps
        return self.points[np.repeat(starts, self.count) + place % np.repeat(self.count, self.count)]

    def keep(self, which: Bools) -> _Rings:
        ring = np.repeat(np.arange(len(self.count)), self.count)
        return _Rings(self.points[which], np.bincount(ring[which], minlength=len(self.count)))


def on_grid(geometry: Geometry, units: int) -> tuple[Bools, Geometry]:
    """Snap vertices to multiples of ``units``, and drop duplicate and collinear ones.

    Args:
        geometry: Polygons or MultiPolygons, none of them empty.
        units: side of the grid's cells.

    Returns:
        (geometry,) bool, True where the result is not empty, and these results, possibly invalid.
    """
    if not len(geometry):
        return np.zeros(0, bool), geometry
    kind, points, offsets = shapely.to_ragged_array(geometry, include_z=False)
    rings = np.asarray(offsets[0], np.int64)
    open_points = np.delete(np.floor(points / units + 0.5) * units, rings[1:] - 1, axis=0)
    thin = _Rings(open_points, np.diff(rings) - 1)
    thin = thin.keep((thin.points != thin.near(-1)).any(axis=1))
    ahead, back = thin.near(1) - thin.points, thin.points - thin.near(-1)
    thin = thin.keep(ahead[:, 0] * back[:, 1] != ahead[:, 1] * back[:, 0])
    return _closed(kind, thin, [np.asarray(level, np.int64) for level in offsets[1:]])


def _closed(kind: shapely.GeometryType, rings: _Rings, levels: list[I64]) -> tuple[Bools, Geometry]:
    """Make polygons from open rings; a ring of two points is dropped, with its polygon if it is the shell."""
    polygons = levels[0]
    alive = rings.count >= 3
    alive &= alive[np.repeat(polygons[:-1], np.diff(polygons))]
    count = rings.count[alive]
    points = rings.points[np.repeat(alive, rings.count)]
    starts = np.cumsum(count) - count
    points = np.insert(points, starts + count, points[starts], axis=0)
    # an empty member would crash the constructor of multipolygons
    filled = alive
    offsets = [np.cumsum(np.r_[0, count + 1])]
    for level in levels:
        held = np.cumsum(np.r_[0, filled])[level]
        filled = np.diff(held) > 0
        offsets.append(np.r_[0, held[1:][filled]])
    return filled, np.asarray(shapely.from_ragged_array(kind, points, tuple(offsets)), object)
