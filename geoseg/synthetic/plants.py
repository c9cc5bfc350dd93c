"""Trees, shrubs and hedges: crowns built of leaf clumps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geoseg.core.isprs_legend import LOW_VEGETATION, TREE
from geoseg.synthetic.canvas import F32, Bool, Canvas, Colour, Spot, textured
from geoseg.synthetic.stock import Hedge, Shrub, Tree
from geoseg.synthetic.style import Style, mixed


@dataclass(frozen=True, slots=True, kw_only=True)
class Species:
    """A kind of tree: colour, height per radius, clump size in metres, ``conifer``, share of gaps in the crown."""

    colour: Colour
    tall: float
    clump_m: float
    conifer: bool
    open: float


def draw_species(style: Style, rng: np.random.Generator, number: int) -> tuple[Species, ...]:
    """Choose the town's kinds of trees."""
    kinds = []
    for k in range(number):
        conifer = rng.random() < 0.2
        colour = style.crowns[k % len(style.crowns)]
        if conifer:
            colour = (colour[1] * 0.42, colour[1] * 0.62, colour[1] * 0.42, 0.3)
        kinds.append(
            Species(
                colour=colour,
                tall=float(rng.uniform(2.6, 3.6) if conifer else rng.uniform(1.5, 2.4)),
                clump_m=float(rng.uniform(0.35, 0.5) if conifer else rng.uniform(0.45, 1.1)),
                conifer=conifer,
                open=float(rng.uniform(0.0, 0.16) if style.season == "summer" else rng.uniform(0.0, 0.3)),
            )
        )
    return tuple(kinds)


def draw_tree(canvas: Canvas, tree: Tree, species: Species, style: Style, rng: np.random.Generator) -> None:
    """Draw one crown over whatever stands lower."""
    radius = tree.radius_m * (0.62 if species.conifer else 1.0)
    top = min(tree.radius_m * species.tall + 1.5, 24.0)
    x, y = tree.centre
    reach = radius * 1.35
    if (spot := canvas.spot((x - reach, y - reach, x + reach, y + reach))) is None:
        return
    dx, dy = spot.x - np.float32(x), spot.y - np.float32(y)
    distance, angle = np.hypot(dx, dy), np.arctan2(dy, dx)
    rim = np.full(distance.shape, radius, np.float32)
    for wave in range(2, 8):
        rim *= 1 + np.float32(rng.normal(0, 0.16 / np.sqrt(wave))) * np.sin(
            angle * wave + np.float32(rng.uniform(0, 6.28))
        )
    inner = np.clip(distance / np.clip(rim, radius * 0.55, radius * 1.35), 0, None)
    if species.conifer:
        # Whorls of branches: a star from above, a cone from the side.
        star = np.cos(angle * np.float32(rng.integers(8, 13)) + np.float32(rng.uniform(0, 6.28)))
        inner = inner * (1 + 0.13 * star * np.clip(inner * 1.6, 0, 1))
        dome = top * (1 - 0.78 * inner) + 0.5 * star * inner
    else:
        dome = top * (0.42 + 0.58 * np.sqrt(np.clip(1 - inner**2.2, 0, 1)))
    clump, tone = _clumps(spot, species.clump_m, int(rng.integers(2**31)))
    twigs, _ = _clumps(spot, species.clump_m * 0.42, int(rng.integers(2**31)))
    clump = 0.62 * clump + 0.38 * twigs
    height = (dome + species.clump_m * 1.7 * (clump - 0.5)).astype(np.float32)
    ragged = inner + 0.3 * species.clump_m / radius * (0.55 - clump)
    # To a mapper the crown is one thing: gaps between clumps are dark, but tree. Only what is higher hides it.
    mask = (ragged < 1) & (0.9 * dome > canvas.height[spot.index])
    if not mask.any():
        return
    height = np.where(clump < species.open, 0.5 * height, height)
    colour = mixed(species.colour, style.lawn, float(rng.uniform(0, 0.2)))
    _lay_leaves(canvas, spot, mask, _Leaves(height, clump, tone, colour, style.sun), rng)
    canvas.mark(spot, mask, TREE)


