"""Context for building a block, and the coordinate frame of a block's side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from geoseg.synthetic.canvas import Canvas
from geoseg.synthetic.stock import Stock, Vector
from geoseg.synthetic.style import Style


@dataclass(frozen=True, slots=True)
class Site:
    """Canvas, style, stock and the random stream of a block."""

    canvas: Canvas
    style: Style
    stock: Stock
    rng: np.random.Generator


@dataclass(frozen=True, slots=True)
class Front:
    """A straight side of a block: start, unit vectors along the street and into the block, length in metres."""

    start: Vector
    along: Vector
    inward: Vector
    length: float

    def at(self, along_m: float, inward_m: float) -> Vector:
        """Find a point by its distances along the side and into the block."""
        return self.start + self.along * along_m + self.inward * inward_m

    def strip(self, along_m: tuple[float, float], inward_m: tuple[float, float]) -> Polygon:
        """Make the rectangle between two distances along the side and two into the block."""
        (a, b), (near, far) = along_m, inward_m
        return Polygon([self.at(a, near), self.at(b, near), self.at(b, far), self.at(a, far)])

    def extent(self, area: BaseGeometry) -> tuple[float, float, float, float]:
        """Measure an area in this frame: least and most along, least and most into the block."""
        points = shapely.get_coordinates(area) - self.start
        u, v = points @ self.along, points @ self.inward
        return float(u.min()), float(u.max()), float(v.min()), float(v.max())


def fronts_of(block: Polygon) -> Iterator[Front]:
    """List the straight sides of a block that are long enough to build on."""
    inside = 1.0 if block.exterior.is_ccw else -1.0
    points = shapely.get_coordinates(block.exterior.simplify(1.2))
    for a, b in pairwise(points):
        length = float(np.hypot(*(b - a)))
        if length > 11:
            along = (b - a) / length
            yield Front(a, along, np.array([-along[1], along[0]]) * inside, length)
