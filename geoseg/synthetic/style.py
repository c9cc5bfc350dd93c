"""Random style of a town: sun, season, building materials and camera, drawn from the seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geoseg.synthetic.canvas import Colour, tint

_ROOFS = {
    "clay": ("#b4674d", "#a85540", "#c27a5c", "#93503f", "#b0604a", "#9c5b49", "#c58a6b"),
    "dark": ("#5d5a5b", "#4c4a4d", "#6a605c", "#57504f", "#7a6e68", "#454449"),
    "slate": ("#6e757d", "#5c646d", "#80858a", "#6b6f74"),
    "brown": ("#7f5a4a", "#6d4c40", "#8d6a58", "#785548"),
    "pale": ("#b9a58f", "#a8988a", "#c2b5a4", "#9e9389"),
}
_FLAT = ("#c9c7c2", "#b3b1ac", "#8d8b88", "#d9d8d5", "#a29c92", "#6f6e6d", "#e4e3e0")
_METAL = ("#d3d7d9", "#9fa9ad", "#8aa39a", "#b7bcc0", "#7d95a8", "#b08d84")
CAR_PAINT = (
    *("#e9eaea", "#f2f2f1", "#c4c7c9", "#b1b5b8", "#8b9094", "#63676b", "#46494d", "#232528", "#17181a", "#1d2024"),
    *("#a31f24", "#7d1a20", "#c4362f", "#21407c", "#2c5a9e", "#38506b", "#2f5d46", "#c9b893", "#6f5b48", "#8f6a3a"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """The look of one town.

    Attributes:
        sun: unit vector towards the sun (down, right, up).
        season: ``spring``, ``summer`` or ``autumn``.
        roofs: tile colours, frequent ones repeated.
        flats: colours of flat roofs.
        lawn, meadow: reflectance of grass in this season.
        crowns: reflectances of tree crowns.
        asphalt, paving, soil: reflectances of the ground.
        dryness: 0 for lush lawns to 1 for straw.
        haze: light added by the air, linear.
        gain: exposure of red, green, blue, near infrared.
        sky: brightness of the open sky, 1 on a clear day.
        overlap: how far the camera's colours overlap, 0 to 1.
        blur_px, noise: the sensor's point spread and noise.
    """

    sun: tuple[float, float, float]
    season: str
    roofs: tuple[Colour, ...]
    flats: tuple[Colour, ...]
    lawn: Colour
    meadow: Colour
    crowns: tuple[Colour, ...]
    asphalt: Colour
    paving: tuple[Colour, ...]
    soil: Colour
    dryness: float
    haze: tuple[float, float, float, float]
    gain: tuple[float, float, float, float]
    gamma: float
    overlap: float
    sky: float
    blur_px: float
    noise: float

    @property
    def slope(self) -> float:
        """Metres a sun ray rises per metre on the ground."""
        return self.sun[2] / float(np.hypot(self.sun[0], self.sun[1]))


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """Blend two reflectances; ``share`` of the second."""
    red, green, blue, nir = (a * (1 - share) + b * share for a, b in zip(first, second, strict=True))
    return red, green, blue, nir


def draw_style(rng: np.random.Generator) -> Style:
    """Choose sun, season, materials and camera."""
    azimuth, elevation = np.radians(rng.uniform(105, 255)), np.radians(rng.uniform(33, 58))
    sun = (-np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation))
    season = str(rng.choice(["spring", "summer", "summer", "autumn"]))
    dryness = float(rng.uniform(0, 0.6) if season == "summer" else rng.uniform(0, 0.25))
    lawn = mixed(
        tint(str(rng.choice(["#64803f", "#6d8a48", "#5b7a40", "#768c4c"])), 0.46), tint("#a89a6c", 0.34), dryness * 0.7
    )
    exposure = rng.uniform(1.25, 1.75)
    balance = rng.normal(1, 0.035, 4)
    haze = rng.uniform(0.002, 0.012)
    asphalt = mixed(tint("#6a6a69", 0.15), tint("#989590", 0.23), float(rng.uniform(0, 1)))
    return Style(
        sun=(float(sun[0]), float(sun[1]), float(sun[2])),
        season=season,
        roofs=_roof_palette(rng),
        flats=tuple(tint(str(c), 0.75 * _grey(str(c))) for c in rng.permutation([*_FLAT, *_METAL])[:7]),
        lawn=lawn,
        meadow=mixed(lawn, tint("#8f8a55", 0.36), 0.35 + 0.3 * dryness),
        crowns=_crown_palette(rng, season),
        asphalt=asphalt,
        paving=tuple(
            tint(c, 0.26)
            for c in rng.permutation(["#a7a49e", "#b5aea4", "#9a928c", "#a98f80", "#8f8d8b", "#bcb8b0"])[:4]
        ),
        soil=mixed(tint("#8a7159", 0.28), tint("#b49a78", 0.36), float(rng.uniform(0, 1))),
        dryness=dryness,
        haze=(haze * 0.5, haze * 0.8, haze * 1.25, haze * 0.3),
        gain=(exposure * balance[0], exposure * balance[1], exposure * balance[2] * 1.02, exposure * balance[3] * 0.95),
        gamma=float(rng.uniform(2.05, 2.5)),
        overlap=float(rng.uniform(0.15, 0.45)),
        sky=float(rng.uniform(0.85, 1.45)),
        blur_px=float(rng.uniform(0.25, 0.7)),
        noise=float(rng.uniform(0.6, 2.2)),
    )


def _grey(colour: str) -> float:
    return sum(tint(colour, 0)[:3]) / 3


def _roof_palette(rng: np.random.Generator) -> tuple[Colour, ...]:
    weights = rng.dirichlet([2.2, 1.5, 0.6, 1.0, 0.5])
    families = rng.choice(list(_ROOFS), 24, p=weights)
    colours = [tint(str(rng.choice(_ROOFS[str(f)])), 0.0) for f in families]
    palette = []
    for red, green, blue, _ in colours:
        fade = rng.normal(1, 0.08)
        palette.append((red * fade, green * fade, blue * fade, min(0.5, (0.75 * red + 0.09) * fade)))
    return tuple(palette)


def _crown_palette(rng: np.random.Generator, season: str) -> tuple[Colour, ...]:
    green = ["#47642f", "#3c5a2e", "#55713a", "#4a6b38", "#5f7a3c", "#334f2b", "#6a7f45"]
    extra = {
        "spring": ["#7d9a4b", "#8ba457", "#6d9142", "#b3b096", "#7f9a58", "#74904a"],
        "summer": ["#5a7a38", "#48683a", "#5e2f33", "#66803f"],
        "autumn": ["#8a7c35", "#a3752f", "#8f5a2c", "#75763a", "#a8923e", "#7a4a2c"],
    }[season]
    return tuple(tint(str(c), float(rng.uniform(0.36, 0.52))) for c in rng.permutation([*green, *extra]))
