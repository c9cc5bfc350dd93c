"""Mean of several predictions and its uncertainty: entropy, and mutual information of class and predictor.

With predictions ``p_i`` of weight ``w_i`` (summing to 1) and ``H`` the entropy over classes, the map is made from the
mean ``p = sum w_i p_i``; ``H(p)`` is the total uncertainty, ``sum w_i H(p_i)`` the expected entropy of the single
predictions, and their difference, ``H(p) - sum w_i H(p_i)``, the mutual information: their disagreement.

Source:
    Houlsby et al. 2011, Bayesian Active Learning for Classification and Preference Learning (BALD), equation 2;
    Lakshminarayanan et al. 2017, Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geoseg.inference.classify import Part, Probs

Plane = npt.NDArray[np.float32]


def entropy(probs: Probs) -> Plane:
    """Compute the normalised entropy: 0 for a certain class, 1 when all classes are equally probable.

    Args:
        probs: (class, y, x) float32.

    Returns:
        (y, x) float32: Shannon's entropy divided by the logarithm of the number of classes; 0 for a single class.
    """
    from scipy.special import entr  # noqa: PLC0415 - for entropy alone

    total = np.zeros(probs.shape[1:], np.float32)
    if len(probs) == 1:
        return total
    for plane in probs:
        total += entr(plane)
    total /= np.float32(np.log(len(probs)))
    return total


class Mixture:
    """Running weighted mean of predictions over one block; only the mean is kept.

    The mean moves towards each prediction by its share of the weight so far, so that equal predictions leave it
    unchanged to the last bit.

    Args:
        classes: number of classes.
        shape: (rows, columns) of the block.
        entropies: True to accumulate the entropies of the predictions too.
    """

    def __init__(self, classes: int, shape: tuple[int, int], *, entropies: bool) -> None:
        self.mean = np.zeros((classes, *shape), np.float32)
        self._own = np.zeros(shape, np.float32) if entropies else None

    def add(self, probs: Probs, here: Part, share: float) -> None:
        """Add a prediction over a part of the block.

        Args:
            probs: (class, y, x) over the part.
            here: the part; each prediction must cover every pixel once.
            share: its weight divided by the sum of all weights so far, its own included; 1 for the first.
        """
        for mean, plane in zip(self.mean, probs, strict=True):
            mean[here] += (plane - mean[here]) * np.float32(share)
        if self._own is not None:
            self._own[here] += (entropy(probs) - self._own[here]) * np.float32(share)

    def uncertainty(self) -> tuple[Plane, Plane | None]:
        """Return the entropy of the mean and the mutual information (None unless ``entropies``), 0 to 1."""
        whole = entropy(self.mean)
        return whole, None if self._own is None else np.maximum(whole - self._own, 0)
