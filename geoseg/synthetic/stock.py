"""Objects on a town's ground, collected before they are drawn from low to high."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from shapely import Polygon
from shapely.geometry.base import BaseGeometry
from shapely.strtree import STRtree

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Car:
    """A vehicle: middle, heading (unit vector), length, width and height in metres."""

    centre: Vector
    heading: Vector
    size: tuple[float, float, float]
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A tree: middle, crown radius in metres, kind (an index of the town's species)."""

    centre: Vector
    radius_m: float
    kind: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrub:
    """A low round plant: middle, radius in metres, tone in [0, 1) that chooses its colour."""

    centre: Vector
    radius_m: float
    tone: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedge:
    """A trimmed hedge: its ground and height."""

    area: BaseGeometry
    height_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Roof:
    """The shape and colour of a roof.

    Attributes:
        eave_m: height of the eaves.
        pitch: rise of the roof per metre.
        form: ``gable``, ``hip``, ``flat`` or ``shed``.
        paint: index into the style's roof (or flat roof) colours.
    """

    eave_m: float
    pitch: float
    form: str
    paint: int


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """A wing of a building: an oriented rectangle with a roof.

    Attributes:
        centre, along: middle and direction of the ridge (unit vector x, y).
        size: length along the ridge and width across, metres.
        roof: what covers it.
    """

    centre: Vector
    along: Vector
    size: tuple[float, float]
    roof: Roof


@dataclass(slots=True)
class Stock:
    """Lists of things to draw, filled street by street and block by block.

    Attributes:
        kinds: number of tree species.
    """

    kinds: int
    cars: list[Car] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    houses: list[House] = field(default_factory=list)
    shrubs: list[Shrub] = field(default_factory=list)
    hedges: list[Hedge] = field(default_factory=list)
    objects: list[tuple[str, BaseGeometry]] = field(default_factory=list)

    def add_tree(self, centre: Vector, radius_m: float, kind: int | None = None) -> None:
        """Plant a tree; ``kind`` None takes one by the tree's place."""
        if kind is None:
            kind = int(abs(centre[0] * 7.3 + centre[1] * 13.7)) % self.kinds
        self.trees.append(Tree(centre=np.asarray(centre, float), radius_m=radius_m, kind=kind))


def place_car(stock: Stock, rng: np.random.Generator, centre: Vector, heading: Vector, *, moving: bool = False) -> None:
    """Put a vehicle of a random make on the ground."""
    chance = rng.random()
    kind, size = "car", (rng.uniform(3.7, 4.9), rng.uniform(1.68, 1.92), rng.uniform(1.4, 1.72))
    if chance < 0.08:
        kind, size = "van", (rng.uniform(4.9, 6.0), rng.uniform(1.95, 2.1), rng.uniform(1.95, 2.6))
    elif chance < 0.11 and moving:
        kind, size = "truck", (rng.uniform(7.5, 11.5), rng.uniform(2.4, 2.55), rng.uniform(3.0, 3.7))
    turned = heading + np.array([-heading[1], heading[0]]) * rng.normal(0, 0.025)
    turned = turned / np.hypot(*turned)
    stock.cars.append(Car(centre=np.asarray(centre, float), heading=turned, size=size, kind=kind))


def without_overlap(cars: list[Car]) -> list[Car]:
    """Drop every car that would stand in an earlier one."""
    if not cars:
        return []
    shapes = [_footprint(car) for car in cars]
    first, second = STRtree(shapes).query(shapes, predicate="intersects")
    gone: set[int] = set()
    for a, b in sorted(zip(first.tolist(), second.tolist(), strict=True)):
        if a < b and a not in gone:
            gone.add(b)
    return [car for k, car in enumerate(cars) if k not in gone]


def _footprint(car: Car) -> Polygon:
    across = np.array([-car.heading[1], car.heading[0]])
    a, b = car.heading * car.size[0] / 2, across * (car.size[1] / 2 + 0.15)
    return Polygon([car.centre - a - b, car.centre + a - b, car.centre + a + b, car.centre - a + b])
