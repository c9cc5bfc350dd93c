"""Streets: carriageway, kerbs, pavements, markings, patches, and the cars on them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import shapely
from shapely import LineString, Point
from shapely.geometry.base import BaseGeometry
from shapely.ops import substring, unary_union

from geoseg.core.isprs_legend import IMPERVIOUS
from geoseg.synthetic.canvas import Canvas, textured, tint
from geoseg.synthetic.plan import Plan, Street, oriented_box
from geoseg.synthetic.stock import Stock, place_car
from geoseg.synthetic.style import Style
from geoseg.synthetic.surfaces import lay_asphalt, lay_gravel, lay_paving

Vector = npt.NDArray[np.float64]


def draw_streets(canvas: Canvas, plan: Plan, style: Style, rng: np.random.Generator, stock: Stock) -> None:
    """Draw all streets of the plan; their cars and trees go to ``stock``."""
    for street in plan.streets:
        if street.rank == 3:
            lay_gravel(canvas, street.line.buffer(street.width_m / 2), rng)
    roads = [s for s in plan.streets if s.rank < 3]
    drive = unary_union([s.line.buffer(s.width_m / 2) for s in roads]).buffer(4.5).buffer(-4.5)
    whole = unary_union([s.line.buffer(s.width_m / 2 + s.walk_m) for s in roads]).buffer(4).buffer(-4)
    _draw_walks(canvas, whole.difference(drive), roads, style, rng)
    lay_asphalt(canvas, drive, style, rng)
    for street in reversed(roads):
        _vary_surface(canvas, street, rng)
    _draw_kerb(canvas, drive)
    for index, street in enumerate(roads):
        others = unary_union([s.line.buffer(s.width_m / 2) for k, s in enumerate(roads) if k != index])
        free = street.line.difference(others.buffer(3.5))
        for piece in getattr(free, "geoms", [free]):
            if piece.length > 6:
                _mark(canvas, street, piece, rng)
                _fill(canvas, street, piece, rng, stock)


def along(line: LineString, step_m: float, start_m: float = 0.0) -> Iterator[tuple[Vector, Vector, float]]:
    """Walk a line: point, unit direction and distance at every step."""
    distance = start_m
    while distance < line.length:
        a = np.array(line.interpolate(max(0.0, distance - 0.5)).coords[0])
        b = np.array(line.interpolate(min(line.length, distance + 0.5)).coords[0])
        yield (a + b) / 2, (b - a) / max(1e-6, float(np.hypot(*(b - a)))), distance
        distance += step_m


def _draw_walks(
    canvas: Canvas, walks: BaseGeometry, roads: list[Street], style: Style, rng: np.random.Generator
) -> None:
    # A pavement is renewed street by street, so each piece of about 30 m has its own slabs and direction.
    left = walks
    for street in roads:
        for point, heading, _ in along(street.line, 24.0):
            reach = oriented_box(point, heading, 26.0, street.width_m + 2 * street.walk_m + 9)
            piece = left.intersection(reach)
            if canvas.spot(piece.bounds) is None if not piece.is_empty else True:
                continue
            if rng.random() < 0.3:
                lay_asphalt(canvas, piece, style, rng, tone=float(rng.uniform(1.05, 1.35)))
            else:
                lay_paving(canvas, piece, style.paving[int(rng.integers(len(style.paving)))], heading, rng)
            left = left.difference(reach)
    lay_asphalt(canvas, left, style, rng, tone=1.15)


def _draw_kerb(canvas: Canvas, drive: BaseGeometry) -> None:
    if (found := canvas.cover(drive.buffer(0.16).difference(drive))) is not None:
        spot, mask = found
        canvas.paint(spot, mask, textured(tint("#b3b0aa", 0.3), 1 + 0.07 * canvas.texture("clod", spot)), IMPERVIOUS)
        canvas.lift(spot, mask, 0.13)
    if (found := canvas.cover(drive.difference(drive.buffer(-0.35)))) is not None:
        spot, mask = found
        canvas.shade(spot, mask, 0.88 + 0.06 * canvas.texture("mid", spot))


def _vary_surface(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
    body = street.line.buffer(street.width_m / 2, cap_style="flat")
    _tone(canvas, body, float(rng.uniform(0.86, 1.14)))
    lane = street.width_m / 4
    for side in (-lane, lane):
        for wheel in (-0.78, 0.78):
            _tone(canvas, street.line.offset_curve(side + wheel).buffer(0.28), float(rng.uniform(1.02, 1.07)))
        _tone(canvas, street.line.offset_curve(side).buffer(0.3), float(rng.uniform(0.94, 0.99)))
    for point, heading, _ in along(street.line, 9.0, float(rng.uniform(0, 9))):
        shift = np.array([-heading[1], heading[0]]) * rng.uniform(-1, 1) * (street.width_m / 2 - 0.8)
        chance = rng.random()
        if chance < 0.3:
            patch = oriented_box(point + shift, heading, rng.uniform(0.8, 7), rng.uniform(0.6, 1.8)).intersection(body)
            _tone(canvas, patch, float(rng.choice([0.74, 0.82, 0.88, 1.12])))
            _tone(canvas, patch.boundary.buffer(0.045), 0.72)
        elif chance < 0.6:
            _seam(canvas, point + shift, heading, body, rng)
        if rng.random() < 0.35:
            _tone(canvas, Point(*(point + shift * 0.6)).buffer(0.34), 0.55)
            _tone(canvas, Point(*(point + shift * 0.6)).buffer(0.22), 1.35)


def _tone(canvas: Canvas, area: BaseGeometry, factor: float) -> None:
    if (found := canvas.cover(area)) is not None:
        spot, mask = found
        canvas.shade(spot, mask, factor * (1 + 0.02 * canvas.texture("clod", spot)))


def _seam(canvas: Canvas, start: Vector, heading: Vector, body: BaseGeometry, rng: np.random.Generator) -> None:
    turn = rng.normal(0, 0.35, 7).cumsum() + rng.choice([0.0, np.pi / 2])
    angle = np.arctan2(heading[1], heading[0]) + turn
    steps = np.stack([np.cos(angle), np.sin(angle)], 1) * rng.uniform(0.5, 1.6)
    path = LineString(start + np.cumsum(steps, 0)).intersection(body)
    _tone(canvas, path.buffer(rng.uniform(0.03, 0.055)), float(rng.uniform(0.55, 0.75)))


def _mark(canvas: Canvas, street: Street, line: LineString, rng: np.random.Generator) -> None:
    if street.rank == 0 or (street.rank == 1 and rng.random() < 0.5):
        dash, gap = (3.0, 6.0) if street.rank == 0 else (1.5, 3.0)
        starts = np.arange(5.0, line.length - dash - 4, dash + gap)
        _white(canvas, unary_union([substring(line, s, s + dash).buffer(0.07, cap_style="flat") for s in starts]), rng)
    if street.rank == 0 and line.length > 14:
        for side in (-1, 1):
            edge = shapely.offset_curve(substring(line, 4.6, line.length - 4.6), side * (street.width_m / 2 - 0.45))
            _white(canvas, edge.buffer(0.06, cap_style="flat"), rng)
    for end in (0.0, line.length):
        if street.rank < 2 and rng.random() < 0.55 and line.length > 14:
            _crossing(canvas, street, line, abs(end - 1.9), rng)
        elif street.rank < 3 and rng.random() < 0.4:
            _stop_line(canvas, street, line, abs(end - 0.3), rng)


def _crossing(canvas: Canvas, street: Street, line: LineString, at_m: float, rng: np.random.Generator) -> None:
    point, heading, _ = next(along(line, 1e9, at_m))
    across = np.array([-heading[1], heading[0]])
    count = int((street.width_m - 0.6) / 1.0)
    bars = [oriented_box(point + across * (k - (count - 1) / 2), heading, 3.0, 0.5) for k in range(count)]
    _white(canvas, unary_union(bars), rng)


def _stop_line(canvas: Canvas, street: Street, line: LineString, at_m: float, rng: np.random.Generator) -> None:
    point, heading, _ = next(along(line, 1e9, at_m))
    across = np.array([-heading[1], heading[0]])
    side = 1 if at_m > line.length / 2 else -1
    middle = point + across * side * street.width_m / 4
    _white(canvas, oriented_box(middle, across, street.width_m / 2 - 0.5, 0.35), rng)


def _white(canvas: Canvas, area: BaseGeometry, rng: np.random.Generator) -> None:
    if (found := canvas.cover(area)) is None:
        return
    spot, mask = found
    rubbed = (
        0.5 * canvas.texture("grain", spot) + 0.6 * canvas.texture("mid", spot) + 0.5 * canvas.texture("clod", spot)
    )
    left = np.clip(rng.uniform(0.7, 1.3) - 0.35 * rubbed.clip(0), 0.1, 0.97)
    white = tint("#d9d8d2", 0.5)
    canvas.paint(spot, mask, [white[k] * left + canvas.albedo[k][spot.index] * (1 - left) for k in range(4)])


def _fill(canvas: Canvas, street: Street, line: LineString, rng: np.random.Generator, stock: Stock) -> None:
    for side in (-1, 1):
        shift = side * (street.width_m / 2 - 1.05)
        busy = rng.choice([0.0, 0.25, 0.55, 0.8]) if street.width_m > 5.2 and street.rank > 0 else 0.0
        trees = street.walk_m > 1.9 and rng.random() < 0.5
        kind = int(rng.integers(stock.kinds))
        for point, heading, at_m in along(line, 6.0, float(rng.uniform(3.5, 6))):
            across = np.array([-heading[1], heading[0]])
            inside = 5 < at_m < line.length - 5
            if inside and rng.random() < busy:
                jitter = heading * rng.uniform(-0.5, 0.5) + across * rng.normal(0, 0.06)
                place_car(stock, rng, point + across * shift + jitter, heading * rng.choice([-1, 1]))
            if trees and inside and int(at_m / 6) % 2 == 0 and rng.random() < 0.85:
                spot = point + across * side * (street.width_m / 2 + 0.75)
                stock.add_tree(spot, float(rng.uniform(1.7, 3.0)), kind)
        if street.rank < 2:
            for point, heading, _ in along(line, 13.0, float(rng.uniform(4, 15))):
                across = np.array([-heading[1], heading[0]])
                if rng.random() < 0.45:
                    lane = point + across * side * street.width_m / 4 + heading * rng.uniform(-3, 3)
                    place_car(stock, rng, lane, -side * heading, moving=True)
