"""Cars, vans and trucks seen from above, and the small things of yards and streets."""

from __future__ import annotations

import numpy as np
from shapely.geometry.base import BaseGeometry

from geoseg.core.isprs_legend import CAR, CLUTTER
from geoseg.synthetic.canvas import F32, Bool, Canvas, Colour, Spot, textured, tint
from geoseg.synthetic.plan import oriented_box
from geoseg.synthetic.stock import Car
from geoseg.synthetic.style import CAR_PAINT, Style
from geoseg.synthetic.surfaces import local

_GLASS = tint("#22282d", 0.03)


def draw_car(canvas: Canvas, car: Car, style: Style, rng: np.random.Generator) -> None:
    """Draw one vehicle with its windows and highlights."""
    long, wide, high = car.size
    if (spot := canvas.spot(oriented_box(car.centre, car.heading, long + 0.2, wide + 0.2).bounds)) is None:
        return
    u, v = local(spot, car.centre, car.heading)
    s, t = u / np.float32(long), np.abs(v) / np.float32(wide)
    corner = 12 if car.kind == "truck" else 5
    mask = (np.abs(2 * s) ** corner + (2 * t) ** corner < 1) & (canvas.height[spot.index] < 1.0)
    if not mask.any():
        return
    paint = str(rng.choice(CAR_PAINT if car.kind == "car" else CAR_PAINT[:8]))
    body = tint(paint, float(0.12 + 0.5 * max(tint(paint, 0)[:3])))
    down, right, up = style.sun
    ax, ay = car.heading
    across, ahead = (down * ax - right * ay) / up, (right * ax + down * ay) / up
    curve = np.clip(
        1 + 0.42 * across * (v / np.float32(wide)) * 2 * (2 * t) ** 2 + 0.35 * ahead * (2 * s) ** 3, 0.35, 1.6
    )
    canvas.paint(spot, mask, textured(body, 1 + 0.02 * canvas.texture("fine", spot)), CAR)
    canvas.lift(spot, mask, 0.62 * high, curve)
    if car.kind == "truck":
        _truck(canvas, (spot, mask), (s, t), high, rng)
    else:
        _cabin(canvas, (spot, mask), (s, t), car, rng)
    # A glossy roof mirrors the sun in one narrow streak.
    place, reach = rng.uniform(-0.18, 0.06), rng.uniform(0.03, 0.13)
    streak = mask & (np.abs(v / np.float32(wide) - np.sign(across) * 0.27) < 0.025) & (np.abs(s - place) < reach)
    if rng.random() < 0.6 and car.kind != "truck":
        canvas.shade(spot, streak, 1.5)
        canvas.paint(spot, streak & (np.abs(s - place) < reach / 2), tint("#dfe1e0", 0.5))


def _cabin(canvas: Canvas, body: tuple[Spot, Bool], at: tuple[F32, F32], car: Car, rng: np.random.Generator) -> None:
    (spot, mask), (s, t) = body, at
    high = car.size[2]
    van = car.kind == "van"
    front, screen = (0.42, 0.3) if van else (rng.uniform(0.2, 0.26), rng.uniform(0.06, 0.11))
    rear, back = (-0.46, -0.49) if van else (rng.uniform(-0.34, -0.22), rng.uniform(-0.44, -0.36))
    if not van and rng.random() < 0.35:
        rear, back = -0.38, -0.45
    taper = 0.43 - 0.05 * np.abs(s + 0.05) * 2
    wind = mask & (s > screen) & (s < front) & (t < taper - 0.02)
    behind = mask & (s < rear) & (s > back) & (t < taper - 0.03)
    roof = mask & (s <= screen) & (s >= rear) & (t < taper - 0.055)
    sides = mask & (s < front - 0.05) & (s > back + 0.04) & (t >= taper - 0.055) & (t < taper - 0.005)
    sky = 1 + 0.8 * canvas.texture("broad", spot).clip(-0.5, 1)
    for glass in (wind, behind, sides):
        canvas.paint(spot, glass, textured(_GLASS, sky))
    slope = np.clip((front - s) / max(0.02, front - screen), 0, 1)
    canvas.lift(spot, wind, high * (0.66 + 0.34 * slope), 1.0)
    canvas.lift(spot, behind, high * 0.85, 0.9)
    canvas.lift(spot, sides, high * 0.85, 0.5)
    canvas.lift(spot, roof, high, canvas.lambert[spot.index] * 0.6 + 0.44)
    if not van and rng.random() < 0.12:
        canvas.paint(spot, roof & (np.abs(s + 0.02) < 0.06) & (t < 0.25), textured(_GLASS, sky))
    canvas.shade(spot, mask & (np.abs(s - front - 0.012) < 0.012), 0.7)
    lamps = mask & (s > 0.465) & (t > 0.28) & (t < 0.43)
    canvas.paint(spot, lamps, tint("#cfd2d3", 0.4))
    canvas.paint(spot, mask & (s < -0.47) & (t > 0.3) & (t < 0.44), tint("#7a1b1b", 0.3))


