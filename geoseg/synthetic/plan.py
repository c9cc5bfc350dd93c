"""The plan of a town: streets, river and blocks as polygons, in metres, y down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from shapely import LineString, Point, Polygon, box
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Street:
    """A street's middle line with its widths, metres.

    Attributes:
        line: the middle of the carriageway.
        width_m: the carriageway from kerb to kerb.
        walk_m: the pavement on each side; 0 where there is none.
        rank: 0 main road, 1 collector, 2 residential street, 3 footpath.
    """

    line: LineString
    width_m: float
    walk_m: float
    rank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that lies on the ground before it is built on.

    Attributes:
        streets: all streets, main roads first.
        blocks: ground between the streets, pavements excluded.
        river: water, or an empty polygon.
        land: the polygon that all of this covers.
    """

    streets: tuple[Street, ...]
    blocks: tuple[Polygon, ...]
    river: BaseGeometry
    land: Polygon


def oriented_box(centre: Points, along: Points, length_m: float, width_m: float) -> Polygon:
    """Make a rectangle of ``length_m`` in direction ``along`` (unit vector x, y) around a point."""
    across = np.array([-along[1], along[0]])
    half, side = along * length_m / 2, across * width_m / 2
    return Polygon([centre - half - side, centre + half - side, centre + half + side, centre - half + side])


def parts_of(geometry: BaseGeometry) -> list[Polygon]:
    """List the polygons of any geometry."""
    parts = getattr(geometry, "geoms", [geometry])
    return [p for p in parts if isinstance(p, Polygon) and not p.is_empty]


def draw_plan(rng: np.random.Generator, bounds: tuple[float, float, float, float]) -> Plan:
    """Lay streets, river and blocks over ``bounds`` (left, top, right, bottom, metres)."""
    left, top, right, bottom = bounds
    middle = np.array([(left + right) / 2, (top + bottom) / 2])
    radius = float(np.hypot(right - left, bottom - top)) / 2 + 45
    warp = _Warp.draw(rng, middle)
    lines = _split(rng, (-radius, -radius, radius, radius), 0)
    streets = sorted((_street(rng, warp.line(a, b), depth) for a, b, depth in lines), key=lambda s: s.rank)
    land = box(left - 30, top - 30, right + 30, bottom + 30)
    river: BaseGeometry = Polygon()
    if rng.random() < 0.3:
        river = _river(rng, warp, radius).intersection(land)
    taken = unary_union([s.line.buffer(s.width_m / 2 + s.walk_m) for s in streets] + [river.buffer(2.5)])
    # Closing rounds the corners of crossings, as kerbs do.
    free = land.difference(taken.buffer(4).buffer(-4))
    blocks = tuple(p for p in parts_of(free) if p.area > 60)
    return Plan(streets=tuple(streets), blocks=blocks, river=river, land=land)


@dataclass(frozen=True, slots=True)
class _Warp:
    middle: Points
    angle: float
    waves: tuple[tuple[float, float, float, float], ...]

    @classmethod
    def draw(cls, rng: np.random.Generator, middle: Points) -> _Warp:
        bend = rng.choice([0.3, 1.0, 1.0, 1.6])
        waves = tuple(
            (
                float(rng.uniform(2, 7) * bend),
                float(rng.uniform(140, 300)),
                float(rng.uniform(0, 6.28)),
                float(rng.uniform(0, 3.14)),
            )
            for _ in range(3)
        )
        return cls(middle + rng.uniform(-40, 40, 2), float(rng.uniform(0, np.pi)), waves)

    def points(self, xy: Points) -> Points:
        moved = xy.copy()
        for size, length, phase, heading in self.waves:
            way = np.array([np.cos(heading), np.sin(heading)])
            moved += np.array([-way[1], way[0]]) * (size * np.sin(xy @ way * (2 * np.pi / length) + phase))[:, None]
        turn = np.array([[np.cos(self.angle), np.sin(self.angle)], [-np.sin(self.angle), np.cos(self.angle)]])
        return np.asarray(moved @ turn + self.middle)

    def line(self, start: Points, end: Points) -> LineString:
        steps = max(2, int(np.hypot(*(end - start)) / 3))
        share = np.linspace(0, 1, steps)[:, None]
        return LineString(self.points(start + (end - start) * share))


def _split(
    rng: np.random.Generator, area: tuple[float, float, float, float], depth: int
) -> list[tuple[Points, Points, int]]:
    left, top, right, bottom = area
    wide, high = right - left, bottom - top
    # The longer side may reach 112 m, the shorter is left once there is room for two rows of houses.
    if max(wide, high) < rng.uniform(72, 112):
        return []
    share = rng.uniform(0.36, 0.64)
    if wide > high:
        cut = left + wide * share
        line = (np.array([cut, top]), np.array([cut, bottom]))
        halves = ((left, top, cut, bottom), (cut, top, right, bottom))
    else:
        cut = top + high * share
        line = (np.array([left, cut]), np.array([right, cut]))
        halves = ((left, top, right, cut), (left, cut, right, bottom))
    return [(*line, depth), *_split(rng, halves[0], depth + 1), *_split(rng, halves[1], depth + 1)]


def _street(rng: np.random.Generator, line: LineString, depth: int) -> Street:
    rank = (0, 1, 2, 2)[min(depth, 3)]
    if depth >= 4 and rng.random() < 0.12:
        rank = 3
    width = {0: rng.uniform(7, 9.5), 1: rng.uniform(5.8, 7), 2: rng.uniform(4.4, 5.8), 3: rng.uniform(1.8, 2.8)}[rank]
    walk = {0: rng.uniform(2, 3.2), 1: rng.uniform(1.5, 2.2), 2: rng.choice([0.3, 1.2, 1.5]), 3: 0.0}[rank]
    return Street(line=line, width_m=float(width), walk_m=float(walk), rank=rank)


def _river(rng: np.random.Generator, warp: _Warp, radius: float) -> BaseGeometry:
    offset = rng.uniform(-0.4, 0.4) * radius
    t = np.linspace(-radius, radius, 160)
    bend = 9 * np.sin(t / rng.uniform(22, 40) + rng.uniform(0, 6)) + 4 * np.sin(t / 11 + rng.uniform(0, 6))
    course = np.stack([t, offset + bend], 1) if rng.random() < 0.5 else np.stack([offset + bend, t], 1)
    line = warp.points(course)
    width = rng.uniform(4, 9) + 0.8 * np.sin(t / 9)
    return unary_union([Point(*p).buffer(w) for p, w in zip(line, width, strict=True)])
