"""Roofs: gable, hip, shed and flat, with ridges, tiles, chimneys, dormers, windows and solar panels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geoseg.core.isprs_legend import BUILDING
from geoseg.synthetic.canvas import F32, Bool, Canvas, Colour, Spot, textured, tint
from geoseg.synthetic.plan import oriented_box
from geoseg.synthetic.stock import House
from geoseg.synthetic.style import Style, mixed
from geoseg.synthetic.surfaces import cells, local


@dataclass(frozen=True, slots=True)
class _Shape:
    """A roof on its spot: coordinates along and across, height, gradient (along, across) and distance to the eave."""

    u: F32
    v: F32
    height: F32
    slope_u: F32
    slope_v: F32
    inward: F32
    ridge: Bool


def draw_house(canvas: Canvas, house: House, style: Style, rng: np.random.Generator) -> None:
    """Draw one wing; where wings overlap, the higher roof shows."""
    spot = canvas.spot(oriented_box(house.centre, house.along, *house.size).bounds)
    if spot is None:
        return
    shape = _shape(house, spot)
    half_u, half_v = house.size[0] / 2, house.size[1] / 2
    mask = (np.abs(shape.u) < half_u) & (np.abs(shape.v) < half_v) & (shape.height > canvas.height[spot.index])
    if not mask.any():
        return
    colour = (
        style.flats[house.roof.paint % len(style.flats)]
        if house.roof.form == "flat"
        else style.roofs[house.roof.paint % len(style.roofs)]
    )
    light = _lambert(house, style, shape.slope_u, shape.slope_v)
    skin = _membrane(canvas, spot, house, shape, rng) if house.roof.form == "flat" else _tiles(canvas, spot, shape, rng)
    canvas.paint(spot, mask, textured(colour, skin), BUILDING)
    canvas.lift(spot, mask, shape.height, light)
    if house.roof.form == "flat":
        _parapet(canvas, (spot, mask), house, shape, rng)
        _equip(canvas, house, style, rng)
    else:
        _trim(canvas, (spot, mask), shape, colour, rng)
        _furnish(canvas, house, style, rng)


def _shape(house: House, spot: Spot) -> _Shape:
    u, v = local(spot, house.centre, house.along)
    half_u, half_v, pitch = np.float32(house.size[0] / 2), np.float32(house.size[1] / 2), np.float32(house.roof.pitch)
    to_side, to_end = half_v - np.abs(v), half_u - np.abs(u)
    zero = np.zeros_like(u)
    if house.roof.form == "gable":
        return _Shape(u, v, house.roof.eave_m + pitch * to_side, zero, -pitch * np.sign(v), to_side, np.abs(v) < 0.15)
    if house.roof.form == "hip":
        end = to_end < to_side
        edge = (np.abs(to_end - to_side) < 0.15) | (np.abs(v) < 0.15)
        rise = house.roof.eave_m + pitch * np.minimum(to_side, to_end)
        return _Shape(
            u,
            v,
            rise,
            np.where(end, -pitch * np.sign(u), 0),
            np.where(end, 0, -pitch * np.sign(v)),
            np.minimum(to_side, to_end),
            edge,
        )
    if house.roof.form == "shed":
        return _Shape(
            u, v, house.roof.eave_m + pitch * (v + half_v), zero, zero + pitch, v + half_v, np.zeros(u.shape, bool)
        )
    return _Shape(u, v, zero + house.roof.eave_m, zero, zero, np.minimum(to_side, to_end), np.zeros(u.shape, bool))


def _lambert(house: House, style: Style, slope_u: F32, slope_v: F32) -> F32:
    down, right, up = style.sun
    ax, ay = house.along
    sun_u, sun_v = right * ax + down * ay, down * ax - right * ay
    facing = (up - slope_u * sun_u - slope_v * sun_v) / (up * np.sqrt(1 + slope_u**2 + slope_v**2))
    return np.asarray(np.clip(facing, 0, 1.7), np.float32)


def _tiles(canvas: Canvas, spot: Spot, shape: _Shape, rng: np.random.Generator) -> F32:
    row, column = rng.choice([0.3, 0.34, 0.38]), rng.choice([0.24, 0.3])
    aged = rng.uniform(0.4, 1.6)
    slopes_along = np.abs(shape.slope_u) > 0
    course = np.where(slopes_along, shape.v, shape.u)
    gain = 1 + 0.04 * aged * canvas.texture("mid", spot) + 0.05 * aged * canvas.texture("broad", spot)
    gain += 0.025 * canvas.texture("grain", spot) + 0.035 * aged * canvas.texture("clod", spot)
    gain += 0.1 * (cells(course / np.float32(column), shape.inward / np.float32(row)) - 0.5)
    if row > 2.5 * canvas.step_m:
        gain *= 1 - 0.085 * np.cos(shape.inward * np.float32(2 * np.pi / row))
        gain *= 1 - 0.035 * np.cos(course * np.float32(2 * np.pi / column))
    gain -= 0.05 * aged * np.clip(1 - shape.inward / 1.2, 0, 1)
    side = np.sign(shape.slope_v) * 0.02 * rng.normal() + np.sign(shape.slope_u) * 0.02 * rng.normal()
    return np.asarray(gain + side, np.float32)


def _trim(canvas: Canvas, body: tuple[Spot, Bool], shape: _Shape, colour: Colour, rng: np.random.Generator) -> None:
    spot, mask = body
    canvas.shade(spot, mask & shape.ridge, float(rng.choice([1.16, 1.22, 0.84])) + 0.08 * np.sign(np.sin(shape.u * 16)))
    gutter = mask & (shape.inward < 0.13)
    canvas.paint(spot, gutter, mixed(tint(str(rng.choice(["#a7a9a8", "#8f7a66", "#77797a"])), 0.2), colour, 0.25))


def _membrane(canvas: Canvas, spot: Spot, house: House, shape: _Shape, rng: np.random.Generator) -> F32:
    gain = 1 + 0.05 * canvas.texture("mid", spot) + 0.07 * canvas.texture("broad", spot)
    kind = rng.choice(["gravel", "sheet", "metal"])
    if kind == "gravel":
        gain += 0.06 * canvas.texture("grain", spot) + 0.03 * canvas.texture("clod", spot)
    elif kind == "sheet":
        pitch = np.float32(rng.choice([1.0, 1.0, 2.0]))
        lane = np.floor(shape.v / pitch)
        gain += 0.05 * (cells(lane, np.floor(shape.u / 7.5 + lane * 0.37)) - 0.5)
        gain = np.where(np.abs(shape.v - lane * pitch) < 0.07, gain * 0.9, gain)
    else:
        gain += 0.07 * np.cos(shape.v * np.float32(2 * np.pi / rng.choice([0.35, 0.5, 0.6])))
    puddle = np.clip(canvas.texture("broad", spot)[::-1] + 0.4 * canvas.texture("mid", spot) - 1.5, 0, 1)
    return np.asarray(gain * (1 - 0.22 * puddle), np.float32)


def _parapet(canvas: Canvas, body: tuple[Spot, Bool], house: House, shape: _Shape, rng: np.random.Generator) -> None:
    spot, mask = body
    rim = mask & (shape.inward < 0.32)
    canvas.paint(spot, rim, tint(str(rng.choice(["#c3c3c0", "#9da09f", "#dddcd8", "#86837f"])), 0.3))
    canvas.lift(spot, rim, house.roof.eave_m + rng.uniform(0.15, 0.7))


def _part(
    canvas: Canvas, house: House, at: tuple[float, float], size: tuple[float, float]
) -> tuple[Spot, F32, F32, Bool] | None:
    """Find a rectangle of the roof: spot, coordinates from the rectangle's middle, and its samples."""
    ax, ay = house.along
    centre = house.centre + at[0] * house.along + at[1] * np.array([-ay, ax])
    if (spot := canvas.spot(oriented_box(centre, house.along, *size).bounds)) is None:
        return None
    u, v = local(spot, centre, house.along)
    inside = (np.abs(u) < size[0] / 2) & (np.abs(v) < size[1] / 2) & (canvas.labels[spot.index] == BUILDING)
    return spot, u, v, inside


