"""Gardens, parking lots, parks and fields: the open ground of a block."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import shapely
from shapely import LineString, Point, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from geoseg.core.isprs_legend import LOW_VEGETATION
from geoseg.synthetic.canvas import Colour, textured, tint
from geoseg.synthetic.plan import oriented_box, parts_of
from geoseg.synthetic.site import Front, Site
from geoseg.synthetic.stock import Hedge, House, Roof, Shrub, Vector, place_car
from geoseg.synthetic.surfaces import lay_asphalt, lay_crop, lay_grass, lay_gravel, lay_paving, lay_soil, pour_water


def random_point(area: BaseGeometry, rng: np.random.Generator) -> Vector | None:
    """Draw a point inside ``area``; None when eight tries miss it."""
    if area.is_empty:
        return None
    left, top, right, bottom = area.bounds
    for _ in range(8):
        point = np.array([rng.uniform(left, right), rng.uniform(top, bottom)])
        if area.contains(Point(*point)):
            return point
    return None


def scatter_trees(area: BaseGeometry, site: Site, number: float) -> None:
    """Plant about ``number`` trees and twice as many shrubs, in groups."""
    rng = site.rng
    if area.is_empty:
        return
    for _ in range(int(rng.poisson(max(number, 0)))):
        if (point := random_point(area, rng)) is None:
            continue
        radius, kind = float(rng.gamma(5, 0.5) + 0.8), int(rng.integers(site.stock.kinds))
        site.stock.add_tree(point, min(radius, 5.5), kind)
        for _ in range(int(rng.choice([0, 0, 1, 3]))):
            near = point + rng.normal(0, 1.6 * radius, 2)
            if area.contains(Point(*near)):
                site.stock.add_tree(near, float(rng.uniform(0.6, 1.1) * radius), kind if rng.random() < 0.7 else None)
    for _ in range(int(rng.poisson(max(number, 0) * 1.5))):
        if (point := random_point(area, rng)) is not None:
            for _ in range(int(rng.choice([1, 1, 3]))):
                near = point + rng.normal(0, 0.8, 2)
                site.stock.shrubs.append(Shrub(centre=near, radius_m=float(rng.uniform(0.3, 0.9)), tone=rng.random()))


def furnish_garden(lot: BaseGeometry, house: BaseGeometry, front: Front, site: Site) -> None:
    """Turn the rest of a lot into drive, terrace, lawn, beds, hedges and trees."""
    rng, style = site.rng, site.style
    if lot.is_empty or lot.area < 20:
        return
    lay_grass(site.canvas, lot, style, rng, rough=float(rng.choice([0.0, 0.1, 0.2, 0.5])))
    left, right, face, back = front.extent(house)
    if right - left < 8:
        _forecourt(lot, (left, right, face), front, site)
    else:
        _drive(lot, (left, right, face, back), front, site)
    span = (left + rng.uniform(0, 1.5), right - rng.uniform(0, 2))
    terrace = front.strip(span, (back, back + rng.uniform(2, 4.5))).intersection(lot)
    lay_paving(site.canvas, terrace, _paving(site), front.along, rng)
    if rng.random() < 0.3 and not terrace.is_empty:
        middle = terrace.representative_point()
        site.stock.objects.append(("parasol", middle.buffer(rng.uniform(0.9, 1.5), 2)))
    yard = lot.difference(house.buffer(0.8)).difference(terrace.buffer(0.3))
    _borders(lot, house, site)
    _rear(yard.intersection(front.strip((-500, 500), (back, 500))), front.along, front.inward, site)
    before = yard.intersection(front.strip((left, right), (0, face))).buffer(-0.4)
    scatter_trees(before, site, before.area / 160)


def _paving(site: Site) -> Colour:
    return site.style.paving[int(site.rng.integers(len(site.style.paving)))]


def _forecourt(lot: BaseGeometry, house: tuple[float, float, float], front: Front, site: Site) -> None:
    rng, (left, right, face) = site.rng, house
    if face < 1.2 or rng.random() < 0.25:
        return
    share = rng.choice([0.5, 1.0])
    lay_paving(
        site.canvas,
        front.strip((left, left + (right - left) * share), (0, face)).intersection(lot),
        _paving(site),
        front.along,
        rng,
    )
    if face > 5.2 and rng.random() < 0.6:
        place_car(site.stock, rng, front.at(left + 1.7, face / 2 + 0.1), front.inward)


def _drive(lot: BaseGeometry, house: tuple[float, float, float, float], front: Front, site: Site) -> None:
    """Lead a drive past the wider side of the house, to a garage where there is room."""
    rng, (left, right, face, back) = site.rng, house
    lot_left, lot_right, _, _ = front.extent(lot)
    on_left = left - lot_left > lot_right - right
    gap = left - lot_left if on_left else lot_right - right
    width = min(3.2, gap - 0.9)
    if width > 2.2:
        middle = left - 0.4 - width / 2 if on_left else right + 0.4 + width / 2
        end = face + rng.uniform(0.2, 0.8) * (back - face)
        colour = _paving(site)
        drive = front.strip((middle - width / 2, middle + width / 2), (0, end)).intersection(lot)
        if rng.random() < 0.25:
            lay_asphalt(site.canvas, drive, site.style, rng, tone=1.1)
        else:
            lay_paving(site.canvas, drive, colour, front.along, rng)
        garage = oriented_box(front.at(middle, end + 3), front.inward, 6.0, width - 0.1)
        if rng.random() < 0.6 and lot.buffer(0.1).contains(garage):
            form = str(rng.choice(["flat", "flat", "gable"]))
            roof = Roof(eave_m=2.6, pitch=0.45, form=form, paint=int(rng.integers(24)))
            size = (6.0, width - 0.1)
            site.stock.houses.append(House(centre=front.at(middle, end + 3), along=front.inward, size=size, roof=roof))
        if end > 5 and rng.random() < 0.65:
            place_car(
                site.stock, rng, front.at(middle, end - rng.uniform(2.6, 3.2)), front.inward * rng.choice([-1, 1])
            )
    if rng.random() < 0.75 and face > 0.5:
        walk = float(rng.uniform(left + 2, right - 2))
        lay_paving(
            site.canvas, front.strip((walk, walk + 1.3), (0, face)).intersection(lot), _paving(site), front.along, rng
        )


def _borders(lot: BaseGeometry, house: BaseGeometry, site: Site) -> None:
    rng = site.rng
    away = house.buffer(1.2)
    for part in parts_of(lot):
        points = shapely.get_coordinates(part.exterior.simplify(0.3))
        for a, b in pairwise(points):
            if rng.random() > 0.42 or np.hypot(*(b - a)) < 4:
                continue
            share = rng.uniform(0.5, 1.0)
            line = LineString([a + (b - a) * 0.04, a + (b - a) * share])
            hedge = (
                line.buffer(rng.uniform(0.5, 1.1), cap_style="flat").intersection(part.buffer(-0.05)).difference(away)
            )
            site.stock.hedges.append(Hedge(area=hedge, height_m=float(rng.uniform(0.9, 2.1))))


def _rear(rear: BaseGeometry, along: Vector, inward: Vector, site: Site) -> None:
    rng, style = site.rng, site.style
    parts = sorted(parts_of(rear), key=lambda p: -p.area)
    if not parts or parts[0].area < 18:
        return
    yard = parts[0].buffer(-1.0)
    if (point := random_point(yard, rng)) is not None and rng.random() < 0.45:
        bed = oriented_box(point, along, rng.uniform(2, 6), rng.uniform(1.5, 4)).intersection(yard)
        lay_crop(site.canvas, bed, style, rng, along if rng.random() < 0.5 else inward)
    chance = rng.random()
    if (point := random_point(yard.buffer(-1.5), rng)) is not None and chance < 0.62:
        if chance < 0.1:
            site.stock.objects.append(
                ("pool", oriented_box(point, along, rng.uniform(5, 8), rng.uniform(3, 4)).intersection(yard))
            )
        elif chance < 0.2:
            site.stock.objects.append(("pool", Point(*point).buffer(rng.uniform(1.4, 2.3)).intersection(yard)))
        elif chance < 0.34:
            site.stock.objects.append(("trampoline", Point(*point).buffer(rng.uniform(1.2, 1.9)).intersection(yard)))
        else:
            size = (float(rng.uniform(2.2, 3.6)), float(rng.uniform(1.8, 2.8)))
            if yard.contains(oriented_box(point, along, *size)):
                form = str(rng.choice(["gable", "flat", "shed"]))
                roof = Roof(eave_m=2.1, pitch=0.35, form=form, paint=int(rng.integers(24)))
                site.stock.houses.append(House(centre=point, along=along, size=size, roof=roof))
    scatter_trees(yard, site, yard.area / rng.choice([60, 110, 220]))


def lay_parking(area: Polygon, origin: Vector, along: Vector, site: Site) -> None:
    """Lay out a parking lot: rows of bays with lines, lanes between them, cars on most bays."""
    rng, style = site.rng, site.style
    tone = float(rng.uniform(0.85, 1.25))
    lay_asphalt(site.canvas, area, style, rng, tone=tone)
    across = np.array([-along[1], along[0]])
    points = np.asarray(area.exterior.coords) - origin
    us, vs = points @ along, points @ across
    filled = rng.uniform(0.35, 0.9)
    lines: list[Polygon] = []
    row, direction = float(vs.min()) + 2.9, 1.0
    while row < vs.max() - 2.2:
        for u in np.arange(us.min() + 1.6, us.max() - 1.4, 2.5):
            middle = origin + along * u + across * row
            bay = oriented_box(middle, across, 5.0, 2.5)
            if not area.contains(bay):
                continue
            lines += [oriented_box(middle + along * s * 1.25, across, 4.8, 0.1) for s in (-1, 1)]
            if rng.random() < filled:
                place_car(site.stock, rng, middle + across * rng.normal(0, 0.15), across * rng.choice([-1, 1]))
        row += 5.1 if direction < 0 else 11.2
        direction = -direction
    if lines and (found := site.canvas.cover(unary_union(lines))) is not None:
        spot, mask = found
        mask &= site.canvas.texture("grain", spot) < rng.uniform(1.0, 2.4)
        site.canvas.paint(spot, mask, textured(tint("#d2d0c9", 0.45), 1 + 0.05 * site.canvas.texture("grain", spot)))


def lay_park(block: Polygon, site: Site) -> None:
    """Make a park: lawns, gravel paths, groups of trees, sometimes a pond or a pitch."""
    rng, style = site.rng, site.style
    lay_grass(site.canvas, block, style, rng, rough=float(rng.choice([0.0, 0.3, 0.7])))
    left, top, right, bottom = block.bounds
    open_ground: BaseGeometry = block.buffer(-1.5)
    for _ in range(int(rng.integers(1, 4))):
        a, b = rng.uniform((left, top), (right, bottom)), rng.uniform((left, top), (right, bottom))
        away = (b - a) / max(1e-6, float(np.hypot(*(b - a))))
        t = np.linspace(-60, 60, 60)[:, None]
        wave = np.sin(t / rng.uniform(8, 16)) * rng.uniform(0, 4)
        path = LineString((a + b) / 2 + away * t + np.array([-away[1], away[0]]) * wave).buffer(rng.uniform(0.8, 1.5))
        lay_gravel(site.canvas, path.intersection(block), rng)
        open_ground = open_ground.difference(path.buffer(1.2))
    if (point := random_point(open_ground, rng)) is not None and rng.random() < 0.45 and block.area > 900:
        turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        shape = rng.uniform(4, 9) * (
            1 + 0.2 * np.sin(2 * turn + rng.uniform(0, 6)) + 0.12 * np.sin(3 * turn + rng.uniform(0, 6))
        )
        pond = Polygon(point + np.stack([np.cos(turn) * shape, np.sin(turn) * shape * 0.7], 1)).intersection(
            block.buffer(-2)
        )
        pour_water(site.canvas, pond, style, rng)
        open_ground = open_ground.difference(pond.buffer(2))
    if (point := random_point(block.buffer(-10), rng)) is not None and rng.random() < 0.4:
        open_ground = open_ground.difference(_court(point, block, site).buffer(2))
    scatter_trees(open_ground, site, open_ground.area / rng.choice([45, 80, 140]))


def _court(point: Vector, block: Polygon, site: Site) -> BaseGeometry:
    rng = site.rng
    turn = rng.uniform(0, np.pi)
    along = np.array([np.cos(turn), np.sin(turn)])
    court = oriented_box(point, along, 34, 17)
    if not block.contains(court):
        sand = Point(*point).buffer(rng.uniform(2.5, 5)).intersection(block)
        site.stock.objects.append(("sand", sand))
        return sand
    site.stock.objects.append(("court", court))
    across = np.array([-along[1], along[0]])
    edges = [oriented_box(point, along, 23.8, w).boundary for w in (10.97, 8.23)]
    inner = [
        LineString([point + along * s * 6.4 - across * 4.1, point + along * s * 6.4 + across * 4.1]) for s in (-1, 0, 1)
    ]
    site.stock.objects += [("line", line.buffer(0.05)) for line in (*edges, *inner)]
    return court


def grow_field(block: Polygon, site: Site) -> None:
    """Cover a block with strips of meadow and crops, with a hedge and single trees."""
    rng, style = site.rng, site.style
    lay_grass(site.canvas, block, style, rng, rough=1.0)
    box = shapely.get_coordinates(block.minimum_rotated_rectangle)
    along = (box[1] - box[0]) / np.hypot(*(box[1] - box[0]))
    across = np.array([-along[1], along[0]])
    middle = np.array(block.centroid.coords[0])
    at = -60.0
    while at < 60:
        width = float(rng.uniform(8, 26))
        strip = oriented_box(middle + across * (at + width / 2), along, 260, width - 0.6).intersection(
            block.buffer(-1.5)
        )
        chance = rng.random()
        if chance < 0.35:
            lay_crop(site.canvas, strip, style, rng, along)
        elif chance < 0.8:
            lay_grass(site.canvas, strip, style, rng, rough=float(rng.uniform(0.4, 1)))
        else:
            lay_soil(site.canvas, strip, style, LOW_VEGETATION)
        at += width
    site.stock.hedges.append(Hedge(area=block.boundary.buffer(0.9).intersection(block), height_m=1.8))
    scatter_trees(block.difference(block.buffer(-6)), site, block.length / 40)
