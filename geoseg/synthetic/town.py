"""Draw a synthetic town: orthophoto, near infrared, surface model and exact labels from one seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geoseg.synthetic.blocks import fill_blocks
from geoseg.synthetic.canvas import F32, Canvas
from geoseg.synthetic.cars import draw_car, draw_object
from geoseg.synthetic.light import expose
from geoseg.synthetic.plan import draw_plan
from geoseg.synthetic.plants import Species, draw_hedge, draw_shrub, draw_species, draw_tree
from geoseg.synthetic.roofs import draw_house
from geoseg.synthetic.site import Site
from geoseg.synthetic.stock import Stock, without_overlap
from geoseg.synthetic.streets import draw_streets
from geoseg.synthetic.style import Style, draw_style
from geoseg.synthetic.surfaces import lay_grass, pour_water

_MARGIN_M = 9.0
_KINDS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Town:
    """A drawn scene.

    Attributes:
        rgb: (3, y, x) uint8 red, green, blue.
        nir: (y, x) uint8 near infrared.
        dsm: (y, x) float32 surface height, metres above sea level.
        labels: (y, x) uint8 codes of ``TOWN_LEGEND``, exact at pixel centres.
        objects: (y, x) int32 numbers of buildings, trees and cars, 0 elsewhere.
        gsd_m: side of a pixel.
    """

    rgb: npt.NDArray[np.uint8]
    nir: npt.NDArray[np.uint8]
    dsm: F32
    labels: npt.NDArray[np.uint8]
    objects: npt.NDArray[np.int32]
    gsd_m: float


def draw_town(seed: int, shape: tuple[int, int], gsd_m: float = 0.09) -> Town:
    """Draw the town of a seed.

    Args:
        seed: any non-negative integer; another seed is another town, season, sun and camera.
        shape: rows and columns of the picture.
        gsd_m: ground sample distance, metres.

    Returns:
        The town; the same seed, shape and gsd_m give the same pixels.

    Examples:
        >>> draw_town(1, (64, 64)).labels.shape
        (64, 64)
    """
    plan_rng, style_rng, noise_rng, build_rng, paint_rng, camera_rng = np.random.default_rng([seed, 90210]).spawn(6)
    margin = round(_MARGIN_M / gsd_m)
    canvas = Canvas(
        shape=(2 * (shape[0] + 2 * margin) + 1, 2 * (shape[1] + 2 * margin) + 1),
        step_m=gsd_m / 2,
        margin_m=margin * gsd_m,
    )
    canvas.add_noise(noise_rng)
    style = draw_style(style_rng)
    plan = draw_plan(plan_rng, canvas.bounds)
    stock = Stock(kinds=_KINDS)
    lay_grass(canvas, plan.land, style, build_rng, rough=0.3)
    if not plan.river.is_empty:
        pour_water(canvas, plan.river, style, build_rng)
    fill_blocks(plan, Site(canvas, style, stock, build_rng))
    draw_streets(canvas, plan, style, build_rng, stock)
    _raise_stock(canvas, stock, style, paint_rng)
    picture = expose(canvas, style, camera_rng)
    inner = (slice(margin, margin + shape[0]), slice(margin, margin + shape[1]))
    height = canvas.height[1::2, 1::2][inner] + _terrain(canvas, plan_rng)[inner]
    height += camera_rng.standard_normal(shape, np.float32) * np.float32(0.015)
    return Town(
        rgb=np.ascontiguousarray(picture[(slice(0, 3), *inner)]),
        nir=np.ascontiguousarray(picture[(3, *inner)]),
        dsm=height.astype(np.float32),
        labels=np.ascontiguousarray(canvas.labels[1::2, 1::2][inner]),
        objects=np.ascontiguousarray(canvas.objects[1::2, 1::2][inner]),
        gsd_m=gsd_m,
    )


def _raise_stock(canvas: Canvas, stock: Stock, style: Style, rng: np.random.Generator) -> None:
    """Draw the objects on the ground, low ones first, so that crowns cover cars and never the reverse."""
    species: tuple[Species, ...] = draw_species(style, rng, stock.kinds)
    for house in stock.houses:
        canvas.number += 1
        draw_house(canvas, house, style, rng)
    for kind, area in stock.objects:
        draw_object(canvas, kind, area, rng)
    for car in without_overlap(stock.cars):
        canvas.number += 1
        draw_car(canvas, car, style, rng)
    for hedge in stock.hedges:
        draw_hedge(canvas, hedge, style, rng)
    for shrub in stock.shrubs:
        draw_shrub(canvas, shrub, style, rng)
    for tree in sorted(stock.trees, key=lambda t: t.radius_m):
        canvas.number += 1
        draw_tree(canvas, tree, species[tree.kind], style, rng)


def _terrain(canvas: Canvas, rng: np.random.Generator) -> F32:
    rows, cols = canvas.shape[0] // 2, canvas.shape[1] // 2
    y = np.arange(rows, dtype=np.float32)[:, None] * np.float32(2 * canvas.step_m)
    x = np.arange(cols, dtype=np.float32)[None, :] * np.float32(2 * canvas.step_m)
    slope, phase = rng.normal(0, 0.012, 2), rng.uniform(0, 6.28, 2)
    hill = np.sin(x / np.float32(90) + np.float32(phase[0])) + np.sin(y / np.float32(110) + np.float32(phase[1]))
    return np.asarray(rng.uniform(30, 320) + slope[0] * x + slope[1] * y + 0.6 * hill, np.float32)
