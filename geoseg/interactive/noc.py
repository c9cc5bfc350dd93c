"""NoC: the number of clicks until the answer overlaps an object well enough."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from geoseg.interactive.clicks import Click
from geoseg.interactive.predictor import Predictor, PredictorSettings
from geoseg.interactive.simulate import Truth, next_click, overlap
from geoseg.nn.interactive.contract import InteractiveNetwork

MAX_CLICKS = 20
"""Most clicks on an object; the authors' number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickCounts:
    """How many clicks objects needed for one overlap.

    Attributes:
        iou: the overlap, intersection over union.
        mean: mean number of clicks; an object that never gets there counts with the most.
        failed: objects that never got there, or did with the last click.
    """

    iou: float
    mean: float
    failed: int


@dataclass(frozen=True, slots=True)
class Clicked:
    """Overlaps and duration of the simulated clicks on one object.

    Attributes:
        overlaps: the overlap after each click.
        seconds: time of all answers, without reading and choosing clicks.
    """

    overlaps: list[float]
    seconds: float


def simulate(
    network: InteractiveNetwork,
    image: Tensor,
    truth: Truth,
    settings: PredictorSettings,
    *,
    until: float = 0.9,
    most: int = MAX_CLICKS,
) -> Clicked:
    """Click on an object until the answer is good enough.

    Args:
        network: in evaluation mode.
        image: (C, H, W), normalised.
        truth: (y, x) of the object.
        settings: of the predictor.
        until: overlap at which clicking ends.
        most: most clicks.
    """
    predictor = Predictor(network, image, settings)
    answer = np.zeros(truth.shape, np.bool_)
    clicks: list[Click] = []
    overlaps: list[float] = []
    seconds = 0.0
    while len(clicks) < most and (not overlaps or overlaps[-1] < until):
        clicks.append(next_click(truth, answer, clicks))
        began = time.monotonic()
        answer = predictor.predict(clicks) > settings.brs.threshold
        seconds += time.monotonic() - began
        overlaps.append(overlap(truth, answer))
    return Clicked(overlaps, seconds)


def count_clicks(overlaps: Sequence[Sequence[float]], iou: float, most: int = MAX_CLICKS) -> ClickCounts:
    """Count the clicks that objects needed.

    Args:
        overlaps: of each object, the overlap after each click.
        iou: overlap that is asked for.
        most: most clicks.
    """
    needed = [next((n for n, value in enumerate(one, start=1) if value >= iou), most) for one in overlaps]
    return ClickCounts(iou=iou, mean=float(np.mean(needed)), failed=sum(n >= most for n in needed))
