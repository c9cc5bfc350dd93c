"""The seven classes of DeepGlobe land cover."""

from __future__ import annotations

from typing import Final

from geoseg.core.legend import Legend, LegendClass

DEEPGLOBE: Final = Legend(
    classes=(
        LegendClass(code=0, name="urban land", colour="#00ffff"),
        LegendClass(code=1, name="agriculture land", colour="#ffff00"),
        LegendClass(code=2, name="rangeland", colour="#ff00ff"),
        LegendClass(code=3, name="forest land", colour="#00ff00"),
        LegendClass(code=4, name="water", colour="#0000ff"),
        LegendClass(code=5, name="barren land", colour="#ffffff"),
        LegendClass(code=6, name="unknown", colour="#000000"),
    )
)
"""Colours as published (Demir et al. 2018, DeepGlobe)."""
UNKNOWN: Final = 6
