"""Shape of the objects of a scene: sums over their pixels, and the ellipse with the same second moments."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

from geoseg.core.ground import pixel_sides_m
from geoseg.core.window import Window
from geoseg.vector.kernel import kernel

F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


class PixelSums(NamedTuple):
    """Sums over the pixels of each label; integers, so that no order of adding matters.

    Attributes:
        pixels: number of pixels.
        last: number of the last pixel, row * scene width + column; -1 without any.
        moments: (label, 5) sums of row, column, row squared, row times column, column squared.
        cut: True if a pixel lies at the scene's edge or next to a pixel that was not predicted.
    """

    pixels: I64
    last: I64
    moments: I64
    cut: Bools

    @classmethod
    def empty(cls, labels: int) -> PixelSums:
        """Make sums of nothing for labels 0 to ``labels - 1``."""
        return cls(
            np.zeros(labels, np.int64),
            np.full(labels, -1, np.int64),
            np.zeros((labels, 5), np.int64),
            np.zeros(labels, np.bool_),
        )

    def take(self, labels: npt.NDArray[np.intp] | I64) -> PixelSums:
        """Return the sums of some labels."""
        return PixelSums(self.pixels[labels], self.last[labels], self.moments[labels], self.cut[labels])


def add_pixels(sums: PixelSums, labels: I32, window: Window, valid: Bools, scene_width: int) -> None:
    """Add the pixels of a window.

    Args:
        sums: they are added here.
        labels: (y, x) over ``window``.
        window: of the scene.
        valid: (y + 2, x + 2) predicted pixels, with one pixel around; False outside the scene.
        scene_width: columns of the scene.
    """
    _add(sums, labels, valid, (window.row_start, window.col_start, scene_width))


@kernel
def _add(sums: PixelSums, labels: I32, valid: Bools, place: tuple[int, int, int]) -> None:
    row0, col0, width = place
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            k = labels[i, j]
            if k == 0:
                continue
            row, col = np.int64(row0 + i), np.int64(col0 + j)
            sums.pixels[k] += 1
            sums.last[k] = max(sums.last[k], row * width + col)
            sums.moments[k, 0] += row
            sums.moments[k, 1] += col
            sums.moments[k, 2] += row * row
            sums.moments[k, 3] += row * col
            sums.moments[k, 4] += col * col
            if not (valid[i, j + 1] and valid[i + 2, j + 1] and valid[i + 1, j] and valid[i + 1, j + 2]):
                sums.cut[k] = True


class Ellipses(NamedTuple):
    """Ellipses with the second moments of objects, on the ground.

    Attributes:
        major_m: (object,) length of the major axis, metres.
        minor_m: (object,) length of the minor axis.
        orientation_deg: (object,) direction of the major axis, clockwise from the north of the grid, 0 to below 180.
        area_m2: (object,) pixels times the area of the pixel in the middle.
    """

    major_m: F64
    minor_m: F64
    orientation_deg: F64
    area_m2: F64


def ellipses_of(sums: PixelSums, geobox: GeoBox) -> Ellipses:
    """Measure the objects of a grid; ``sums`` are of objects with at least one pixel.

    Source:
        Burger and Burge 2016, Digital Image Processing, section 10.5; scikit-image's ``regionprops`` adds 1 / 12 too.
    """
    count = sums.pixels.astype(np.float64)
    row, col = (sums.moments[:, k] / count for k in (0, 1))
    rr, rc, cc = (
        sums.moments[:, k] / count - product + square
        for k, product, square in ((2, row * row, 1 / 12), (3, row * col, 0.0), (4, col * col, 1 / 12))
    )
    down_m, right_m, area_m2 = (np.nan_to_num(side) for side in pixel_sides_m(geobox, row + 0.5, col + 0.5))
    t = geobox.transform
    # a step along a row and one along a column, on the ground, with x to the east and y to the north of the grid
    along = np.hypot(t.a, t.d), np.hypot(t.b, t.e)
    right = np.stack([right_m * t.a / along[0], right_m * t.d / along[0]])
    down = np.stack([down_m * t.b / along[1], down_m * t.e / along[1]])
    xx = cc * right[0] ** 2 + 2 * rc * right[0] * down[0] + rr * down[0] ** 2
    yy = cc * right[1] ** 2 + 2 * rc * right[1] * down[1] + rr * down[1] ** 2
    xy = cc * right[0] * right[1] + rc * (right[0] * down[1] + right[1] * down[0]) + rr * down[0] * down[1]
    mean, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    east = 0.5 * np.arctan2(2 * xy, xx - yy)
    return Ellipses(
        major_m=4 * np.sqrt(mean + spread),
        minor_m=4 * np.sqrt(np.maximum(mean - spread, 0)),
        orientation_deg=np.mod(90 - np.rad2deg(east), 180),
        area_m2=count * area_m2,
    )
