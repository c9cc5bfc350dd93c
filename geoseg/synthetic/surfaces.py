"""Surfaces of a town: lawns, meadows, soil, paving, asphalt and water."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from shapely.geometry.base import BaseGeometry

from geoseg.core.isprs_legend import CLUTTER, IMPERVIOUS, LOW_VEGETATION
from geoseg.synthetic.canvas import F32, Canvas, Colour, Spot, textured, tint
from geoseg.synthetic.style import Style, mixed


def local(spot: Spot, origin: npt.NDArray[np.float64], along: npt.NDArray[np.float64]) -> tuple[F32, F32]:
    """Turn a spot's coordinates into metres along and across a direction (unit vector x, y) from ``origin``."""
    dx, dy = spot.x - np.float32(origin[0]), spot.y - np.float32(origin[1])
    ax, ay = np.float32(along[0]), np.float32(along[1])
    return dx * ax + dy * ay, dy * ax - dx * ay


def cells(i: F32, j: F32) -> F32:
    """Hash integer cell numbers to uniform values in [0, 1): the tone of each slab or tile."""
    a = np.floor(i).astype(np.int64).astype(np.uint32) * np.uint32(73856093)
    b = np.floor(j).astype(np.int64).astype(np.uint32) * np.uint32(19349663)
    value = a ^ b
    value = (value ^ (value >> np.uint32(13))) * np.uint32(1274126177)
    return np.asarray(((value ^ (value >> np.uint32(16))) & np.uint32(0xFFFF)) / np.float32(65536), np.float32)


def lay_grass(canvas: Canvas, area: BaseGeometry, style: Style, rng: np.random.Generator, rough: float = 0.0) -> None:
    """Cover ``area`` with lawn (``rough`` 0) to tall meadow (``rough`` 1)."""
    if (found := canvas.cover(area)) is None:
        return
    spot, mask = found
    base = np.array(mixed(style.lawn, style.meadow, rough), np.float32) * rng.normal(1, 0.09)
    base *= 1 + rng.normal(0, 0.035, 4)
    patchy = rng.uniform(0.4, 1.3)
    dry = np.clip(0.4 * canvas.texture("broad", spot) + 0.35 * canvas.texture("mid", spot) - 0.75 + style.dryness, 0, 1)
    dry *= np.float32(patchy * 0.55)
    gain = (
        1 + (0.07 + 0.07 * rough) * canvas.texture("clod", spot) + (0.09 + 0.05 * rough) * canvas.texture("grain", spot)
    )
    gain += (0.05 + 0.04 * rough) * canvas.texture("mid", spot) + 0.05 * patchy * canvas.texture("broad", spot)
    if rough < 0.3 and rng.random() < 0.45:
        gain *= _mown(spot, rng, width_m=rng.uniform(0.45, 1.0), strength=rng.uniform(0.02, 0.055))
    elif rough > 0.4 and rng.random() < 0.5:
        gain *= _mown(spot, rng, width_m=rng.uniform(1.5, 3.0), strength=rng.uniform(0.05, 0.12))
    straw = tint("#b3a276", 0.36)
    colour = [(base[k] * (1 - dry) + straw[k] * dry) * gain for k in range(4)]
    canvas.paint(spot, mask, colour, LOW_VEGETATION)
    canvas.lift(spot, mask, (0.04 + 0.25 * rough) * (1 + 0.5 * canvas.texture("clod", spot)).clip(0.2))
    if rough > 0.4 and rng.random() < 0.5:
        _flowers(canvas, spot, mask, rng)


def _mown(spot: Spot, rng: np.random.Generator, *, width_m: float, strength: float) -> F32:
    heading = rng.uniform(0, np.pi)
    phase = (spot.x * np.float32(np.cos(heading)) + spot.y * np.float32(np.sin(heading))) * np.float32(np.pi / width_m)
    wave = np.tanh(2.5 * np.sin(phase + np.float32(rng.uniform(0, 6.28))))
    return np.asarray(1 + strength * wave, np.float32)


def _flowers(canvas: Canvas, spot: Spot, mask: npt.NDArray[np.bool_], rng: np.random.Generator) -> None:
    dense = canvas.texture("grain", spot) + 0.8 * canvas.texture("mid", spot) > rng.uniform(2.4, 3.2)
    canvas.paint(spot, mask & dense, tint(str(rng.choice(["#d9d3b8", "#d8c548", "#b08fb0"])), 0.45))


def lay_crop(
    canvas: Canvas, area: BaseGeometry, style: Style, rng: np.random.Generator, along: npt.NDArray[np.float64]
) -> None:
    """Cover ``area`` with rows of plants on soil: a field or a vegetable bed."""
    if (found := canvas.cover(area)) is None:
        return
    spot, mask = found
    _, across = local(spot, np.array(area.centroid.coords[0]), along)
    pitch, share = rng.uniform(0.45, 0.9), rng.uniform(0.2, 1.3)
    wobble = 0.25 * canvas.texture("clod", spot) + 0.35 * canvas.texture("grain", spot)
    green = np.clip(np.cos(across * np.float32(2 * np.pi / pitch)) * 1.3 + wobble + share, 0, 1)
    soil, leaf = style.soil, mixed(style.lawn, style.crowns[int(rng.integers(len(style.crowns)))], 0.5)
    gain = 1 + 0.1 * canvas.texture("grain", spot) + 0.05 * canvas.texture("broad", spot)
    canvas.paint(spot, mask, [(soil[k] * (1 - green) + leaf[k] * green) * gain for k in range(4)], LOW_VEGETATION)
    canvas.lift(spot, mask, 0.05 + 0.3 * green)


