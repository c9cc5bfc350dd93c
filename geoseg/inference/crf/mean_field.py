"""Mean-field inference in a fully connected CRF with Potts compatibility.

Kraehenbuehl and Koltun, Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials, 2011, algorithm 1:
every pixel sends a message with its class probabilities to every other; a pixel's new probabilities are the softmax of
its own log probabilities plus the received messages. As in the authors' code a pixel also sends one to itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from geoseg.core.crf_spec import Normalise
from geoseg.vector.kernel import kernel

Values = npt.NDArray[np.float32]


class PairKernel(Protocol):
    """Non-negative weights among pixels, up to one common factor."""

    def apply(self, values: Values) -> Values:
        """Sum ``values`` (pixel, channel) over all pixels, weighted."""
        ...


class Messages:
    """Messages between pixels through one kernel.

    Args:
        pair_kernel: weights among pixels.
        weight: weight of the term in the energy.
        normalise: normalisation of the kernel; see ``CrfSpec``.
        pixels: number of pixels.
    """

    def __init__(self, pair_kernel: PairKernel, weight: float, normalise: Normalise, pixels: int) -> None:
        self._kernel, self._weight = pair_kernel, np.float32(weight)
        total = pair_kernel.apply(np.ones((pixels, 1), np.float32))
        self._before = np.reciprocal(np.sqrt(total)) if normalise == "symmetric" else None
        self._after = np.reciprocal(total) if self._before is None else self._before

    def add_to(self, logits: Values, probs: Values) -> None:
        """Add the messages from ``probs`` (pixel, class) to ``logits`` (pixel, class), in place.

        For two classes only the difference is filtered. Either way classes are treated alike to the last bit: mean
        field amplifies small differences, and where two classes are equally probable everywhere, rounding must not
        decide.
        """
        if probs.shape[1] == 2:
            apart = (self._weight / 2) * self._heard(probs[:, 1:] - probs[:, :1])
            logits[:, 1:] += apart
            logits[:, :1] -= apart
        else:
            logits += self._weight * self._heard(probs)

    def _heard(self, values: Values) -> Values:
        """Filter messages (pixel, channel) by the normalised kernel."""
        return self._kernel.apply(values if self._before is None else values * self._before) * self._after


def mean_field(log_probs: Values, terms: Sequence[Messages], iterations: int) -> Values:
    """Compute the marginals of the mean-field approximation.

    Args:
        log_probs: (pixel, class) float32, the network's.
        terms: the pairwise terms.
        iterations: updates, all pixels at once.

    Returns:
        (pixel, class) float32, sums to 1 over class.
    """
    probs, logits = np.empty_like(log_probs), log_probs.copy()
    _softmax(logits, probs)
    for _ in range(iterations):
        np.copyto(logits, log_probs)
        for term in terms:
            term.add_to(logits, probs)
        _softmax(logits, probs)
    return probs


@kernel
def _softmax(logits: Values, out: Values) -> None:
    for i in range(len(logits)):
        most = logits[i, 0]
        for channel in range(1, logits.shape[1]):
            most = max(most, logits[i, channel])
        total = np.float32(0.0)
        for channel in range(logits.shape[1]):
            out[i, channel] = np.exp(logits[i, channel] - most)
            total += out[i, channel]
        for channel in range(logits.shape[1]):
            out[i, channel] /= total
