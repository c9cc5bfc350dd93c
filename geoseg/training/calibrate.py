"""Fitting of a model's temperature on labelled images not used in training, and writing it into the card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import nn

from geoseg.core.card import ModelCard, Score
from geoseg.data.labelled import UNLABELLED, LabelledScene
from geoseg.errors import UsageError
from geoseg.io.weights.model_file import read_model, read_quantised, write_model, write_quantised
from geoseg.models.calibration import apply_temperature, calibration_error, fit_temperature, negative_log_likelihood
from geoseg.models.network import load_network
from geoseg.training.recipe import Recipe
from geoseg.training.score import core_logits

BEFORE = "expected calibration error at temperature 1"
AFTER = "expected calibration error"
"""Metrics of the card's scores."""

_IMAGES_NAMED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A fitted temperature and its effect on calibration.

    Attributes:
        temperature: divisor of logits, fitted on all pixels; 0.01 to 100.
        error_before: expected calibration error over 15 bins, at temperature 1.
        error_after: the same of the first half of the pixels, image by image and row by row, at the temperature that
            fits the second, and the other way round: no pixel is measured at a temperature that it helped to fit.
        surprise_before, surprise_after: mean negative log-likelihood of the labels, in nats, at 1 and ``temperature``.
        pixels: number of pixels used.
        on: description of the images, for the card's scores.
    """

    temperature: float
    error_before: float
    error_after: float
    surprise_before: float
    surprise_after: float
    pixels: int
    on: str

    def card(self, card: ModelCard) -> ModelCard:
        """Return the card with this temperature, and both errors as scores."""
        kept = tuple(score for score in card.scores if score.metric not in (BEFORE, AFTER))
        errors = ((BEFORE, self.error_before), (AFTER, self.error_after))
        scores = tuple(Score(on=self.on, metric=metric, value=round(error, 4)) for metric, error in errors)
        return card.model_copy(update={"temperature": round(self.temperature, 4), "scores": kept + scores})


def calibrate(
    network: nn.Module,
    images: Sequence[LabelledScene],
    card: ModelCard,
    *,
    pixels: int = 300_000,
    seed: int = 0,
) -> Calibration:
    """Fit the temperature of a network on labelled images.

    Args:
        network: returns logits (tile, class, y, x); in evaluation mode, on the CPU. The card's present temperature is
            not applied.
        images: images of a validation split; pixels without a label are left out.
        card: bands, tile and halo.
        pixels: largest number of pixels, drawn uniformly over all images without balancing classes, since calibration
            depends on the class frequencies of a map.
        seed: seed of the draw.

    Raises:
        UsageError: no pixel has a label.

    Source:
        Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2.
    """
    counts = [int(np.count_nonzero(image.class_indices != UNLABELLED)) for image in images]
    total = sum(counts)
    if not total:
        raise UsageError(f"{card.name}: nothing to calibrate on. Give a source rows to validate on.")
    random = np.random.default_rng(seed)
    drawn = np.sort(random.choice(total, min(pixels, total), replace=False))
    logits, labels, start = [], [], 0
    for image, count in zip(images, counts, strict=True):
        inside = drawn[(drawn >= start) & (drawn < start + count)] - start
        start += count
        if len(inside):
            places = np.flatnonzero(image.class_indices != UNLABELLED)[inside]
            logits.append(_logits_at(network, image, card, places))
            labels.append(image.class_indices.ravel()[places])
    return _fitted(np.concatenate(logits), np.concatenate(labels), names_of(images))


def calibrate_file(model: Path, images: Sequence[LabelledScene], out: Path) -> ModelCard:
    """Fit the temperature of a model file and write the model again with the same weights.

    Args:
        model: a model file.
        images: see ``calibrate``.
        out: the file to write; may be ``model`` itself.

    Returns:
        The card as written.

    Raises:
        ModelError: the file is broken or does not fit its card.
        UsageError: no pixel has a label.
        WriteError: the disk is full or fails.
    """
    network, card = load_network(model)
    card = calibrate(network, images, card).card(card)
    quantised, int8 = read_quantised(model), card.int8
    card = write_model(out, read_model(model)[0], card)
    # its answers are divided by the temperature too, so its classes stay
    return card if quantised is None or int8 is None else write_quantised(out, out, int8, quantised)


def check_recipe(file: Path, recipe: Recipe, card: ModelCard) -> None:
    """Refuse a recipe of other classes or bands than a model's.

    Raises:
        UsageError: they differ; both are named.
    """
    for what, ours, theirs in (
        ("classes", card.legend.names, recipe.legend.names),
        ("bands", card.band_names, tuple(band.name for band in recipe.bands)),
    ):
        if ours != theirs:
            raise UsageError(f"{file}: its {what} are {theirs}; those of model {card.name} are {ours}.")


def _logits_at(
    network: nn.Module, image: LabelledScene, card: ModelCard, places: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Return logits (sample, class) at flat indices of an image."""
    rows, cols = np.divmod(places, image.class_indices.shape[1])
    found = np.empty((len(places), len(card.legend)), np.float32)
    for core, logits in core_logits(network, image, card):
        inside = (core.row_start <= rows) & (rows < core.row_stop) & (core.col_start <= cols) & (cols < core.col_stop)
        found[inside] = logits[:, rows[inside] - core.row_start, cols[inside] - core.col_start].T
    return found


def _fitted(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.uint8], on: str) -> Calibration:
    class_indices = labels.astype(np.int64)
    temperature = fit_temperature(logits, class_indices)
    correct = logits.argmax(axis=1) == class_indices

    def confidence(at: float, part: slice = slice(None)) -> npt.NDArray[np.float64]:
        return np.asarray(apply_temperature(logits[part], at).max(axis=1))

    half = len(labels) // 2
    crossed = confidence(temperature)
    for fitted, measured in ((slice(half), slice(half, None)), (slice(half, None), slice(half))):
        if half:
            crossed[measured] = confidence(fit_temperature(logits[fitted], class_indices[fitted]), measured)
    return Calibration(
        temperature=temperature,
        error_before=calibration_error(confidence(1.0), correct),
        error_after=calibration_error(crossed, correct),
        surprise_before=negative_log_likelihood(logits, class_indices),
        surprise_after=negative_log_likelihood(logits, class_indices, temperature),
        pixels=len(labels),
        on=on,
    )


def names_of(images: Sequence[LabelledScene]) -> str:
    """Name images for a card: each, or how many there are."""
    names = [image.name for image in images]
    return ", ".join(names) if len(names) <= _IMAGES_NAMED else f"{len(names)} validation images"