def _truck(canvas: Canvas, body: tuple[Spot, Bool], at: tuple[F32, F32], high: float, rng: np.random.Generator) -> None:
    (spot, mask), (s, t) = body, at
    load = mask & (s < 0.26)
    colour = tint(str(rng.choice(["#e8e8e5", "#c9cccd", "#d7d2c3", "#39609a", "#b8352d"])), 0.45)
    canvas.paint(spot, load, textured(colour, 1 + 0.03 * canvas.texture("mid", spot)))
    canvas.lift(spot, load, high)
    canvas.lift(spot, mask & (s >= 0.3), high * 0.75)
    canvas.paint(spot, mask & (s > 0.455) & (t < 0.44), _GLASS)
    canvas.shade(spot, mask & (s >= 0.26) & (s < 0.3), 0.3)
    canvas.shade(spot, load & (t > 0.47), 0.7)


def draw_object(canvas: Canvas, kind: str, area: BaseGeometry, rng: np.random.Generator) -> None:
    """Draw one of the small things of ``_LOOKS`` (clutter)."""
    if (found := canvas.cover(area)) is None:
        return
    spot, mask = found
    colour, height = _LOOKS[kind]
    tone = tint(str(rng.choice(colour)), 0.02 if kind == "pool" else 0.3)
    gain = 1 + 0.04 * canvas.texture("clod", spot) + 0.05 * canvas.texture("mid", spot)
    canvas.paint(spot, mask, textured(tone, gain), CLUTTER)
    canvas.lift(spot, mask, height)
    if (inner := canvas.cover(area.buffer(-_RIMS.get(kind, 0.0)))) is None or kind not in _RIMS:
        return
    core: Colour = {
        "pool": tint(str(rng.choice(["#5fb3c9", "#6cc0cf", "#4a9bb8"])), 0.02),
        "trampoline": tint("#26282a", 0.08),
        "container": tint(str(rng.choice(colour)), 0.3),
    }[kind]
    spot, mask = inner
    ribs = 1 + 0.12 * np.cos((spot.x + spot.y) * 22) if kind == "container" else 1 + 0.1 * canvas.texture("clod", spot)
    canvas.paint(spot, mask, textured(core, ribs))
    if kind == "pool":
        canvas.lift(spot, mask, -0.3)


_LOOKS: dict[str, tuple[tuple[str, ...], float]] = {
    "pool": (("#d8d4ca", "#c9c3b8"), 0.1),
    "trampoline": (("#2f5fa0", "#3a8a4a", "#777777"), 0.8),
    "container": (("#3a6a8f", "#a4492f", "#c9a227", "#5d7a5a"), 2.5),
    "bin": (("#2d2f30", "#3f5d3a", "#8a6a2c", "#39557a"), 1.0),
    "court": (("#a9583d", "#b5694a"), 0.02),
    "sand": (("#d3c3a0", "#c7b78f"), 0.05),
    "parasol": (("#e6e1d3", "#b5473a", "#c9b26d", "#5a7f6a"), 2.2),
    "stack": (("#a08560", "#c2a878", "#8d8d8a", "#b9623f"), 1.2),
    "line": (("#e4e2dc",), 0.02),
}
_RIMS = {"pool": 0.35, "trampoline": 0.28, "container": 0.12}
