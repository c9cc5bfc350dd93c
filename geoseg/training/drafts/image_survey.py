"""Survey of images: bands, values, CRS and pixel sizes."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from geoseg.core.ground import gsd_m
from geoseg.data.sources.matching import find_files
from geoseg.errors import SceneError
from geoseg.io.raster.open_options import OpenOptions
from geoseg.io.raster.overview import overview
from geoseg.io.raster.scene import Scene

_MOST_OPENED: Final = 50
_VIEW_PX: Final = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSurvey:
    """Images of a source.

    Attributes:
        names: names of all images.
        shapes: (rows, columns) of those that were opened.
        bands: names of the bands, fit for a card.
        crs: CRS of the images, each once.
        gsd_m: smallest and largest ground sample distance, metres.
        value_range: values that mean 0 and 1; None for 8-bit images.
        mean: of each band on the scale from 0 to 1.
        std: standard deviation of each band on that scale.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, int], ...]
    bands: tuple[str, ...]
    crs: tuple[str, ...]
    gsd_m: tuple[float, float]
    value_range: tuple[float, float] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]


def survey_images(folder: Path, images: str, *, assume_crs: str | None = None) -> ImageSurvey:
    """Open the images of a pattern, the first 50 at most, and measure them.

    Args:
        folder: folder that ``images`` is relative to.
        images: a file, a folder or a pattern with one ``*``, as in a recipe.
        assume_crs: CRS of images that carry none.

    Raises:
        SceneError: an image is missing, cannot be read or has no CRS, or images differ in their bands.
    """
    files = find_files(folder, images)
    opened = [_measure(path, assume_crs) for path in list(files.values())[:_MOST_OPENED]]
    first, path = opened[0], next(iter(files.values()))
    for one in opened:
        if len(one.bands) != len(first.bands) or one.eight_bit != first.eight_bit:
            raise SceneError(str(path), f"its bands are not those of {one.path}.", "Make two sources of them.")
    values = np.concatenate([one.values for one in opened], axis=1).astype(np.float64)
    ends = (0.0, 255.0)
    if not first.eight_bit and values.size:
        low, high = (float(f"{end:.4g}") for end in np.percentile(values, (2, 98)))
        ends = (low, high if high > low else low + 1)
    unit = np.clip((values - ends[0]) / (ends[1] - ends[0]), 0, 1) if values.size else np.full((len(values), 1), 0.5)
    sizes = [side for one in opened for side in one.gsd_m]
    return ImageSurvey(
        names=tuple(files),
        shapes=tuple(one.shape for one in opened),
        bands=_card_names(first.bands),
        crs=tuple(dict.fromkeys(one.crs for one in opened)),
        gsd_m=(min(sizes), max(sizes)),
        value_range=None if first.eight_bit else ends,
        mean=tuple(round(float(mean), 4) for mean in unit.mean(axis=1)),
        std=tuple(round(max(float(std), 0.01), 4) for std in unit.std(axis=1)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    path: Path
    shape: tuple[int, int]
    bands: tuple[str, ...]
    crs: str
    gsd_m: tuple[float, float]
    eight_bit: bool
    values: np.ndarray[tuple[int, int], np.dtype[np.generic]]


def _measure(path: Path, assume_crs: str | None) -> _Measured:
    with Scene(str(path), OpenOptions(assume_crs=assume_crs)) as scene:
        view = overview(scene, _VIEW_PX, [band.index for band in scene.bands])
        crs = scene.geobox.crs
        if crs is None:
            raise SceneError(str(path), "it has no CRS.", "Pass --assume-crs EPSG:code.")
        sides = gsd_m(scene.geobox)
        if not all(np.isfinite(side) and side > 0 for side in sides):
            raise SceneError(str(path), "the size of its pixels on the ground is unknown.", "Check its CRS.")
        return _Measured(
            path=path,
            shape=(int(scene.geobox.shape[0]), int(scene.geobox.shape[1])),
            bands=tuple(band.name for band in scene.bands),
            crs=f"EPSG:{crs.to_epsg()}" if crs.to_epsg() else str(crs)[:60],
            gsd_m=(float(sides[0]), float(sides[1])),
            eight_bit=scene.dtype == np.uint8,
            values=view.values[:, view.valid],
        )


def _card_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Make names that a card takes: lower case, distinct."""
    plain = [re.sub(r"[^a-z0-9_]+", "_", name.lower()).strip("_") for name in names]
    plain = [name if re.match(r"[a-z]", name) else f"band_{place}" for place, name in enumerate(plain, start=1)]
    count = Counter(plain)
    return tuple(name if count[name] == 1 else f"{name}_{place}" for place, name in enumerate(plain, start=1))
