"""The drawing surface of a town: reflectance, height, slope and labels, sampled at twice the pixel density.

Samples lie half a pixel apart and every second one is a pixel centre, so that the labels are exact at pixel
centres while the picture is anti-aliased by the samples around them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from geoseg.core.isprs_legend import THINGS

F32 = npt.NDArray[np.floating]
Bool = npt.NDArray[np.bool_]
Colour = tuple[float, float, float, float]
"""Linear reflectance in red, green, blue and near infrared, each in [0, 1]."""


def tint(colour: str, nir: float) -> Colour:
    """Turn a display colour (``#rrggbb``, sRGB) and a near-infrared reflectance into a reflectance."""
    red, green, blue = ((int(colour[i : i + 2], 16) / 255) ** 2.2 for i in (1, 3, 5))
    return red, green, blue, nir


@dataclass(frozen=True, slots=True)
class Spot:
    """A window of the canvas with its sample coordinates, metres.

    Attributes:
        index: rows and columns of the canvas.
        y: (n, 1) float32, metres down from the town's top-left corner.
        x: (1, m) float32, metres right.
    """

    index: tuple[slice, slice]
    y: F32
    x: F32

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) in samples."""
        return self.y.shape[0], self.x.shape[1]


@dataclass(slots=True)
class Canvas:
    """Reflectance, height and labels of the town before lighting; mutable while the town is drawn.

    Attributes:
        shape: (rows, columns) in samples, margin included.
        step_m: distance between samples.
        margin_m: ground drawn beyond the picture on each side, for the shadows that fall into it.
        albedo: (4, y, x) float32 reflectance in red, green, blue, near infrared.
        height: (y, x) float32 metres above the terrain.
        lambert: (y, x) float32 sunlight per area, 1 on level ground.
        labels: (y, x) uint8 codes of the legend.
        objects: (y, x) int32 numbers of buildings, trees and cars, 0 elsewhere.
        number: number of the one that is being drawn.
        noise: textures of the whole canvas by name, each (y, x) float32, mean 0, deviation 1.
    """

    shape: tuple[int, int]
    step_m: float
    margin_m: float
    albedo: F32 = field(init=False)
    height: F32 = field(init=False)
    lambert: F32 = field(init=False)
    labels: npt.NDArray[np.uint8] = field(init=False)
    objects: npt.NDArray[np.int32] = field(init=False)
    number: int = 0
    noise: dict[str, F32] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.albedo = np.zeros((4, *self.shape), np.float32)
        self.height = np.zeros(self.shape, np.float32)
        self.lambert = np.ones(self.shape, np.float32)
        self.labels = np.zeros(self.shape, np.uint8)
        self.objects = np.zeros(self.shape, np.int32)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of everything drawn, metres."""
        return (
            -self.margin_m,
            -self.margin_m,
            self.shape[1] * self.step_m - self.margin_m,
            self.shape[0] * self.step_m - self.margin_m,
        )

    def add_noise(self, rng: np.random.Generator) -> None:
        """Draw the textures: ``fine`` per sample, ``grain`` 0.14 m, and the smooth ones by their cell."""
        fine = rng.standard_normal(self.shape, np.float32)
        grain = ndimage.uniform_filter(fine, max(2, round(0.14 / self.step_m)))
        self.noise = {"fine": fine, "grain": grain / grain.std()}
        for name, cell_m in (("clod", 0.35), ("mid", 1.2), ("broad", 5.0), ("wide", 18.0)):
            self.noise[name] = _smooth_noise(rng, self.shape, max(cell_m / self.step_m, 1.5))

    def spot(self, bounds: tuple[float, float, float, float]) -> Spot | None:
        """Find the window that covers ``bounds`` (left, top, right, bottom, metres); None outside the canvas."""
        left, top, right, bottom = ((b + self.margin_m) / self.step_m for b in bounds)
        r0, r1 = max(0, int(np.floor(top))), min(self.shape[0], int(np.ceil(bottom)) + 1)
        c0, c1 = max(0, int(np.floor(left))), min(self.shape[1], int(np.ceil(right)) + 1)
        if r0 >= r1 or c0 >= c1:
            return None
        y = (np.arange(r0, r1, dtype=np.float64) * self.step_m - self.margin_m).astype(np.float32)
        x = (np.arange(c0, c1, dtype=np.float64) * self.step_m - self.margin_m).astype(np.float32)
        return Spot((slice(r0, r1), slice(c0, c1)), y[:, None], x[None, :])

    def whole(self) -> Spot:
        """Cover the canvas with one window."""
        spot = self.spot(self.bounds)
        assert spot is not None  # noqa: S101 - the canvas meets itself
        return spot

    def cover(self, geometry: BaseGeometry) -> tuple[Spot, Bool] | None:
        """Rasterise polygons by the even-odd rule, exactly at the sample points; None where they miss the canvas."""
        if geometry.is_empty or (spot := self.spot(geometry.bounds)) is None:
            return None
        rows, cols = spot.shape
        flips = np.zeros((rows, cols + 1), np.uint8)
        top, left = (part.start * self.step_m - self.margin_m for part in spot.index)
        for ring in _rings(geometry):
            xy = (ring - (left, top)) / self.step_m
            for (xa, ya), (xb, yb) in pairwise(xy):
                _toggle(flips, (xa, ya), (xb, yb))
        mask = np.bitwise_xor.accumulate(flips, axis=1)[:, :cols].astype(bool)
        return (spot, mask) if mask.any() else None

    def texture(self, name: str, spot: Spot) -> F32:
        """Cut a window from one of the textures."""
        return self.noise[name][spot.index]

    def paint(self, spot: Spot, mask: Bool, colour: Any, label: int | None = None) -> None:
        """Lay a reflectance (four numbers or four arrays shaped as the spot) and a label on the masked samples."""
        for band in range(4):
            target = self.albedo[band][spot.index]
            value = colour[band]
            np.copyto(
                target, value.astype(np.float32) if isinstance(value, np.ndarray) else np.float32(value), where=mask
            )
        if label is not None:
            self.mark(spot, mask, label)

    def mark(self, spot: Spot, mask: Bool, label: int) -> None:
        """Lay a label, and the number of what is being drawn, on the masked samples."""
        self.labels[spot.index][mask] = label
        self.objects[spot.index][mask] = self.number if label in THINGS else 0

    def shade(self, spot: Spot, mask: Bool, factor: Any) -> None:
        """Multiply the reflectance of the masked samples."""
        gain = np.where(mask, factor, 1.0).astype(np.float32)
        for band in range(4):
            self.albedo[band][spot.index] *= gain

    def lift(self, spot: Spot, mask: Bool, height: Any, lambert: Any = 1.0) -> None:
        """Set height (metres) and light of the masked samples."""
        np.copyto(self.height[spot.index], np.asarray(height, np.float32), where=mask)
        np.copyto(self.lambert[spot.index], np.asarray(lambert, np.float32), where=mask)


