"""What a finished network answers on the held-out data: scores for its card, and its best and worst squares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import nn

from geoseg.core.card import ModelCard, Score
from geoseg.core.window import Window
from geoseg.data.labelled import UNLABELLED, LabelledScene
from geoseg.training.score import Confusion, confusion, headline, image_scores, predict_channels

SHOWN = 5
"""Squares kept of each end."""

_SQUARE_PX = 256
_LEAST_LABELLED = 0.5

Channels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Square:
    """A piece of a held-out image with what is there and what was answered.

    Attributes:
        name: image and place.
        score: IoU of the foreground class, or mean IoU, within the square.
        values: (band, y, x), as the image holds them.
        truth, answer: (y, x) channels, ``UNLABELLED`` where nothing is known.
    """

    name: str
    score: float
    values: npt.NDArray[np.generic]
    truth: Channels
    answer: Channels


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """All that the held-out data say of a network.

    Attributes:
        scores: of each image, for the card.
        counts: (true class, answered class) pixels of all images.
        squares: from worst to best, only the worst and the best ``SHOWN``; those without a score are left out.
    """

    scores: tuple[Score, ...]
    counts: Confusion
    squares: tuple[Square, ...]


def hold_out(network: nn.Module, images: Sequence[LabelledScene], card: ModelCard) -> HeldOut:
    """Predict the held-out images and compare.

    Args:
        network: in evaluation mode.
        images: of the validation split.
        card: tile, halo, normalisation and legend.
    """
    classes = len(card.legend)
    counted: dict[str, Confusion] = {}
    squares: list[Square] = []
    for image in images:
        answer = predict_channels(network, image, card)
        counts = confusion(image.channels, answer, classes)
        counted[image.scored_as] = counted.get(image.scored_as, 0) + counts
        squares = sorted([*squares, *_squares(image, answer, classes)], key=lambda square: square.score)
        if len(squares) > 2 * SHOWN:
            squares = squares[:SHOWN] + squares[-SHOWN:]
    return HeldOut(
        scores=tuple(score for on, counts in counted.items() for score in image_scores(on, counts, card.legend)),
        counts=sum(counted.values(), np.zeros((classes, classes), np.int64)),
        squares=tuple(squares),
    )


def _squares(image: LabelledScene, answer: Channels, classes: int) -> Iterator[Square]:
    height, width = answer.shape
    channels = image.channels
    for top in range(0, height, _SQUARE_PX):
        for left in range(0, width, _SQUARE_PX):
            window = Window(top, min(height, top + _SQUARE_PX), left, min(width, left + _SQUARE_PX))
            truth, found = channels[window.slices], answer[window.slices]
            score = headline(confusion(truth, found, classes))
            if np.isnan(score) or np.mean(truth != UNLABELLED) < _LEAST_LABELLED:
                continue
            yield Square(
                name=f"{image.name}, row {top}, column {left}",
                score=score,
                values=image.read(window).values,
                truth=truth.copy(),
                answer=found.copy(),
            )