def _box(
    canvas: Canvas, house: House, at: tuple[float, float], size: tuple[float, float, float], colour: Colour
) -> None:
    if (found := _part(canvas, house, at, size[:2])) is None:
        return
    spot, u, v, inside = found
    if not inside.any():
        return
    top = float(canvas.height[spot.index][inside].max()) + size[2]
    canvas.paint(spot, inside, textured(colour, 1 + 0.05 * canvas.texture("grain", spot)))
    canvas.lift(spot, inside, top)
    core = inside & (np.abs(u) < size[0] / 2 - 0.13) & (np.abs(v) < size[1] / 2 - 0.13)
    canvas.shade(spot, core, 0.8)


def _pane(canvas: Canvas, house: House, at: tuple[float, float], size: tuple[float, float], glass: Colour) -> None:
    if (found := _part(canvas, house, at, size)) is None:
        return
    spot, u, v, inside = found
    canvas.paint(spot, inside, tint("#8b8d8f", 0.25))
    core = inside & (np.abs(u) < size[0] / 2 - 0.08) & (np.abs(v) < size[1] / 2 - 0.08)
    canvas.paint(spot, core, textured(glass, 1 + 0.35 * (u + v) / (size[0] + size[1])))


def _furnish(canvas: Canvas, house: House, style: Style, rng: np.random.Generator) -> None:
    long, wide = house.size
    if long < 6.5 or house.roof.form == "shed":
        return
    side = float(rng.choice([-1, 1]))
    if house.roof.form == "gable" and rng.random() < 0.35:
        for at in np.arange(-long / 2 + 2.2, long / 2 - 2, rng.uniform(3.2, 4.6)):
            _dormer(canvas, house, style, (float(at), side * wide * 0.27), rng)
    glass = tint(str(rng.choice(["#39485a", "#525f6c", "#9fb2c0", "#2b3440"])), 0.06)
    for _ in range(int(rng.integers(0, 4))):
        at = (float(rng.uniform(-0.4, 0.4) * long), float(rng.choice([-1, 1]) * rng.uniform(0.16, 0.3) * wide))
        _pane(canvas, house, at, (rng.uniform(0.75, 1.0), rng.uniform(0.9, 1.3)), glass)
    if rng.random() < 0.22 and wide > 7:
        _solar(canvas, house, -side, rng)
    for _ in range(max(1, int(long / 12))):
        at = (float(rng.uniform(-0.38, 0.38) * long), float(rng.uniform(-0.16, 0.16) * wide))
        brick = tint(str(rng.choice(["#8c5a49", "#a59c92", "#6b625e", "#b7b2aa"])), 0.25)
        _box(canvas, house, at, (rng.uniform(0.5, 1.1), rng.uniform(0.45, 0.7), rng.uniform(0.5, 1.1)), brick)