def lay_soil(canvas: Canvas, area: BaseGeometry, style: Style, label: int = CLUTTER) -> None:
    """Leave ``area`` bare: a building site or trodden earth."""
    if (found := canvas.cover(area)) is None:
        return
    spot, mask = found
    gain = (
        1
        + 0.1 * canvas.texture("clod", spot)
        + 0.09 * canvas.texture("grain", spot)
        + 0.12 * canvas.texture("mid", spot)
    )
    gain += 0.1 * canvas.texture("broad", spot)
    canvas.paint(spot, mask, textured(style.soil, gain), label)
    canvas.lift(spot, mask, (0.1 + 0.12 * canvas.texture("mid", spot)).clip(0))


def lay_paving(
    canvas: Canvas, area: BaseGeometry, colour: Colour, along: npt.NDArray[np.float64], rng: np.random.Generator
) -> None:
    """Pave ``area`` with slabs laid in rows along a direction."""
    if (found := canvas.cover(area)) is None:
        return
    spot, mask = found
    size = max(float(rng.choice([0.25, 0.4, 0.5, 0.6, 1.0])), 0.01)
    u, v = local(spot, np.array(area.centroid.coords[0]), along)
    row = np.floor(v / np.float32(size))
    column = u / np.float32(size * 1.5) + 0.5 * (row % 2)
    gain = (
        1
        + 0.06 * (cells(column, row) - 0.5)
        + 0.05 * canvas.texture("grain", spot)
        + 0.05 * canvas.texture("mid", spot)
    )
    gain += 0.06 * canvas.texture("broad", spot)
    if size > 2.2 * canvas.step_m:
        joint = (
            np.minimum(np.abs(v / np.float32(size) - row), np.abs(column - np.floor(column)) * 1.5) * np.float32(size)
            < 0.05
        )
        gain = np.where(joint, gain * 0.86, gain)
    canvas.paint(spot, mask, textured(colour, gain.astype(np.float32) * np.float32(rng.normal(1, 0.06))), IMPERVIOUS)
    canvas.lift(spot, mask, 0.12)


def lay_gravel(canvas: Canvas, area: BaseGeometry, rng: np.random.Generator) -> None:
    """Strew gravel on ``area``: paths and yards."""
    if (found := canvas.cover(area)) is None:
        return
    spot, mask = found
    gain = (
        1
        + 0.11 * canvas.texture("grain", spot)
        + 0.06 * canvas.texture("fine", spot)
        + 0.08 * canvas.texture("mid", spot)
    )
    colour = tint(str(rng.choice(["#b8ac98", "#a9a39a", "#c3b8a6"])), 0.36)
    canvas.paint(spot, mask, textured(colour, gain), IMPERVIOUS)
    canvas.lift(spot, mask, 0.03)


def lay_asphalt(canvas: Canvas, area: BaseGeometry, style: Style, rng: np.random.Generator, tone: float = 1.0) -> None:
    """Cover ``area`` with asphalt, worn and patched."""
    if (found := canvas.cover(area)) is None:
        return
    spot, mask = found
    gain = (
        1
        + 0.05 * canvas.texture("grain", spot)
        + 0.03 * canvas.texture("fine", spot)
        + 0.045 * canvas.texture("mid", spot)
    )
    gain += 0.06 * canvas.texture("broad", spot) + 0.05 * canvas.texture("wide", spot)
    stain = np.clip(canvas.texture("mid", spot)[::-1, ::-1] - 2.0, 0, 1) * np.float32(rng.uniform(0.05, 0.25))
    canvas.paint(spot, mask, textured(style.asphalt, tone * gain * (1 - stain)), IMPERVIOUS)
    canvas.lift(spot, mask, 0.0)


def pour_water(canvas: Canvas, area: BaseGeometry, style: Style, rng: np.random.Generator) -> None:
    """Fill ``area`` with open water and give it a bank."""
    bank = area.buffer(rng.uniform(0.6, 1.8)).difference(area)
    if (edge := canvas.cover(bank)) is not None:
        spot, mask = edge
        gain = 1 + 0.14 * canvas.texture("clod", spot) + 0.12 * canvas.texture("grain", spot)
        wild = mixed(style.meadow, style.soil, 0.35)
        canvas.paint(spot, mask, textured(wild, gain * 0.85), LOW_VEGETATION)
        canvas.lift(spot, mask, 0.2 + 0.15 * canvas.texture("clod", spot).clip(-1))
    if (found := canvas.cover(area)) is None:
        return
    spot, mask = found
    colour = tint(str(rng.choice(["#2e3d3a", "#36443a", "#24343c", "#41493a"])), 0.012)
    gain = (
        1
        + 0.1 * canvas.texture("broad", spot)
        + 0.06 * canvas.texture("mid", spot)
        + 0.03 * canvas.texture("clod", spot)
    )
    glint = 0.0025 * np.clip(canvas.texture("clod", spot) + 0.5 * canvas.texture("grain", spot) - 0.8, 0, 3)
    canvas.paint(spot, mask, [colour[k] * gain + glint for k in range(4)], CLUTTER)
    canvas.lift(spot, mask, -0.6)
