"""A reduced view of a whole scene, for previews and for statistics over the scene."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from geoseg.core.raster import Raster
from geoseg.core.window import Window
from geoseg.io.raster.scene import Scene

_BAND_OF_PIXELS = 16_000_000


def overview(scene: Scene, max_px: int, bands: Sequence[int]) -> Raster:
    """Read every n-th pixel of a scene, so that its longer side has at most ``max_px`` pixels.

    Pixels are decimated, not averaged: a mean would mix in nodata and narrow the spread of values.

    Args:
        scene: the scene; read once, in strips of rows, with bounded memory.
        max_px: longest side of the view.
        bands: 1-based band numbers.
    """
    height, width = (int(n) for n in scene.geobox.shape)
    step = max(1, -(-max(height, width) // max_px))
    rows = max(step, _BAND_OF_PIXELS // width // step * step)
    parts = [
        _thinned(scene.read(Window(top, min(top + rows, height), 0, width), bands), step)
        for top in range(0, height, rows)
    ]
    values: npt.NDArray[np.generic] = np.concatenate([part for part, _ in parts], axis=1)
    valid = np.concatenate([part for _, part in parts])
    return Raster(values=values, valid=valid, geobox=scene.geobox.zoom_to(valid.shape))


def _thinned(raster: Raster, step: int) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.bool_]]:
    """Copy every n-th pixel, since a view would keep all pixels in memory."""
    return raster.values[:, ::step, ::step].copy(), raster.valid[::step, ::step].copy()
