"""Blocks: buildings and vegetation on the ground between streets, by land use."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from geoseg.synthetic.gardens import grow_field, lay_park, lay_parking, scatter_trees
from geoseg.synthetic.homes import build_detached, build_old_town, build_terraces, draw_roof, footprint_of
from geoseg.synthetic.plan import Plan, oriented_box, parts_of
from geoseg.synthetic.site import Front, Site, fronts_of
from geoseg.synthetic.stock import House
from geoseg.synthetic.surfaces import lay_asphalt, lay_grass, lay_paving, lay_soil


def fill_blocks(plan: Plan, site: Site) -> None:
    """Give each block a land use and build it; no two towns have the same mix."""
    names = list(_USES)
    usual = np.array([0.18, 0.07, 0.07, 0.05, 0.07, 0.01, 0.01])
    shares = site.rng.dirichlet([3.2, 1.8, 1.5, 1.2, 1.6, 0.5, 0.4]) * 0.6 + usual
    for block in sorted(plan.blocks, key=lambda b: (round(b.centroid.y, 3), round(b.centroid.x, 3))):
        use = str(site.rng.choice(names, p=shares / shares.sum()))
        if block.area < 350:
            use = "park"
        if site.canvas.spot(block.bounds) is not None:
            _USES[use](block, site)


def _build_slabs(block: Polygon, site: Site) -> None:
    rng, style = site.rng, site.style
    lay_grass(site.canvas, block, style, rng, rough=float(rng.uniform(0, 0.35)))
    free: BaseGeometry = block.buffer(-1.0)
    roof = draw_roof(site, rng.uniform(8.5, 14), rng.uniform(0.3, 0.6), "flat", "flat", "hip", "gable")
    for front in fronts_of(block):
        long, deep, setback = rng.uniform(18, 36), rng.uniform(10.5, 13), rng.uniform(4, 9)
        at = rng.uniform(3, 7)
        while at + long < front.length - 2:
            house = House(
                centre=front.at(at + long / 2, setback + deep / 2), along=front.along, size=(long, deep), roof=roof
            )
            if not free.contains(footprint_of(house)):
                at += 3
                continue
            site.stock.houses.append(house)
            free = free.difference(footprint_of(house).buffer(3.2))
            walk = front.strip((at + 2, at + long - 2), (setback - 2.8, setback - 1.2))
            lay_paving(site.canvas, walk, style.paving[0], front.along, rng)
            for door in np.arange(at + 5, at + long - 4, 11):
                step = front.strip((float(door), float(door) + 1.6), (0, setback))
                lay_paving(site.canvas, step, style.paving[0], front.along, rng)
            at += long + rng.uniform(7, 14)
    free = _add_parking(free, site)
    scatter_trees(free, site, free.area / 110)


def _add_parking(free: BaseGeometry, site: Site) -> BaseGeometry:
    """Lay one parking court in the largest open piece; return what stays open."""
    parts = sorted(parts_of(free), key=lambda p: -p.area)
    side = _longest_front(parts[0]) if parts else None
    if side is None:
        return free
    middle = np.array(parts[0].representative_point().coords[0])
    court = oriented_box(middle, side.along, site.rng.uniform(22, 38), 16.5).intersection(parts[0].buffer(-1.2))
    for piece in parts_of(court):
        if piece.area > 130:
            lay_parking(piece, middle, side.along, site)
            free = free.difference(piece.buffer(0.8))
    return free


def _longest_front(area: Polygon) -> Front | None:
    return max(fronts_of(area), key=lambda front: front.length, default=None)


def _build_commerce(block: Polygon, site: Site) -> None:
    rng, style = site.rng, site.style
    lay_asphalt(site.canvas, block, style, rng, tone=float(rng.uniform(0.9, 1.2)))
    free: BaseGeometry = block.buffer(-2.2)
    lay_grass(site.canvas, block.difference(free), style, rng)
    for front in sorted(fronts_of(block), key=lambda f: -f.length):
        long, deep, setback = rng.uniform(22, 44), rng.uniform(16, 30), rng.uniform(3, 7)
        roof = draw_roof(site, rng.uniform(4.5, 9.5), 0.12, "flat")
        at = 4.0
        while at + long < front.length:
            hall = House(
                centre=front.at(at + long / 2, setback + deep / 2), along=front.along, size=(long, deep), roof=roof
            )
            if free.contains(footprint_of(hall)) and free.area > 2.0 * footprint_of(hall).area:
                site.stock.houses.append(hall)
                free = free.difference(footprint_of(hall).buffer(1.5))
                break
            at += 4.0
            long *= 0.94
    for part in parts_of(free.buffer(-0.5)):
        side = _longest_front(part)
        if side is not None:
            lay_parking(part, side.start, side.along, site)
    for edge in parts_of(block.buffer(-1.1)):
        for point in np.asarray(edge.exterior.segmentize(9).coords):
            if rng.random() < 0.6:
                site.stock.add_tree(point, float(rng.uniform(1.4, 2.6)), 0)
    _drop(("container", "container", "stack"), free, site)


def _drop(kinds: tuple[str, ...], free: BaseGeometry, site: Site) -> None:
    """Leave containers and stacks of material about, where there is room."""
    rng = site.rng
    if free.is_empty:
        return
    for kind in kinds:
        at = np.array(free.representative_point().coords[0]) + rng.normal(0, 9, 2)
        turn = rng.uniform(0, np.pi)
        size = (6.1, 2.45) if kind == "container" else (rng.uniform(1.5, 4), rng.uniform(1, 2))
        place = oriented_box(at, np.array([np.cos(turn), np.sin(turn)]), *size)
        if rng.random() < 0.6 and free.contains(place):
            site.stock.objects.append((kind, place))


def _grow(block: Polygon, site: Site) -> None:
    if site.rng.random() < 0.4 and block.area < 4000:
        # A cleared site: the next house has not been begun.
        lay_soil(site.canvas, block.buffer(-0.8), site.style)
        _drop(("container", "container", *["stack"] * 9), block.buffer(-2), site)
    else:
        grow_field(block, site)


_USES: dict[str, Callable[[Polygon, Site], None]] = {
    "detached": build_detached,
    "terraces": build_terraces,
    "slabs": _build_slabs,
    "commerce": _build_commerce,
    "old town": build_old_town,
    "park": lay_park,
    "field": _grow,
}
