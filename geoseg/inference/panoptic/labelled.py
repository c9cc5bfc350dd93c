"""Panoptic maps of labelled images, made as a run makes them, and their scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import nn

from geoseg.core.card import ModelCard, Score
from geoseg.core.layer import class_layer
from geoseg.core.spec import InstanceChoice
from geoseg.core.window import Window
from geoseg.data.labelled_scene import UNLABELLED, LabelledScene
from geoseg.inference.objects.detect import ImageRun, run_image
from geoseg.inference.objects.scene import ObjectRules, SceneInstances
from geoseg.inference.panoptic.scene import PanopticRules, ScenePanoptic
from geoseg.inference.tasks.panoptic import PanopticTask
from geoseg.inference.tasks.panoptic_layers import panoptic_layer
from geoseg.io.labels.panoptic_raster import panoptic_labels
from geoseg.score.panoptic.pairs import VOID, count_pairs
from geoseg.score.panoptic.quality import Tally, tally
from geoseg.score.panoptic.segment_maps import table_of

I64 = npt.NDArray[np.int64]

_LEAST = 0.05
_IMAGES = 4
"""Images by which the least score is chosen."""


def panoptic_map(network: nn.Module, image: LabelledScene, card: ModelCard) -> ScenePanoptic:
    """Make the panoptic map of a whole image, resampled into the card's range of ground sample distances.

    Args:
        network: a panoptic network in evaluation mode.
        image: the image.
        card: tile, halo, normalisation, legend and least score.
    """
    return _merged(run_image(PanopticTask(), network, image, card, card.min_score), card, card.min_score)


def panoptic_class_indices(found: ScenePanoptic, card: ModelCard) -> npt.NDArray[np.uint8]:
    """Return the class indices of a panoptic map, (y, x)."""
    codes = found.plane(class_layer(card.legend.nodata), Window.whole(found.shape))
    table = np.zeros(256, np.uint8)
    table[list(card.legend.codes)] = range(len(card.legend))
    return np.asarray(table[codes], np.uint8)


def panoptic_scores_of(network: nn.Module, images: Sequence[LabelledScene], card: ModelCard) -> list[Score]:
    """Score the panoptic maps of images, by the names under which they are scored together."""
    tallies: dict[str, Tally] = {}
    for image in images:
        one = tally_of(panoptic_map(network, image, card), image, card)
        tallies[image.scored_as] = one if image.scored_as not in tallies else tallies[image.scored_as] + one
    scores = []
    stuff = [code for code in card.legend.codes if code not in card.legend.countable]
    for on, one in tallies.items():
        for name, codes in (("PQ", card.legend.codes), ("PQ of things", card.legend.countable), ("PQ of stuff", stuff)):
            value = one.mean(codes)["pq"]
            if value is not None:
                scores.append(Score(on=on, metric=name, value=round(float(value), 4)))
    return scores


def best_thing_score(network: nn.Module, images: Sequence[LabelledScene], card: ModelCard) -> float:
    """Return the least score of things that gives the best panoptic quality on images, in steps of 0.05."""
    tallies: dict[float, Tally] = {}
    for image in images[:_IMAGES]:
        run = run_image(PanopticTask(), network, image, card, _LEAST)
        for least in (round(0.05 * k, 2) for k in range(1, 15)):
            one = tally_of(_merged(run, card, least), image, card)
            tallies[least] = one if least not in tallies else tallies[least] + one
    return max(tallies, key=lambda least: float(tallies[least].mean(card.legend.codes)["pq"] or 0.0))


def tally_of(found: ScenePanoptic, image: LabelledScene, card: ModelCard) -> Tally:
    """Match the segments of a map with those of the labels of an image."""
    whole = Window.whole(image.shape)
    sample = image.read(whole)
    assert sample.objects is not None  # noqa: S101 - checked when the training began
    known = sample.class_indices != UNLABELLED
    code = np.array([*card.legend.codes, 0])[np.where(known, sample.class_indices, len(card.legend))]
    number = np.unique(sample.objects, return_inverse=True)[1].reshape(image.shape)
    number += int(sample.objects.min() != 0)
    thing = np.isin(code, card.legend.countable)
    labels = panoptic_labels(code, np.where(thing, number, 0)).astype(np.int64)
    truth = np.where(known & ~(thing & (sample.objects == 0)), labels + 1, VOID)
    answer = found.plane(panoptic_layer(), whole).astype(np.int64) + 1
    ours, theirs = (table_of(np.unique(plane)) for plane in (answer, truth))
    return tally(count_pairs(_Numbers(truth), _Numbers(answer)), theirs, ours)


def _merged(run: ImageRun, card: ModelCard, min_score: float) -> ScenePanoptic:
    choice = InstanceChoice()
    rules = ObjectRules(legend=card.legend, choice=choice, min_score=min_score, min_area_m2=card.min_area_m2)
    things = SceneInstances.of_run(run.blocks, run.read, run.geobox, rules)
    return ScenePanoptic(things, run.blocks, run.geobox, PanopticRules(legend=card.legend))


class _Numbers:
    """Numbers of segments in memory; see ``SegmentMap``."""

    def __init__(self, numbers: I64) -> None:
        self.shape = (numbers.shape[0], numbers.shape[1])
        self._numbers = numbers

    def numbers(self, window: Window) -> I64:
        """Read a window."""
        return self._numbers[window.slices]
