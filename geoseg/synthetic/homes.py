"""Blocks of homes: detached houses, terraces and the closed rows of an old town."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from geoseg.synthetic.gardens import furnish_garden, scatter_trees
from geoseg.synthetic.plan import oriented_box, parts_of
from geoseg.synthetic.site import Front, Site, fronts_of
from geoseg.synthetic.stock import House, Roof
from geoseg.synthetic.surfaces import lay_asphalt, lay_grass, lay_gravel, lay_paving


def draw_roof(site: Site, eave_m: float, pitch: float, *forms: str) -> Roof:
    """Choose one of the forms and a colour."""
    return Roof(eave_m=eave_m, pitch=pitch, form=str(site.rng.choice(forms)), paint=int(site.rng.integers(24)))


def footprint_of(house: House) -> Polygon:
    """Make the rectangle that a wing stands on."""
    return oriented_box(house.centre, house.along, *house.size)


def build_detached(block: Polygon, site: Site) -> None:
    """Line the block with detached houses, each on its own lot."""
    rng = site.rng
    lay_grass(site.canvas, block, site.style, rng, rough=0.15)
    free: BaseGeometry = block
    eave, regular = rng.uniform(3.0, 6.0), rng.random() < 0.5
    for front in fronts_of(block):
        at = rng.uniform(0, 3)
        while at < front.length - 8:
            width, depth = rng.uniform(12.5, 18), rng.uniform(19, 30)
            lot = front.strip((at, at + width), (0, depth)).intersection(free)
            setback = 4.5 if regular else rng.uniform(2.5, 7)
            if (
                isinstance(lot, Polygon)
                and lot.area > 0.5 * width * depth
                and _build_villa(site, front, lot, (at, width, setback), eave + rng.normal(0, 0.4))
            ):
                free = free.difference(lot)
                at += width
            else:
                at += 2.0
    for part in parts_of(free):
        if part.area > 40:
            scatter_trees(part, site, part.area / 90)


def _build_villa(site: Site, front: Front, lot: Polygon, place: tuple[float, float, float], eave_m: float) -> bool:
    rng, (at, width, setback) = site.rng, place
    long, wide = rng.uniform(9.5, 13.5), rng.uniform(8, 11)
    side, back = (wide, long) if rng.random() < 0.35 else (long, wide)
    middle = (at + (width - side) * rng.uniform(0.45, 0.75) + side / 2, setback + back / 2)
    if not lot.buffer(-0.7).contains(oriented_box(front.at(*middle), front.along, side, back)):
        return False
    modern = rng.random() < 0.16
    roof = draw_roof(
        site, eave_m + 1.5 * modern, rng.uniform(0.45, 1.0), *(("flat",) if modern else ("gable", "gable", "hip"))
    )
    ridge = front.inward if side < back else front.along
    wings = [House(centre=front.at(*middle), along=ridge, size=(max(side, back), min(side, back)), roof=roof)]
    if rng.random() < 0.35:
        shift = rng.choice([-1, 1]) * side * 0.22
        wing = House(
            centre=front.at(middle[0] + shift, middle[1] + back * 0.35),
            along=front.inward,
            size=(back * 0.75, side * rng.uniform(0.4, 0.52)),
            roof=replace(roof, eave_m=roof.eave_m - 0.01),
        )
        if lot.buffer(-0.4).contains(footprint_of(wing)):
            wings.append(wing)
    site.stock.houses += wings
    body: BaseGeometry = footprint_of(wings[0])
    for wing in wings[1:]:
        body = body.union(footprint_of(wing))
    furnish_garden(lot, body, front, site)
    return True


def build_terraces(block: Polygon, site: Site) -> None:
    """Line the block with terraces, a narrow garden behind each house."""
    rng = site.rng
    lay_grass(site.canvas, block, site.style, rng, rough=0.1)
    free: BaseGeometry = block
    for front in fronts_of(block):
        setback, deep, unit = rng.uniform(1.5, 5), rng.uniform(9, 11.5), rng.uniform(5.4, 7.2)
        roof = draw_roof(site, rng.uniform(5, 7.5), rng.uniform(0.5, 0.9), "gable")
        at = 3.0
        while at + 2 * unit < front.length - 2:
            number = min(int(rng.integers(3, 9)), int((front.length - 2 - at) // unit))
            strip = front.strip((at, at + number * unit), (0, setback + deep + rng.uniform(10, 18))).intersection(free)
            body = front.strip((at, at + number * unit), (setback, setback + deep + 0.5))
            if not strip.buffer(0.05).contains(body):
                at += unit
                continue
            for k in range(number):
                own = replace(roof, eave_m=roof.eave_m + float(rng.choice([0, 0, 0.25])))
                if rng.random() < 0.25:
                    own = replace(own, paint=int(rng.integers(24)))
                middle = front.at(at + (k + 0.5) * unit, setback + deep / 2 + float(rng.choice([0, 0, 0.5])))
                house = House(centre=middle, along=front.along, size=(unit, deep), roof=own)
                site.stock.houses.append(house)
                lot = front.strip((at + k * unit, at + (k + 1) * unit), (0, 99)).intersection(strip)
                furnish_garden(lot, footprint_of(house), front, site)
            free = free.difference(strip)
            at += number * unit + rng.uniform(3, 7)
    for part in parts_of(free):
        if part.area > 60:
            scatter_trees(part, site, part.area / 120)


def build_old_town(block: Polygon, site: Site) -> None:
    """Close the block with houses wall to wall around courts and annexes."""
    rng, style = site.rng, site.style
    lay_paving(site.canvas, block, style.paving[1], np.array([1.0, 0.0]), rng)
    court = block.buffer(-13)
    for part in parts_of(court):
        chance = rng.random()
        if chance < 0.3:
            lay_gravel(site.canvas, part, rng)
        elif chance < 0.5:
            lay_asphalt(site.canvas, part, style, rng)
        else:
            lay_grass(site.canvas, part, style, rng, rough=0.2)
    scatter_trees(court, site, court.area / 90)
    free: BaseGeometry = block.buffer(0.3)
    for front in fronts_of(block):
        at = 0.2
        while at < front.length - 5:
            unit, deep = min(rng.uniform(6.5, 14), front.length - at), rng.uniform(9, 13)
            roof = draw_roof(site, rng.uniform(7, 12), rng.uniform(0.6, 1.05), "gable", "gable", "gable", "hip")
            middle = front.at(at + unit / 2, deep / 2 + 0.15)
            # The ridge follows the street; a narrow house may turn its gable to it.
            turned = unit < 8.5 and rng.random() < 0.4
            size = (deep, unit) if turned else (unit, deep)
            house = House(centre=middle, along=front.inward if turned else front.along, size=size, roof=roof)
            if not free.contains(footprint_of(house).buffer(-0.1)):
                at += 1.5
                continue
            site.stock.houses.append(house)
            free = free.difference(footprint_of(house).buffer(-0.05))
            if rng.random() < 0.5:
                low = draw_roof(site, rng.uniform(3, 6), 0.35, "shed", "flat", "gable")
                behind = rng.uniform(4, 9)
                centre = front.at(at + unit / 2, deep + 0.3 + behind / 2)
                annexe = House(
                    centre=centre, along=front.along, size=(unit * rng.uniform(0.45, 0.95), behind), roof=low
                )
                if free.contains(footprint_of(annexe)):
                    site.stock.houses.append(annexe)
                    free = free.difference(footprint_of(annexe))
            at += unit
