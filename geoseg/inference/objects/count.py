"""ObjectCount: detected objects of labelled images, matched with the objects of the labels pixel by pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import nn

from geoseg.core.card import ModelCard, Score, ScoreCalibration
from geoseg.core.window import Window
from geoseg.data.labelled_scene import UNLABELLED, LabelledScene
from geoseg.inference.objects.detect import detect
from geoseg.inference.objects.scene import SceneInstances
from geoseg.models.calibration import apply_scores, calibration_error, fit_scores

LEAST_SCORE = 0.05
"""Detections below this score are of no use."""

_IOU = 0.5
_FEWEST = 20
"""Right detections, and wrong ones, that scores are fitted on at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectCount:
    """Detected objects of images, each matched with at most one object of the labels.

    Attributes:
        score: (detected,) float64.
        matched: (detected,) True if a labelled object of the class agrees by at least half of the union.
        labelled: objects of the labels.
    """

    score: npt.NDArray[np.float64]
    matched: npt.NDArray[np.bool_]
    labelled: int

    def f1(self, min_score: float) -> float:
        """F1 of the objects with at least a score."""
        kept = self.score >= min_score
        return 2 * int((kept & self.matched).sum()) / max(1, int(kept.sum()) + self.labelled)

    def best(self) -> float:
        """Return the least score with the best F1, in steps of 0.05."""
        return max((round(0.05 * k, 2) for k in range(1, 20)), key=self.f1)


def count_objects(found: SceneInstances, image: LabelledScene) -> ObjectCount:
    """Match the detected objects of an image with those of its labels; objects without labels around are left out.

    Args:
        found: detected objects, which share no pixel.
        image: labels with objects.
    """
    sample = image.read(Window.whole(image.shape))
    assert sample.objects is not None  # noqa: S101 - checked when the training began
    labels = found.labels(Window.whole(image.shape))
    known = sample.class_indices != UNLABELLED
    truth = np.unique(np.where(known, sample.objects, 0), return_inverse=True)[1].reshape(image.shape)
    truth += int(not (sample.objects[known] == 0).any() and known.all())
    size_of_truth, size = np.bincount(truth.ravel()), np.bincount(labels[known], minlength=len(found) + 1)
    both = (truth > 0) & (labels > 0)
    key, shared = np.unique(labels[both].astype(np.int64) << 32 | truth[both], return_counts=True)
    one, other = key >> 32, key & 0xFFFFFFFF
    good = shared > _IOU * (size[one] + size_of_truth[other] - shared)
    matched = np.zeros(len(found) + 1, np.bool_)
    matched[one[good]] = True
    shown = size[1:] > 0
    return ObjectCount(
        score=np.asarray(found.table.columns["score"][1:][shown], np.float64),
        matched=matched[1:][shown],
        labelled=len(size_of_truth) - 1,
    )


def together(parts: Sequence[ObjectCount]) -> ObjectCount:
    """Put the objects of several images together."""
    return ObjectCount(
        score=np.concatenate([part.score for part in parts]),
        matched=np.concatenate([part.matched for part in parts]),
        labelled=sum(part.labelled for part in parts),
    )


def object_scores_of(network: nn.Module, images: Sequence[LabelledScene], card: ModelCard) -> list[Score]:
    """Score the objects of images, by the names under which they are scored together."""
    counted: dict[str, list[ObjectCount]] = {}
    for image in images:
        found = detect(network, image, card, min_score=card.min_score)
        counted.setdefault(image.scored_as, []).append(count_objects(found, image))
    return [
        Score(on=on, metric="object F1 (IoU 0.5)", value=round(together(parts).f1(card.min_score), 4))
        for on, parts in counted.items()
    ]


def best_min_score(network: nn.Module, images: Sequence[LabelledScene], card: ModelCard) -> float:
    """Return the least score that gives the best F1 on images."""
    found = (count_objects(detect(network, image, card, min_score=LEAST_SCORE), image) for image in images)
    return together(list(found)).best()


def calibrate_scores(network: nn.Module, images: Sequence[LabelledScene], card: ModelCard) -> ModelCard:
    """Fit what turns scores into the probability that a labelled object agrees; ``min_score`` is turned too.

    Args:
        network: a detector in evaluation mode.
        images: of the validation split.
        card: without a calibration; its ``min_score`` is one of the network's scores.

    Returns:
        The card with the calibration, and the expected calibration error before and after it as scores: each half of
        the detections is measured at what fits the other half. As it is where there are too few detections.
    """
    counts = [count_objects(detect(network, image, card, min_score=LEAST_SCORE), image) for image in images]
    if not counts:
        return card
    found = together(counts)
    score, right = found.score, found.matched
    if min(int(right.sum()), int((~right).sum())) < _FEWEST:
        return card
    slope, intercept = (round(value, 4) for value in fit_scores(score, right))
    crossed = np.empty(len(score))
    fold = np.arange(len(score)) % 2 == 0
    for part in (fold, ~fold):
        crossed[~part] = apply_scores(score[~part], *fit_scores(score[part], right[part]))
    on = ", ".join(dict.fromkeys(image.scored_as for image in images))
    errors = (
        ("expected calibration error of the network's scores", score),
        ("expected calibration error of scores", crossed),
    )
    least = float(apply_scores(np.array([card.min_score]), slope, intercept)[0])
    return card.model_copy(
        update={
            "score_calibration": ScoreCalibration(slope=slope, intercept=intercept),
            "min_score": round(least, 4),
            "scores": tuple(
                Score(on=on, metric=metric, value=round(calibration_error(values, right), 4))
                for metric, values in errors
            ),
        }
    )