def draw_shrub(canvas: Canvas, shrub: Shrub, style: Style, rng: np.random.Generator) -> None:
    """Draw one low, round shrub (low vegetation)."""
    x, y = shrub.centre
    reach, radius = shrub.radius_m * 1.3, np.float32(shrub.radius_m)
    if (spot := canvas.spot((x - reach, y - reach, x + reach, y + reach))) is None:
        return
    inner = np.hypot(spot.x - np.float32(x), spot.y - np.float32(y)) / radius
    clump, tone = _clumps(spot, 0.3, int(rng.integers(2**31)))
    height = 1.3 * min(shrub.radius_m, 1.1) * np.sqrt(np.clip(1.1 - inner**2, 0, 1)) + 0.3 * (clump - 0.3)
    mask = (inner + 0.2 * (0.5 - clump) < 1) & (height > canvas.height[spot.index])
    colour = style.crowns[int(shrub.tone * len(style.crowns))]
    _lay_leaves(canvas, spot, mask, _Leaves(height, clump, tone, colour, style.sun), rng)
    canvas.mark(spot, mask, LOW_VEGETATION)


def draw_hedge(canvas: Canvas, hedge: Hedge, style: Style, rng: np.random.Generator) -> None:
    """Draw a trimmed hedge (low vegetation)."""
    if (found := canvas.cover(hedge.area)) is None:
        return
    spot, mask = found
    clump, tone = _clumps(spot, 0.28, int(rng.integers(2**31)))
    height = hedge.height_m * (0.92 + 0.06 * canvas.texture("mid", spot)) + 0.22 * (clump - 0.5)
    mask &= height > canvas.height[spot.index]
    colour = style.crowns[int(rng.integers(len(style.crowns)))]
    _lay_leaves(canvas, spot, mask, _Leaves(height, clump, tone, colour, style.sun), rng)
    canvas.mark(spot, mask, LOW_VEGETATION)


@dataclass(frozen=True, slots=True)
class _Leaves:
    """Foliage on a spot: height (m), place on the clump and the clump's tone (0 to 1), colour, and the sun on it."""

    height: F32
    clump: F32
    tone: F32
    colour: Colour
    sun: tuple[float, float, float]


def _lay_leaves(canvas: Canvas, spot: Spot, mask: Bool, leaves: _Leaves, rng: np.random.Generator) -> None:
    down, right, up = leaves.sun
    if min(leaves.height.shape) < 2:
        return
    slope_y, slope_x = (g / np.float32(canvas.step_m) for g in np.gradient(leaves.height))
    # Leaves are no flat wall: the slope counts for half, and light passes through.
    slope_y, slope_x = np.clip(slope_y * 0.45, -2, 2), np.clip(slope_x * 0.45, -2, 2)
    facing = (up - slope_x * right - slope_y * down) / (up * np.sqrt(1 + slope_x**2 + slope_y**2))
    light = np.clip(0.18 + 0.82 * facing, 0.08, 1.6)
    gain = (0.66 + 0.5 * leaves.clump) * (1 + 0.28 * (leaves.tone - 0.5))
    gain *= (
        1
        + 0.14 * canvas.texture("fine", spot)
        + 0.1 * canvas.texture("grain", spot)
        + 0.05 * canvas.texture("mid", spot)
    )
    gain = np.clip(gain, 0.15, 2) * np.float32(rng.normal(1, 0.08))
    red, green, blue, _ = textured(leaves.colour, gain)
    hue = rng.normal(1, 0.05, 2)
    # Infrared light is scattered deep into the crown, where green is long absorbed.
    canvas.paint(spot, mask, (red * hue[0], green, blue * hue[1], leaves.colour[3] * gain**0.7))
    canvas.lift(spot, mask, leaves.height, light)


def _clumps(spot: Spot, size_m: float, key: int) -> tuple[F32, F32]:
    """Scatter round clumps of ``size_m``: how high each sample lies on its clump (0 to 1), and its clump's tone."""
    u, v = np.broadcast_arrays(spot.x / np.float32(size_m), spot.y / np.float32(size_m))
    i, j = np.floor(u).astype(np.int32), np.floor(v).astype(np.int32)
    i0, j0 = int(i.min()) - 1, int(j.min()) - 1
    table = np.random.default_rng(key).random((4, int(j.max()) - j0 + 2, int(i.max()) - i0 + 2), np.float32)
    best, tone = np.zeros(u.shape, np.float32), np.zeros(u.shape, np.float32)
    fu, fv = (u - i).astype(np.float32), (v - j).astype(np.float32)
    for dj in (-1, 0, 1):
        for di in (-1, 0, 1):
            px, py, pr, pt = table[:, j - j0 + dj, i - i0 + di]
            reach = 0.55 + 0.45 * pr
            rise = (1 - ((fu - di - px) ** 2 + (fv - dj - py) ** 2) / reach**2) * (0.7 + 0.3 * pt)
            higher = rise > best
            best = np.where(higher, rise, best)
            tone = np.where(higher, pt, tone)
    return best, tone
