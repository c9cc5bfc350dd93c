"""Blocks: what is built and grown on the ground between streets, by land use."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from geoseg.data.town_gardens import furnish_garden, grow_field, lay_park, lay_parking, scatter_trees
from geoseg.data.town_ground import lay_asphalt, lay_grass, lay_gravel, lay_paving, lay_soil
from geoseg.data.town_plan import Plan, oriented_box, parts_of
from geoseg.data.town_site import Front, Site, fronts_of
from geoseg.data.town_stock import House


def fill_blocks(plan: Plan, site: Site) -> None:
    """Give each block a land use and build it; no two towns have the same mix."""
    names = list(_USES)
    shares = site.rng.dirichlet([3.2, 1.6, 1.5, 1.2, 1.2, 0.6, 0.5]) * 0.6 + np.array(
        [0.16, 0.06, 0.06, 0.05, 0.05, 0.01, 0.01]
    )
    for block in sorted(plan.blocks, key=lambda b: (round(b.centroid.y, 3), round(b.centroid.x, 3))):
        use = str(site.rng.choice(names, p=shares / shares.sum()))
        if block.area < 500:
            use = "park"
        if site.canvas.spot(block.bounds) is not None:
            _USES[use](block, site)


def _wing(
    site: Site, front: Front, at: tuple[float, float], size: tuple[float, float], **look: object
) -> tuple[House, Polygon]:
    house = House(centre=front.at(*at), along=front.along, size=size, **look)  # type: ignore[arg-type]
    return house, oriented_box(house.centre, house.along, *size)


def _detached(block: Polygon, site: Site) -> None:
    rng, style = site.rng, site.style
    lay_grass(site.canvas, block, style, rng, rough=0.15)
    free: BaseGeometry = block
    eave, tidy = rng.uniform(3.0, 6.0), rng.random()
    for front in fronts_of(block):
        at = rng.uniform(0, 4)
        while at < front.length - 9:
            width, depth = rng.uniform(12.5, 18), rng.uniform(20, 30)
            lot = front.strip((at, at + width), (0, depth)).intersection(free)
            long, wide = rng.uniform(9.5, 13.5), rng.uniform(8, 11)
            setback = rng.uniform(3, 7) if tidy < 0.5 else 4.5
            turn = rng.random() < 0.35
            side, back = (wide, long) if turn else (long, wide)
            if lot.geom_type != "Polygon" or lot.area < 0.5 * width * depth:
                at += 2.0
                continue
            middle = (at + (width - side) * 0.6 + side / 2, setback + back / 2)
            if _villa(site, front, lot, (middle, (side, back)), eave + rng.normal(0, 0.4)):
                free = free.difference(lot)
                at += width
            else:
                at += 2.0
    for part in parts_of(free):
        if part.area > 40:
            scatter_trees(part, site, part.area / 90)


def _villa(
    site: Site, front: Front, lot: Polygon, plan: tuple[tuple[float, float], tuple[float, float]], eave: float
) -> bool:
    rng, (middle, (side, back)) = site.rng, plan
    footprint = oriented_box(front.at(*middle), front.along, side, back)
    if not lot.buffer(-0.7).contains(footprint):
        return False
    modern = rng.random() < 0.16
    roof = "flat" if modern else str(rng.choice(["gable", "gable", "hip"]))
    look = {
        "eave_m": eave + (1.5 if modern else 0),
        "pitch": rng.uniform(0.45, 1.0),
        "roof": roof,
        "paint": int(rng.integers(24)),
    }
    turned = side < back
    long, wide = max(side, back), min(side, back)
    ridge = np.array([-front.along[1], front.along[0]]) if turned else front.along
    main = House(centre=front.at(*middle), along=ridge, size=(long, wide), **look)
    wings = [main]
    if rng.random() < 0.35:
        shift = rng.choice([-1, 1]) * side * 0.22
        wing = House(
            centre=front.at(middle[0] + shift, middle[1] + back * 0.35),
            along=front.inward,
            size=(back * 0.75, side * rng.uniform(0.4, 0.52)),
            **{**look, "eave_m": look["eave_m"] - 0.01},
        )
        if lot.buffer(-0.4).contains(oriented_box(wing.centre, wing.along, *wing.size)):
            wings.append(wing)
    site.stock.houses += wings
    taken = footprint
    for wing in wings:
        taken = taken.union(oriented_box(wing.centre, wing.along, *wing.size))
    furnish_garden(lot, taken, front, site)
    return True


def _rows(block: Polygon, site: Site) -> None:
    rng, style = site.rng, site.style
    lay_grass(site.canvas, block, style, rng, rough=0.1)
    free: BaseGeometry = block
    for front in fronts_of(block):
        setback, deep, unit = rng.uniform(2, 6), rng.uniform(9, 11.5), rng.uniform(5.4, 7.2)
        look = {
            "eave_m": rng.uniform(5, 7.5),
            "pitch": rng.uniform(0.5, 0.9),
            "roof": "gable",
            "paint": int(rng.integers(24)),
        }
        at = 4.0
        while at + 3 * unit < front.length - 3:
            number = int(min(rng.integers(3, 9), (front.length - 3 - at) // unit))
            strip = front.strip((at, at + number * unit), (0, setback + deep + rng.uniform(12, 18))).intersection(free)
            body = front.strip((at, at + number * unit), (setback, setback + deep + 0.5))
            if not strip.buffer(0.05).contains(body):
                at += unit
                continue
            for k in range(number):
                eave = {**look, "eave_m": look["eave_m"] + rng.choice([0, 0, 0.25])}
                if rng.random() < 0.25:
                    eave["paint"] = int(rng.integers(24))
                middle = (at + (k + 0.5) * unit, setback + deep / 2 + rng.choice([0, 0, 0.5]))
                house, footprint = _wing(site, front, middle, (unit, deep), **eave)
                site.stock.houses.append(house)
                lot = front.strip((at + k * unit, at + (k + 1) * unit), (0, 99)).intersection(strip)
                furnish_garden(lot, footprint, front, site)
            free = free.difference(strip)
            at += number * unit + rng.uniform(3, 7)
    for part in parts_of(free):
        if part.area > 60:
            scatter_trees(part, site, part.area / 120)


def _slabs(block: Polygon, site: Site) -> None:
    rng, style = site.rng, site.style
    lay_grass(site.canvas, block, style, rng, rough=rng.uniform(0, 0.35))
    free: BaseGeometry = block.buffer(-1.0)
    roof = str(rng.choice(["flat", "flat", "hip", "gable"]))
    look = {
        "eave_m": rng.uniform(8.5, 15),
        "pitch": rng.uniform(0.3, 0.6),
        "roof": roof,
        "paint": int(rng.integers(24)),
    }
    for front in fronts_of(block):
        long, deep, setback = rng.uniform(20, 38), rng.uniform(10.5, 13), rng.uniform(5, 11)
        at = rng.uniform(5, 9)
        while at + long < front.length - 4:
            house, footprint = _wing(site, front, (at + long / 2, setback + deep / 2), (long, deep), **look)
            if free.contains(footprint):
                site.stock.houses.append(house)
                free = free.difference(footprint.buffer(3.2))
                walk = front.strip((at + 2, at + long - 2), (setback - 2.8, setback - 1.2))
                lay_paving(site.canvas, walk, style.paving[0], front.along, rng)
                for door in np.arange(at + 5, at + long - 4, 11):
                    lay_paving(
                        site.canvas,
                        front.strip((float(door), float(door) + 1.6), (0, setback)),
                        style.paving[0],
                        front.along,
                        rng,
                    )
                at += long + rng.uniform(7, 14)
            else:
                at += 4
    _park_cars(free, site)
    scatter_trees(free, site, free.area / 110)


def _park_cars(free: BaseGeometry, site: Site) -> BaseGeometry:
    for part in sorted(parts_of(free), key=lambda p: -p.area)[:1]:
        middle = np.array(part.representative_point().coords[0])
        best = max(fronts_of(part), key=lambda f: f.length, default=None)
        if best is not None:
            lot = oriented_box(middle, best.along, site.rng.uniform(22, 38), 16.5).intersection(part.buffer(-1.2))
            for piece in parts_of(lot):
                if piece.area > 130:
                    lay_parking(piece, middle, best.along, site)
                    free = free.difference(piece.buffer(0.8))
    return free


def _commerce(block: Polygon, site: Site) -> None:
    rng, style = site.rng, site.style
    lay_asphalt(site.canvas, block, style, rng, tone=rng.uniform(0.9, 1.2))
    free: BaseGeometry = block.buffer(-2.2)
    lay_grass(site.canvas, block.difference(free), style, rng)
    for front in sorted(fronts_of(block), key=lambda f: -f.length):
        long, deep, setback = rng.uniform(22, 44), rng.uniform(16, 30), rng.uniform(3, 7)
        look = {"eave_m": rng.uniform(4.5, 9.5), "pitch": 0.12, "roof": "flat", "paint": int(rng.integers(24))}
        at = 4.0
        while at + long < front.length:
            house, footprint = _wing(site, front, (at + long / 2, setback + deep / 2), (long, deep), **look)
            if free.contains(footprint) and free.area > 2.2 * footprint.area:
                site.stock.houses.append(house)
                free = free.difference(footprint.buffer(1.5))
                break
            at += 4.0
            long *= 0.94
    for part in parts_of(free.buffer(-0.5)):
        best = max(fronts_of(part), key=lambda f: f.length, default=None)
        if best is not None:
            lay_parking(part, best.start, best.along, site)
    corners = (
        np.asarray(block.buffer(-1.1).exterior.segmentize(9).coords)
        if block.buffer(-1.1).geom_type == "Polygon"
        else []
    )
    for point in corners:
        if rng.random() < 0.6:
            site.stock.add_tree(np.asarray(point), float(rng.uniform(1.4, 2.6)), 0)
    if rng.random() < 0.5:
        spot = oriented_box(
            np.array(block.representative_point().coords[0]) + rng.uniform(-9, 9, 2), np.array([1.0, 0.0]), 6.1, 2.4
        )
        site.stock.objects.append(("container", spot.intersection(free)))


def _old_town(block: Polygon, site: Site) -> None:
    rng, style = site.rng, site.style
    lay_paving(site.canvas, block, style.paving[1], np.array([1.0, 0.0]), rng)
    court = block.buffer(-13)
    for part in parts_of(court):
        (
            lay_gravel(site.canvas, part, rng)
            if rng.random() < 0.4
            else lay_grass(site.canvas, part, style, rng, rough=0.2)
        )
    scatter_trees(court, site, court.area / 70)
    free: BaseGeometry = block.buffer(0.3)
    for front in fronts_of(block):
        at = 0.2
        while at < front.length - 5:
            unit, deep = rng.uniform(6.5, 13), rng.uniform(9.5, 13)
            unit = min(unit, front.length - at)
            look = {
                "eave_m": rng.uniform(7, 12.5),
                "pitch": rng.uniform(0.6, 1.05),
                "roof": "gable",
                "paint": int(rng.integers(24)),
            }
            house, footprint = _wing(site, front, (at + unit / 2, deep / 2 + 0.15), (unit, deep), **look)
            if free.contains(footprint.buffer(-0.1)):
                site.stock.houses.append(house)
                free = free.difference(footprint.buffer(-0.05))
                if rng.random() < 0.35:
                    annexe = {
                        **look,
                        "eave_m": rng.uniform(3, 5),
                        "roof": str(rng.choice(["shed", "flat"])),
                        "pitch": 0.25,
                    }
                    small, shape = _wing(site, front, (at + unit / 2, deep + 3), (unit * 0.55, 5.5), **annexe)
                    if free.contains(shape):
                        site.stock.houses.append(small)
                        free = free.difference(shape)
                at += unit
            else:
                at += 2.0


def _green(block: Polygon, site: Site) -> None:
    lay_park(block, site)


def _field(block: Polygon, site: Site) -> None:
    if site.rng.random() < 0.35 and block.area < 4000:
        lay_soil(site.canvas, block.buffer(-0.8), site.style)
        for _ in range(6):
            at = np.array(block.representative_point().coords[0]) + site.rng.normal(0, 9, 2)
            kind = str(site.rng.choice(["container", "stack", "stack", "stack"]))
            turn = site.rng.uniform(0, np.pi)
            size = (6.1, 2.45) if kind == "container" else (site.rng.uniform(1.5, 4), site.rng.uniform(1, 2))
            spot = oriented_box(at, np.array([np.cos(turn), np.sin(turn)]), *size)
            if block.contains(spot):
                site.stock.objects.append((kind, spot))
        return
    grow_field(block, site)


_USES: dict[str, Callable[[Polygon, Site], None]] = {
    "detached": _detached,
    "rows": _rows,
    "slabs": _slabs,
    "commerce": _commerce,
    "old": _old_town,
    "park": _green,
    "field": _field,
}
