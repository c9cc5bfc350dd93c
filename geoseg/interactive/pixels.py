"""Windows of a scene as the input of an interactive network, at the scene's own resolution."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import shapely
import torch
from torch import Tensor

from geoseg.core.card import GsdRange, ModelCard
from geoseg.core.spec import PredictSpec
from geoseg.core.window import Window
from geoseg.inference.match import ReadPlan, match
from geoseg.io.raster.scene import Scene

LEAST_PX, MOST_PX = 400, 1600
"""Least and most pixels on a side of the window that an answer is computed on."""

_AROUND = 1.4


def own_pixels(scene: Scene, card: ModelCard, spec: PredictSpec | None = None) -> ReadPlan:
    """Plan the reading of a scene's own pixels: what is clicked on is not brought to the resolution of the model.

    Raises:
        MatchError: the scene lacks bands that the model needs, or its values have no known scale.
    """
    return match(scene, card.model_copy(update={"gsd_m": GsdRange(min=1e-9, max=1e9)}), spec)


def read_window(scene: Scene, plan: ReadPlan, window: Window) -> tuple[Tensor, npt.NDArray[np.bool_]]:
    """Read a window.

    Returns:
        (C, y, x), normalised, 0 where the scene has no value, and (y, x) True where it has one.

    Raises:
        SceneError: the scene is damaged there.
    """
    raster = scene.read(window, plan.bands)
    return torch.from_numpy(plan.normalise(raster.values, raster.valid)), raster.valid


def covering(scene: Scene, shape: shapely.Geometry) -> Window:
    """Return the smallest window of pixels that covers a shape of the scene's CRS; it may leave the scene."""
    points = shapely.get_coordinates(shapely.box(*shapely.bounds(shape)))
    cols, rows = ~scene.geobox.transform * (points[:, 0], points[:, 1])
    return Window(math.floor(rows.min()), math.ceil(rows.max()), math.floor(cols.min()), math.ceil(cols.max()))


def surroundings(around: Window, extent: Window) -> Window:
    """Grow a window by its surroundings, to at least ``LEAST_PX`` and at most ``MOST_PX`` a side, inside a scene."""
    rows = _grown((around.row_start, around.row_stop), extent.height)
    cols = _grown((around.col_start, around.col_stop), extent.width)
    return Window(*rows, *cols)


def _grown(side: tuple[int, int], length: int) -> tuple[int, int]:
    wanted = min(length, MOST_PX, max(LEAST_PX, math.ceil(_AROUND * (side[1] - side[0]))))
    start = min(max(0, (side[0] + side[1] - wanted) // 2), length - wanted)
    return start, start + wanted
