"""The six classes of the ISPRS semantic labelling benchmark, which the drawn towns share."""

from __future__ import annotations

from typing import Final

from geoseg.core.legend import Legend, LegendClass

IMPERVIOUS: Final = 0
BUILDING: Final = 1
LOW_VEGETATION: Final = 2
TREE: Final = 3
CAR: Final = 4
CLUTTER: Final = 5

THINGS: Final = frozenset({BUILDING, TREE, CAR})
"""Classes whose regions are things, which drawn towns number."""

TOWN_LEGEND: Final = Legend(
    classes=(
        LegendClass(code=IMPERVIOUS, name="impervious surface", colour="#ffffff"),
        LegendClass(code=BUILDING, name="building", colour="#0000ff"),
        LegendClass(code=LOW_VEGETATION, name="low vegetation", colour="#00ffff"),
        LegendClass(code=TREE, name="tree", colour="#00ff00"),
        LegendClass(code=CAR, name="car", colour="#ffff00"),
        LegendClass(code=CLUTTER, name="clutter", colour="#ff0000"),
    )
)
"""Codes and colours as published by ISPRS (2D Semantic Labeling Contest, Potsdam and Vaihingen)."""