def textured(colour: Colour, gain: Any) -> tuple[Any, Any, Any, Any]:
    """Multiply a reflectance by a texture, band by band."""
    red, green, blue, nir = (np.float32(value) * gain for value in colour)
    return red, green, blue, nir


def _rings(geometry: BaseGeometry) -> list[npt.NDArray[np.float64]]:
    polygons = [p for p in shapely.get_parts(geometry) if p.geom_type == "Polygon"]
    return [np.asarray(ring.coords)[:, :2] for p in polygons for ring in (p.exterior, *p.interiors)]


def _toggle(flips: npt.NDArray[np.uint8], start: tuple[float, float], end: tuple[float, float]) -> None:
    # Half-open in y, so that a vertex shared by two edges counts once.
    (xa, ya), (xb, yb) = (start, end) if start[1] <= end[1] else (end, start)
    first, last = max(0, int(np.ceil(ya))), min(flips.shape[0], int(np.ceil(yb)))
    if first >= last:
        return
    row = np.arange(first, last)
    col = np.ceil(xa + (row - ya) * (xb - xa) / (yb - ya)).clip(0, flips.shape[1] - 1).astype(np.int64)
    flips[row, col] ^= 1


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> F32:
    coarse = rng.standard_normal((int(shape[0] / cell) + 5, int(shape[1] / cell) + 5), np.float32)
    for axis, size in enumerate(shape):
        coarse = _spline(coarse, size, cell, axis)
    # Two octaves more would cost time; the cubic B-spline keeps a third of the variance.
    return coarse / np.float32(0.48)


def _spline(values: F32, size: int, cell: float, axis: int) -> F32:
    position = np.arange(size) / cell
    base = position.astype(np.int64)
    t = (position - base).astype(np.float32)
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    lane = (-1, 1) if axis == 0 else (1, -1)
    out = np.zeros((size, values.shape[1]) if axis == 0 else (values.shape[0], size), np.float32)
    for offset, weight in enumerate(weights):
        out += np.take(values, base + offset, axis=axis) * (weight / 6).reshape(lane)
    return out
