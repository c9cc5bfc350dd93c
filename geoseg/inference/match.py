"""Match a scene to a card: choose bands, scaling and grid, or refuse and name the difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from geoseg.core.card import ModelCard
from geoseg.core.ground import gsd_m as ground_gsd_m
from geoseg.core.spec import PredictSpec
from geoseg.core.window import NO_MARGIN, Margin, Window
from geoseg.errors import MatchError, UsageError
from geoseg.inference.resample import Resampling
from geoseg.io.raster.bands import says_nothing
from geoseg.io.raster.overview import overview
from geoseg.io.raster.scene import Scene, SceneBand

MAX_ENLARGEMENT = 2.0
"""Largest factor by which a scene may be coarser than the card's range; it is then enlarged."""

MAX_EXPLICIT_ENLARGEMENT = 16.0
"""The same for a resolution set by --gsd-m."""

MAX_ANISOTROPY = 1.25
"""Pixels more oblong on the ground than this are read as squares."""

DISPLAY_WHITE_REFLECTANCE = 0.3
"""Reflectance shown as white when a network trained on 8-bit images reads reflectance; the usual true-colour
stretch of Sentinel-2 and Landsat pictures."""


class Described(Protocol):
    """Protocol of the facts about a scene that matching needs: everything but its pixels."""

    @property
    def uri(self) -> str:
        """Address, for error messages."""
        ...

    @property
    def bands(self) -> tuple[SceneBand, ...]:
        """Data bands."""
        ...

    @property
    def geobox(self) -> Any:
        """The grid."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Colour:
    """Linear mapping from a scene's values to display colours, 0 to 255.

    Attributes:
        bands: up to three of the card's bands.
        gain, bias: per band; ``clip(value * gain + bias, 0, 255)`` is the colour.
    """

    bands: tuple[int, ...]
    gain: tuple[float, ...]
    bias: tuple[float, ...]

    def of(self, values: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Map native values (band, y, x) in the card's order to colours (band, y, x) float32; NaN stays NaN."""
        gain, bias = (np.array(per_band, np.float32)[:, None, None] for per_band in (self.gain, self.bias))
        colour = values[list(self.bands)].astype(np.float32) * gain + bias
        return np.clip(colour, 0, 255, out=colour)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPlan:
    """Plan for reading a scene for a network: bands, scaling and grids; small and picklable.

    Attributes:
        bands: 1-based band numbers in the card's order.
        gain, bias: per band; ``clip(value * gain + bias, 0, 1)`` is the card's scale.
        mean, std: per band; the network sees ``(that - mean) / std``.
        scene_shape: (rows, columns) of the scene.
        work_shape: (rows, columns) of the grid the network sees, over the same ground.
        scene_gsd_m: true ground sample distance of the scene per row and column.
        notes: decisions to report to the user, one sentence each.
        colour: mapping to the scene's colours, if a CRF uses them; else None.
        margin: pixels of the grid the network sees that lie beyond the scene's edges, in neighbouring scenes.
    """

    bands: tuple[int, ...]
    gain: tuple[float, ...]
    bias: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scene_shape: tuple[int, int]
    work_shape: tuple[int, int]
    scene_gsd_m: tuple[float, float]
    notes: tuple[str, ...] = ()
    colour: Colour | None = None
    margin: Margin = NO_MARGIN

    @property
    def work_readable(self) -> Window:
        """The grid the network sees with the margin."""
        return self.margin.around(self.work_shape)

    @property
    def readable(self) -> Window:
        """The scene's grid with the pixels that the margin is made from."""
        if not self.resampled:
            return self.work_readable
        return Resampling(self.scene_shape, self.work_shape).covering(self.margin).around(self.scene_shape)

    @property
    def resampled(self) -> bool:
        """True if the network sees another grid than the scene's."""
        return self.work_shape != self.scene_shape

    def normalise(self, values: npt.NDArray[np.generic], valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        """Convert native values to network input; invalid pixels become 0, the mean.

        Args:
            values: (band, y, x) in the card's order, as stored in the scene.
            valid: (y, x) bool.

        Returns:
            (band, y, x) float32.
        """
        if not valid.all():
            values = np.where(valid, values, values.dtype.type(0))  # nodata may be too large to be scaled
        out = np.empty(values.shape, np.float32)
        for band, (gain, bias, mean, std) in enumerate(zip(self.gain, self.bias, self.mean, self.std, strict=True)):
            plane = out[band]
            np.multiply(values[band], np.float32(gain), out=plane, casting="unsafe")
            plane += np.float32(bias)
            np.clip(plane, 0.0, 1.0, out=plane)
            plane -= np.float32(mean)
            plane /= np.float32(std)
        if not valid.all():
            out[:, ~valid] = 0.0
        return out


def match(scene: Described, card: ModelCard, spec: PredictSpec | None = None) -> ReadPlan:
    """Choose bands, scaling and grid for reading a scene for a model.

    Args:
        scene: the scene.
        card: the model's card.
        spec: overrides of bands, ground sample distance and value range.

    Raises:
        MatchError: bands are missing, values have no known scale, or the pixels are far too coarse.
    """
    spec = spec or PredictSpec()
    notes: list[str] = []
    bands = _choose_bands(scene, card, spec.bands, notes)
    gain, bias = _scaling(scene, card, bands, spec.value_range, notes)
    gsd = ground_gsd_m(scene.geobox)
    return ReadPlan(
        bands=tuple(band.index for band in bands),
        gain=gain,
        bias=bias,
        mean=tuple(band.mean for band in card.bands),
        std=tuple(band.std for band in card.bands),
        scene_shape=(int(scene.geobox.shape[0]), int(scene.geobox.shape[1])),
        work_shape=_work_shape(scene, card, gsd, spec.gsd_m, notes),
        scene_gsd_m=gsd,
        notes=tuple(notes),
        colour=None if spec.crf is None else _colour(card, gain, bias),
    )


def _listed(names: Sequence[str]) -> str:
    return "(" + ", ".join(names) + ")"


def _described(band: SceneBand) -> str:
    """Name a chosen band, with the file's own description where it differs."""
    words = band.description[:40]
    return band.name if words.lower() == band.name else f"{band.name} {words!r}"


def _choose_bands(
    scene: Described, card: ModelCard, requested: tuple[str, ...] | None, notes: list[str]
) -> list[SceneBand]:
    has = _listed([band.name if says_nothing(band.description) else _described(band) for band in scene.bands])
    needs = _listed(card.band_names)
    by_name = {band.name: band for band in reversed(scene.bands)}
    by_name |= {str(band.index): band for band in scene.bands}
    if requested is not None:
        if len(requested) != len(card.bands):
            cause = f"--bands names {len(requested)} bands, model {card.name} needs {len(card.bands)} {needs}."
            raise MatchError(scene.uri, cause, f"The scene has {len(scene.bands)} {has}.")
        unknown = [name for name in requested if name.lower() not in by_name]
        alphas = [name for name in unknown if name in map(str, getattr(scene, "alphas", ()))]
        if alphas:
            cause = f"band {_listed(alphas)} is its alpha band, which says where pixels are valid."
            raise MatchError(scene.uri, cause, "Pass --alpha no to read it as data.")
        if unknown:
            raise MatchError(scene.uri, f"has no band {_listed(unknown)}; it has {has}.", "Change --bands.")
        return [by_name[name.lower()] for name in requested]
    if all(name in by_name for name in card.band_names):
        return [by_name[name] for name in card.band_names]
    # a description that is not understood was written on purpose: the order of the bands is not assumed then
    nameless = all(band.name == f"band_{band.index}" and says_nothing(band.description) for band in scene.bands)
    if nameless and len(scene.bands) == len(card.bands):
        notes.append(f"the scene's bands have no names: taken as {needs} in this order")
        return list(scene.bands)
    missing = [name for name in card.band_names if name not in by_name]
    example = ",".join(str(min(i + 1, len(scene.bands))) for i in range(len(card.bands)))
    raise MatchError(
        scene.uri,
        f"has bands {has}; model {card.name} needs {needs}, without a match for {_listed(missing)}.",
        f"Pass --bands with those of the scene in this order, for example --bands {example}, or choose another model.",
    )


def _scaling(
    scene: Described,
    card: ModelCard,
    bands: Sequence[SceneBand],
    value_range: tuple[float, float] | Literal["auto"] | None,
    notes: list[str],
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if value_range is not None:
        low, high = _percentiles(scene, bands) if value_range == "auto" else value_range
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise MatchError(scene.uri, f"the value range {low} to {high} is empty.", "Pass --value-range LOW,HIGH.")
        if value_range == "auto":
            notes.append(f"values {low:g} to {high:g} (2nd and 98th percentile of the scene) are read as 0 to 1")
        return (1.0 / (high - low),) * len(bands), (-low / (high - low),) * len(bands)
    pairs = [_band_scaling(scene, card, band) for band in bands]
    if card.radiometry == "display" and any(_has_scale(band) for band in bands):
        notes.append(f"reflectance 0 to {DISPLAY_WHITE_REFLECTANCE} is read as black to white")
    return tuple(gain for gain, _ in pairs), tuple(bias for _, bias in pairs)


def _colour(card: ModelCard, gain: tuple[float, ...], bias: tuple[float, ...]) -> Colour:
    """Choose red, green and blue where the card names them, else its first three bands; scaled as for display."""
    names = list(card.band_names)
    rgb = tuple(names.index(name) for name in ("red", "green", "blue") if name in names)
    bands = rgb if len(rgb) == 3 else tuple(range(min(3, len(names))))
    white = DISPLAY_WHITE_REFLECTANCE if card.radiometry == "reflectance" else 1.0
    return Colour(
        bands=bands,
        gain=tuple(gain[band] * 255 / white for band in bands),
        bias=tuple(bias[band] * 255 / white for band in bands),
    )


def _has_scale(band: SceneBand) -> bool:
    return band.scale != 1.0 or band.offset != 0.0


def _band_scaling(scene: Described, card: ModelCard, band: SceneBand) -> tuple[float, float]:
    cure = "Pass --value-range LOW,HIGH (the values that mean black and white) or --value-range auto."
    if not (math.isfinite(band.scale) and math.isfinite(band.offset) and band.scale != 0):
        cause = f"band {band.name} has the scale {band.scale:g} and the offset {band.offset:g}."
        raise MatchError(scene.uri, cause, cure)
    if _has_scale(band):
        white = DISPLAY_WHITE_REFLECTANCE if card.radiometry == "display" else 1.0
        return band.scale / white, band.offset / white
    if card.radiometry == "reflectance":
        cure = "Pass --value-range LOW,HIGH (the values that mean reflectance 0 and 1, often 0,10000)."
        cause = f"band {band.name} is {band.dtype} without a scale; model {card.name} needs reflectance."
        raise MatchError(scene.uri, cause, cure)
    if band.dtype == "uint8":
        return 1.0 / 255.0, 0.0
    cause = f"band {band.name} is {band.dtype} without a scale; model {card.name} was trained on 8-bit images."
    raise MatchError(scene.uri, cause, cure)


def _percentiles(scene: Described, bands: Sequence[SceneBand]) -> tuple[float, float]:
    """2nd and 98th percentile over all chosen bands of a reduced view of the whole scene."""
    if not isinstance(scene, Scene):
        raise UsageError(f"{scene.uri}: the value range of an array is not looked for. Give value_range=(low, high).")
    view = overview(scene, 1024, [band.index for band in bands])
    values = view.values[:, view.valid]
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values.astype(np.float64), (2, 98))
    return float(low), float(high) if high > low else float(low) + 1.0


def _work_shape(
    scene: Described, card: ModelCard, gsd: tuple[float, float], requested: float | None, notes: list[str]
) -> tuple[int, int]:
    shape = (int(scene.geobox.shape[0]), int(scene.geobox.shape[1]))
    low, high = card.gsd_m.min, card.gsd_m.max
    mean = math.sqrt(gsd[0] * gsd[1])
    if not (math.isfinite(mean) and mean > 0):
        raise MatchError(scene.uri, "the size of its pixels on the ground is unknown.", "Check its CRS and transform.")
    if requested is None:
        square = max(gsd) / min(gsd) <= MAX_ANISOTROPY
        slack = 1.02  # a card's bound is a rounded number
        if square and low / slack <= mean <= high * slack:
            return shape
        if mean > high * MAX_ENLARGEMENT:
            raise MatchError(
                scene.uri,
                f"a pixel is {mean:.3g} m on the ground; model {card.name} needs {low:g} to {high:g} m.",
                f"Choose another model, or pass --gsd-m to read it at that ground sample distance all the same "
                f"(--gsd-m {mean:.3g} leaves the pixels as they are).",
            )
        requested = min(max(mean, low), high)
    if mean / requested > MAX_EXPLICIT_ENLARGEMENT:
        raise MatchError(
            scene.uri,
            f"a pixel is {mean:.3g} m on the ground; --gsd-m {requested:g} has nothing to show.",
            "Pass a larger one.",
        )
    work = tuple(max(1, round(length * side / requested)) for length, side in zip(shape, gsd, strict=True))
    if all(abs(new - old) <= 0.01 * old for new, old in zip(work, shape, strict=True)):
        return shape
    notes.append(f"pixels of {mean:.3g} m on the ground are read at {requested:.3g} m")
    return work[0], work[1]


def plan_in_memory(card: ModelCard, shape: tuple[int, int], gsd_m: float, work_shape: tuple[int, int]) -> ReadPlan:
    """Plan the reading of values that are in memory and in [0, 1] already: bands in order, without gain or bias.

    Args:
        card: the model's card.
        shape: (rows, columns) of the image.
        gsd_m: its ground sample distance, metres.
        work_shape: (rows, columns) of the grid that the network works on; ``shape``: the image's own.
    """
    count = len(card.bands)
    return ReadPlan(
        bands=tuple(range(1, count + 1)),
        gain=(1.0,) * count,
        bias=(0.0,) * count,
        mean=tuple(band.mean for band in card.bands),
        std=tuple(band.std for band in card.bands),
        scene_shape=shape,
        work_shape=work_shape,
        scene_gsd_m=(gsd_m, gsd_m),
    )