def _dormer(canvas: Canvas, house: House, style: Style, at: tuple[float, float], rng: np.random.Generator) -> None:
    colour = style.roofs[house.roof.paint % len(style.roofs)]
    width, depth = rng.uniform(1.6, 2.2), house.size[1] * 0.36
    if (found := _part(canvas, house, at, (width, depth))) is None:
        return
    spot, u, _, inside = found
    pitch = np.float32(0.7)
    top = house.roof.eave_m + house.roof.pitch * house.size[1] * 0.36
    height = top - pitch * np.abs(u)
    inside &= height > canvas.height[spot.index]
    light = _lambert(house, style, (-pitch * np.sign(u)).astype(np.float32), np.zeros_like(u))
    gain = 1 + 0.06 * canvas.texture("grain", spot) + 0.05 * canvas.texture("clod", spot)
    canvas.paint(spot, inside, textured(colour, gain * (0.96 + 0.12 * (np.abs(u) < 0.12))))
    canvas.lift(spot, inside, height, light)


def _solar(canvas: Canvas, house: House, side: float, rng: np.random.Generator) -> None:
    long, wide = house.size
    size = (long * rng.uniform(0.35, 0.8), wide / 2 * rng.uniform(0.45, 0.75))
    if (found := _part(canvas, house, (float(rng.uniform(-0.06, 0.06)) * long, side * wide / 4), size)) is None:
        return
    spot, u, v, inside = found
    frame = (np.mod(u, 1.02) < 0.06) | (np.mod(v + size[1] / 2, 1.4) < 0.06)
    base = tint(str(rng.choice(["#1f2a3d", "#23262c", "#2c3a52"])), 0.05)
    canvas.paint(spot, inside, textured(base, 1 + 0.1 * canvas.texture("clod", spot)))
    canvas.paint(spot, inside & frame, tint("#6d7680", 0.12))


def _equip(canvas: Canvas, house: House, style: Style, rng: np.random.Generator) -> None:
    long, wide = house.size
    if min(long, wide) < 6:
        return
    number = int(long * wide / 60 * rng.uniform(0.4, 1.3)) + 1
    for _ in range(min(number, 16)):
        at = (float(rng.uniform(-0.42, 0.42) * long), float(rng.uniform(-0.4, 0.4) * wide))
        chance = rng.random()
        if chance < 0.5:
            _pane(canvas, house, at, (1.2, 1.2), tint(str(rng.choice(["#c9d4da", "#e3e7e8", "#6f7f8a"])), 0.2))
        elif chance < 0.85:
            grey = tint(str(rng.choice(["#b9bbbb", "#8d8f90", "#d3d3d0"])), 0.3)
            _box(canvas, house, at, (rng.uniform(0.7, 2.2), rng.uniform(0.7, 1.8), rng.uniform(0.5, 1.4)), grey)
        else:
            hut = style.flats[(house.roof.paint + 1) % len(style.flats)]
            _box(canvas, house, at, (rng.uniform(2.4, 4), rng.uniform(2.4, 4), rng.uniform(2.2, 2.8)), hut)
    if rng.random() < 0.25:
        for row in np.arange(-wide / 2 + 2.5, wide / 2 - 2.5, 2.6):
            _panel_row(canvas, house, float(row), rng)


def _panel_row(canvas: Canvas, house: House, row: float, rng: np.random.Generator) -> None:
    size = (house.size[0] * 0.7, 1.1)
    if (found := _part(canvas, house, (0.0, row), size)) is not None:
        spot, u, _, inside = found
        canvas.paint(spot, inside, tint("#232c3f", 0.05))
        canvas.paint(spot, inside & (np.mod(u, 1.7) < 0.07), tint("#7c858d", 0.15))
        canvas.lift(spot, inside, house.roof.eave_m + 0.35, 1.1)
