"""Light on a town: cast shadows, sky light and the camera."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from geoseg.synthetic.canvas import F32, Canvas
from geoseg.synthetic.style import Style

_SKY = np.array([0.17, 0.205, 0.27, 0.14], np.float32)
_SUN = np.array([1.0, 0.97, 0.9, 1.0], np.float32)


def shadow_height(height: F32, sun: tuple[float, float, float], step_m: float) -> F32:
    """Find how high the shadow of everything sunward stands above each sample, metres.

    A shadow falls where the result exceeds ``height``. The ray is walked one row (or column) at a time in a
    sheared copy, so that one running maximum serves the whole picture.
    """
    down, right, up = sun
    if abs(right) > abs(down):
        return np.ascontiguousarray(shadow_height(height.T, (right, down, up), step_m).T)
    flip = down > 0
    source = height[::-1] if flip else height
    rows, cols = source.shape
    drop = step_m / abs(down) * up
    shift = np.rint(np.arange(rows) * (-right / abs(down))).astype(np.int64)
    shift -= shift.min()
    last = int(shift.max())
    running = np.zeros(cols + last + 1, np.float32)
    out = np.empty_like(source)
    for row in range(rows):
        running -= np.float32(drop)
        lane = running[last - shift[row] :][:cols]
        out[row] = lane
        np.maximum(lane, source[row], out=lane)
    return out[::-1] if flip else out


def expose(canvas: Canvas, style: Style, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Light the canvas and take its picture: (4, y, x) uint8 at half the sample density, margin included."""
    shadow = shadow_height(canvas.height, style.sun, canvas.step_m)
    shadow -= canvas.height
    lit = 1 - np.clip(shadow / 0.14, 0, 1)
    lit *= np.maximum(canvas.lambert, 0)
    del shadow
    sky = _openness(canvas)
    bands = []
    for band in range(4):
        light = lit * _SUN[band]
        light += sky * (_SKY[band] * np.float32(style.sky))
        light *= canvas.albedo[band]
        bands.append(_pixels(light))
    grey = (bands[0] + bands[1] + bands[2]) / np.float32(3)
    # The three colours of a camera overlap, so that no leaf or tile is as pure as its pigment.
    mixed = [band + (grey - band) * np.float32(style.overlap) for band in bands[:3]]
    return np.stack([_develop(light, style, band, rng) for band, light in enumerate([*mixed, bands[3]])])


def _openness(canvas: Canvas) -> F32:
    """Share of the sky that each sample sees, from how far its surroundings rise above it."""
    near = ndimage.uniform_filter(canvas.height, max(3, round(0.7 / canvas.step_m)))
    far = ndimage.uniform_filter(canvas.height[::2, ::2], max(3, round(3.5 / canvas.step_m / 2)))
    far = ndimage.uniform_filter(far, max(3, round(2.5 / canvas.step_m / 2)))
    far = np.repeat(np.repeat(far, 2, 0), 2, 1)[: canvas.shape[0], : canvas.shape[1]]
    rise = np.clip(near - canvas.height, 0, None) * 0.5 + np.clip(far - canvas.height, 0, None) * 0.16
    openness: F32 = (1 / (1 + rise)).astype(np.float32)
    return openness


def _pixels(values: F32) -> F32:
    """Gather samples into pixels with a tent of two pixels; sample ``2 i + 1`` is the centre of pixel ``i``."""
    rows = values[1:-1:2] * 0.5 + (values[:-2:2] + values[2::2]) * 0.25
    return np.asarray(rows[:, 1:-1:2] * 0.5 + (rows[:, :-2:2] + rows[:, 2::2]) * 0.25, np.float32)


def _develop(light: F32, style: Style, band: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    if style.blur_px > 0.05:
        light = ndimage.gaussian_filter(light, style.blur_px, truncate=3)
    light = light * np.float32(style.gain[band]) + np.float32(style.haze[band])
    # A shoulder keeps white roofs from clipping hard, as an aerial camera's processing does.
    light = light / (1 + 0.16 * light * light)
    value = 255 * np.clip(light, 0, 1) ** np.float32(1 / style.gamma)
    value += rng.standard_normal(value.shape, np.float32) * np.float32(style.noise)
    return np.clip(np.rint(value), 0, 255).astype(np.uint8)
