"""Validation of a finished network: scores for its card, and its best and worst crops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import nn

from geoseg.core.card import ModelCard, Score
from geoseg.core.window import Window
from geoseg.data.labelled import UNLABELLED, LabelledScene
from geoseg.training.score import Confusion, confusion, headline, image_scores, predict_class_indices

SHOWN = 5
"""Number of crops kept of the best and of the worst."""

_SQUARE_PX = 256
_LEAST_LABELLED = 0.5

ClassIndices = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleCrop:
    """A crop of a validation image with labels and prediction.

    Attributes:
        name: image and position.
        score: IoU of the foreground class, or mean IoU, within the square.
        values: (band, y, x) values of the image.
        truth, answer: (y, x) class indices of labels and prediction, ``UNLABELLED`` where unknown.
    """

    name: str
    score: float
    values: npt.NDArray[np.generic]
    truth: ClassIndices
    answer: ClassIndices


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationResult:
    """Result of the validation of a network.

    Attributes:
        scores: scores of each image, for the card.
        counts: (true class, predicted class) pixels of all images.
        squares: crops from worst to best, only the worst and the best ``SHOWN``; crops without a score are left out.
    """

    scores: tuple[Score, ...]
    counts: Confusion
    crops: tuple[SampleCrop, ...]


def validate(network: nn.Module, images: Sequence[LabelledScene], card: ModelCard) -> ValidationResult:
    """Predict the validation images and compare with their labels.

    Args:
        network: in evaluation mode.
        images: images of the validation split.
        card: tile, halo, normalisation and legend.
    """
    classes = len(card.legend)
    counted: dict[str, Confusion] = {}
    crops: list[SampleCrop] = []
    for image in images:
        answer = predict_class_indices(network, image, card)
        counts = confusion(image.class_indices, answer, classes)
        counted[image.scored_as] = counted.get(image.scored_as, 0) + counts
        crops = sorted([*crops, *_squares(image, answer, classes)], key=lambda square: square.score)
        if len(crops) > 2 * SHOWN:
            crops = crops[:SHOWN] + crops[-SHOWN:]
    return ValidationResult(
        scores=tuple(score for on, counts in counted.items() for score in image_scores(on, counts, card.legend)),
        counts=sum(counted.values(), np.zeros((classes, classes), np.int64)),
        crops=tuple(crops),
    )


def _squares(image: LabelledScene, answer: ClassIndices, classes: int) -> Iterator[SampleCrop]:
    height, width = answer.shape
    class_indices = image.class_indices
    for top in range(0, height, _SQUARE_PX):
        for left in range(0, width, _SQUARE_PX):
            window = Window(top, min(height, top + _SQUARE_PX), left, min(width, left + _SQUARE_PX))
            truth, found = class_indices[window.slices], answer[window.slices]
            score = headline(confusion(truth, found, classes))
            if np.isnan(score) or np.mean(truth != UNLABELLED) < _LEAST_LABELLED:
                continue
            yield SampleCrop(
                name=f"{image.name}, row {top}, column {left}",
                score=score,
                values=image.read(window).values,
                truth=truth.copy(),
                answer=found.copy(),
            )
