"""Mean of several answers, and how sure they are: entropy, and mutual information between answer and answerer.

With answers ``p_i`` of weight ``w_i`` (summing to 1) and ``H`` the entropy over classes, the map is made from the mean
``p = sum w_i p_i``; ``H(p)`` is all that is uncertain, ``sum w_i H(p_i)`` the part that each answer admits, and the
rest, ``H(p) - sum w_i H(p_i)``, how far they contradict each other.

Source:
    Houlsby et al. 2011, Bayesian Active Learning for Classification and Preference Learning (BALD), equation 2;
    Lakshminarayanan et al. 2017, Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import entr

from geoseg.core.legend import Legend
from geoseg.core.spec import PredictSpec
from geoseg.core.window import Window
from geoseg.inference.passes import BlockPixels, Pass
from geoseg.inference.predict import (
    BlockInput,
    BlockResult,
    Probs,
    Refine,
    as_percent,
    empty_result,
    name_classes,
    on_scene,
    predict_block,
    tile_answers,
)
from geoseg.inference.tta import views
from geoseg.runtimes.runtime import Runtime

Plane = npt.NDArray[np.float32]
Part = tuple[slice, slice]


def entropy(probs: Probs) -> Plane:
    """Measure how evenly probabilities are spread: 0 for a sure answer, 1 when all classes are equally probable.

    Args:
        probs: (class, y, x) float32.

    Returns:
        (y, x) float32: Shannon's entropy divided by the logarithm of the number of classes; 0 for a single class.
    """
    total = np.zeros(probs.shape[1:], np.float32)
    if len(probs) == 1:
        return total
    for plane in probs:
        total += entr(plane)
    total /= np.float32(np.log(len(probs)))
    return total


class Mixture:
    """A weighted mean over one block, taken answer by answer; keeps one mean, never the answers.

    The mean moves towards each answer by its share of the weight so far, so that equal answers leave it as it is, to
    the last bit.

    Args:
        classes: channels of the answers.
        shape: (rows, columns) of the block.
        entropies: whether to follow the answers' own entropies too.
    """

    def __init__(self, classes: int, shape: tuple[int, int], *, entropies: bool) -> None:
        self.mean = np.zeros((classes, *shape), np.float32)
        self._own = np.zeros(shape, np.float32) if entropies else None

    def add(self, probs: Probs, here: Part, share: float) -> None:
        """Take an answer in, over a part of the block.

        Args:
            probs: (class, y, x) over the part.
            here: the part; each answer comes once for every pixel.
            share: its weight, divided by that of all answers so far and its own; 1 for the first.
        """
        for mean, plane in zip(self.mean, probs, strict=True):
            mean[here] += (plane - mean[here]) * np.float32(share)
        if self._own is not None:
            self._own[here] += (entropy(probs) - self._own[here]) * np.float32(share)

    def uncertainty(self) -> tuple[Plane, Plane | None]:
        """Give the entropy of the mean and the mutual information (None unless entropies were followed), 0 to 1."""
        whole = entropy(self.mean)
        return whole, None if self._own is None else np.maximum(whole - self._own, 0)


def predict_mixture(
    members: Sequence[tuple[Runtime, float]],
    legend: Legend,
    spec: PredictSpec,
    pixels: BlockPixels,
    *,
    refine: Refine | None = None,
) -> BlockResult:
    """Predict one block as the mean of all members, scales and views.

    Answers are taken in one order: member by member, scale by scale, view by view, so that the bytes do not depend on
    who does it. At any time one network works, and one mean is kept (with ``taper`` one answer beside it).

    Args:
        members: networks and their weights.
        legend: of all of them.
        spec: views, and which layers are kept.
        pixels: the block, for all passes.
        refine: makes better probabilities of the mean before classes are named; entropy and mutual information are of
            the networks' own answers all the same.

    Raises:
        ModelError: a network answers in another shape, or NaN or infinity.
    """
    layers = spec.more_layers(legend, len(members))
    if spec.answers(len(members)) == 1 and not layers:
        ((one, source),) = pixels.inputs
        return predict_block(members[one.member][0], one.read, one.tiling, legend, source, refine=refine)
    shape = pixels.block.window.shape
    mixture = Mixture(len(legend), shape, entropies="mutual_information" in layers)
    so_far = 0.0
    for one, source in pixels.inputs:
        runtime, weight = members[one.member]
        for view in views(runtime, spec.tta):
            so_far += weight
            _take_in(mixture, view, one, source, weight / so_far)
    result = empty_result(pixels.block, legend, len(layers))
    probs = mixture.mean if refine is None else refine(mixture.mean, pixels)
    name_classes(probs, pixels.valid, legend, result, (slice(None), slice(None)))
    found = dict(zip(("entropy", "mutual_information"), mixture.uncertainty(), strict=True)) if spec.uncertainty else {}
    found |= {f"probability_{code}": plane for code, plane in zip(legend.codes, probs, strict=True)}
    for name, target in zip(layers, result.more, strict=True):
        plane = found[name]
        assert plane is not None  # noqa: S101 - mutual information is a layer only where entropies were followed
        np.copyto(target, as_percent(np.where(pixels.valid, plane, 0)), where=pixels.valid)
    return result


def _take_in(mixture: Mixture, runtime: Runtime, one: Pass, source: BlockInput, share: float) -> None:
    """Take one network's answer to one view in: tile by tile, or with ``taper`` when its tiles are blended."""
    window, classes = source.block.window, len(mixture.mean)
    blended = np.zeros_like(mixture.mean) if one.tiling.blend == "taper" else None
    for tile, probs in tile_answers(runtime, one.tiling, classes, source):
        part = tile.support.intersection(window)
        here = part.within(window)
        answer = on_scene(one.read, tile, probs, part)
        if blended is None:
            mixture.add(answer, here, share)
        else:
            blended[:, *here] += answer * one.tiling.weight(tile, part)
    if blended is not None:
        mixture.add(blended, Window.whole(window.shape).slices, share)
