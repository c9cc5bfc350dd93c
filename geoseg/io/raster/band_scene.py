"""BandScene: bands of images on the grid of a class raster, read for statistics."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from geoseg.core.columns import OWN_NAMES, distinct_names, plain_name
from geoseg.core.grid import grid_difference
from geoseg.core.window import Window
from geoseg.errors import SceneError, UsageError
from geoseg.io.raster.scene import Scene, SceneBand


class BandScene:
    """Bands of one or more images, as physical values (the file's scale and offset are applied).

    Args:
        classes: the scene that defines the grid.
        images: images with their bands, by number (1 is the first) or name; no bands: all of them.

    Attributes:
        shape: (rows, columns).
        names: column prefix of each band: the file's own description, else ``b1``, ``b2``; where two bands would share
            one, the later is preceded by the name of its file, and so is ``confidence``.

    Raises:
        SceneError: an image lies on another grid.
        UsageError: there is no such band.
    """

    def __init__(self, classes: Scene, images: Sequence[tuple[Scene, Sequence[str]]]) -> None:
        self.shape: tuple[int, int] = int(classes.geobox.shape[0]), int(classes.geobox.shape[1])
        self._bands: list[tuple[Scene, SceneBand]] = []
        for image, requested in images:
            refuse_other_grid(classes, image)
            self._bands += [(image, band) for band in _chosen(image, requested)]
        self.names = distinct_names([_choices(*band) for band in self._bands], reserved=OWN_NAMES)

    def read(self, window: Window) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Read values and their validity mask, both (band, y, x); nodata of the band, NaN and masks are invalid."""
        values = np.empty((len(self._bands), *window.shape))
        valid = np.empty(values.shape, np.bool_)
        for k, (scene, band) in enumerate(self._bands):
            raster = scene.read(window, bands=[band.index])
            values[k], valid[k] = raster.values[0], raster.valid
            if band.scale != 1.0 or band.offset != 0.0:
                values[k] = values[k] * band.scale + band.offset
        return values, valid


def refuse_other_grid(classes: Scene, other: Scene) -> None:
    """Refuse an image on another grid, which would have to be resampled.

    Args:
        classes: the scene that defines the grid.
        other: the image.

    Raises:
        SceneError: ``other`` lies on another grid than ``classes``.
    """
    difference = grid_difference(classes.geobox, other.geobox)
    if difference is None and _placed(classes) != _placed(other):
        difference = "it is placed by other ground control points"
    if difference is not None:
        raise SceneError(
            other.uri,
            f"its grid is not that of {classes.uri}: {difference}.",
            f"Resample it: rio warp {other.uri} OUT.tif --like {classes.uri}",
        )


def _chosen(image: Scene, requested: Sequence[str]) -> list[SceneBand]:
    if not requested:
        return list(image.bands)
    known = {str(band.index): band for band in image.bands} | {band.name: band for band in image.bands}
    missing = [name for name in requested if name not in known]
    if missing:
        names = ", ".join(f"{band.index} ({band.name})" for band in image.bands)
        raise UsageError(f"{image.uri}: no band {', '.join(missing)}. Its bands are {names}.")
    return list(dict.fromkeys(known[name] for name in requested))


def _choices(scene: Scene, band: SceneBand) -> tuple[str, ...]:
    name = plain_name(band.description) or f"b{band.index}"
    return name, f"{plain_name(scene.stem) or 'image'}_{name}"


def _placed(scene: Scene) -> list[tuple[float, ...]]:
    return [(point.row, point.col, point.x, point.y) for point in scene.gcps]
