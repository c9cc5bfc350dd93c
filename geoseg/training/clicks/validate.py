"""Validation of interactive networks: simulated clicks on objects of held-out images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor, nn

from geoseg.core.card import ModelCard, Score
from geoseg.core.window import Window
from geoseg.data.labelled import UNLABELLED, LabelledScene
from geoseg.data.labelled_scene import Sample, unit
from geoseg.interactive.clicks import Click
from geoseg.interactive.noc import count_clicks, simulate
from geoseg.interactive.predictor import Predictor, PredictorSettings
from geoseg.interactive.simulate import IGNORED, Truth, next_click
from geoseg.interactive.zoom import zoom_for
from geoseg.nn.interactive.contract import InteractiveNetwork
from geoseg.training.clicks.step import LEAST_PX
from geoseg.training.score import Confusion
from geoseg.training.validation import ValidationResult

OBJECTS = 12
"""Objects of each group of images scored under one name that are clicked on."""

IOUS = (0.85, 0.9)
"""Overlaps that clicks are counted for."""

_SIDE_PX = 400
_LOOK_CLICKS = 3
_TRIES = 8


def held_out_objects(
    image: LabelledScene, card: ModelCard, count: int = OBJECTS, seed: int = 0
) -> Iterator[tuple[Tensor, Truth]]:
    """Draw objects of an image, each in a square of its surroundings.

    Args:
        image: labelled image.
        card: normalisation.
        count: most objects.
        seed: decides which.

    Yields:
        The square (C, y, x), normalised, and the truth about an object that lies whole inside it.
    """
    rng = np.random.default_rng(seed)
    mean, std = (
        torch.tensor([getattr(band, key) for band in card.bands], dtype=torch.float32)[:, None, None]
        for key in ("mean", "std")
    )
    found = 0
    for _ in range(_TRIES * count):
        starts = [int(rng.integers(max(1, length - _SIDE_PX + 1))) for length in image.shape]
        window = Window(starts[0], starts[0] + _SIDE_PX, starts[1], starts[1] + _SIDE_PX)
        sample = image.read(window.intersection(Window.whole(image.shape)))
        truth = _whole_object(sample, rng)
        if truth is None:
            continue
        values = (torch.from_numpy(unit(sample.values)) - mean) / std
        yield torch.where(torch.from_numpy(sample.valid), values, 0.0), truth
        found += 1
        if found == count:
            return


def _whole_object(sample: Sample, rng: np.random.Generator) -> Truth | None:
    known = sample.valid & (sample.class_indices != UNLABELLED)
    numbers: npt.NDArray[np.int64]
    if sample.objects is None:
        numbers = ndimage.label(known & (sample.class_indices > 0))[0]
    else:
        present, places = np.unique(sample.objects, return_inverse=True)
        numbers = places.reshape(known.shape) + int(present[0] != 0)
    sizes = np.bincount(np.where(known, numbers, 0).ravel())
    cut = np.unique(np.concatenate([numbers[0], numbers[-1], numbers[:, 0], numbers[:, -1]]))
    sizes[cut] = 0
    whole = np.flatnonzero(sizes >= LEAST_PX)
    whole = whole[whole > 0]
    if not len(whole):
        return None
    return np.where(known, numbers == rng.choice(whole), IGNORED).astype(np.int8)


def look(network: nn.Module, images: Sequence[LabelledScene], card: ModelCard) -> Confusion:
    """Count the pixels of held-out objects after three clicks, without refinement, by (truth, answer)."""
    counts = np.zeros((2, 2), np.int64)
    settings = _settings(card, flip=False)
    for _, values, truth in _drawn(images, card):
        predictor = Predictor(_interactive(network), values, settings)
        answer = np.zeros(truth.shape, np.bool_)
        clicks: list[Click] = []
        for _ in range(_LOOK_CLICKS):
            clicks.append(next_click(truth, answer, clicks))
            answer = predictor.predict(clicks) > settings.brs.threshold
        known = truth != IGNORED
        counts += np.bincount(truth[known] * 2 + answer[known], minlength=4).reshape(2, 2)
    return counts


def score(network: nn.Module, images: Sequence[LabelledScene], card: ModelCard) -> ValidationResult:
    """Count the clicks that objects of held-out images need, without refinement.

    Args:
        network: in evaluation mode.
        images: of the validation side.
        card: normalisation.
    """
    by_name: dict[str, list[list[float]]] = {}
    for name, values, truth in _drawn(images, card):
        clicked = simulate(_interactive(network), values, truth, _settings(card), until=max(IOUS))
        by_name.setdefault(name, []).append(clicked.overlaps)
    scores = tuple(
        Score(on=name, metric=f"NoC@{100 * iou:.0f}", value=round(count_clicks(overlaps, iou).mean, 3))
        for name, overlaps in by_name.items()
        for iou in IOUS
    )
    return ValidationResult(scores=scores, counts=look(network, images, card), crops=())


def _drawn(images: Sequence[LabelledScene], card: ModelCard) -> Iterator[tuple[str, Tensor, Truth]]:
    """Draw objects of all images: the name of their score, square and truth."""
    groups: dict[str, list[LabelledScene]] = {}
    for image in images:
        groups.setdefault(image.scored_as, []).append(image)
    for name, group in groups.items():
        for seed, image in enumerate(group):
            for values, truth in held_out_objects(image, card, max(1, OBJECTS // len(group)), seed):
                yield name, values, truth


def _settings(card: ModelCard, *, flip: bool = True) -> PredictorSettings:
    return PredictorSettings(method="plain", flip=flip, zoom=zoom_for(card.tile_px))


def _interactive(network: nn.Module) -> InteractiveNetwork:
    assert isinstance(network, InteractiveNetwork)  # noqa: S101 - the recipe was checked
    return network
