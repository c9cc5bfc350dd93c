"""Drawn stuff and things that a perfect network sees, and the panoptic map that a run must make of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from known_objects import drawn_objects
from rasterio.transform import from_origin

from geoseg.core.card import Architecture, CardBand, GsdRange, ModelCard
from geoseg.core.legend import Legend, LegendClass

LEGEND = Legend(
    classes=[
        LegendClass(code=1, name="road", colour="#ffffff"),
        LegendClass(code=2, name="house", colour="#ff0000", countable=True),
        LegendClass(code=5, name="car", colour="#ffff00", countable=True),
        LegendClass(code=7, name="grass", colour="#00ff00"),
        LegendClass(code=9, name="water", colour="#0000ff"),
    ]
)
THINGS, STUFF = (1, 2), (0, 3, 4)
"""Indices of the classes."""

TRANSFORM = from_origin(5e5, 5e6, 0.5, 0.5)


def panoptic_card(**changes: object) -> ModelCard:
    facts = {
        "name": "perfect",
        "architecture": Architecture(name="own"),
        "task": "panoptic",
        "bands": tuple(CardBand(name=name, mean=0, std=1 / 255) for name in ("red", "green")),
        "gsd_m": GsdRange(min=0.1, max=10),
        "tile_px": 96,
        "halo_px": 16,
        "legend": LEGEND,
        "licence": "CC0-1.0",
        "min_score": 0.1,
    }
    return ModelCard(**(facts | changes))


def drawn(shape: tuple[int, int], seed: int, count: int = 30) -> np.ndarray:
    """Bands of a scene: numbers of things, and indices of the stuff below them in patches and specks."""
    rng = np.random.default_rng(seed)
    numbers = drawn_objects(shape, seed, count)[0]
    patches = rng.choice(STUFF, (shape[0] // 13 + 1, shape[1] // 13 + 1)).repeat(13, 0).repeat(13, 1)
    below = patches[: shape[0], : shape[1]].astype(np.uint8)
    below[rng.random(shape) < 0.02] = STUFF[1]
    return np.stack([numbers, below])


def expected_labels(bands: np.ndarray) -> np.ndarray:
    """Labels of the map: things are counted by their last pixels, row by row."""
    numbers, below = bands.astype(np.int64)
    codes = np.array(LEGEND.codes)
    last = {int(n): int(np.flatnonzero(numbers.ravel() == n)[-1]) for n in np.unique(numbers) if n}
    labels = codes[below]
    for place, number in enumerate(sorted(last, key=lambda n: last[n]), start=1):
        labels[numbers == number] = 256 * place + codes[THINGS[number % 2]]
    return labels


def write_drawn(path: Path, bands: np.ndarray) -> Path:
    profile = {"driver": "GTiff", "height": bands.shape[1], "width": bands.shape[2], "count": 2, "dtype": "uint8"}
    with rasterio.open(path, "w", **profile, crs="EPSG:32633", transform=TRANSFORM) as file:
        file.write(bands)
        file.descriptions = ("red", "green")
    return path
