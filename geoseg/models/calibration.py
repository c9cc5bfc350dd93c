"""Temperature scaling: calibrates the probabilities of a network by one number."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import log_softmax, softmax

from geoseg.core.types.arrays import AnyIntegers
from geoseg.score.calibration import calibration_error

__all__ = ["apply_temperature", "calibration_error", "fit_temperature", "log_probabilities", "negative_log_likelihood"]

_COLDEST, _HOTTEST = 1e-2, 1e2

Floats = npt.NDArray[np.floating]


def fit_temperature(logits: Floats, labels: AnyIntegers) -> float:
    """Fit the temperature with the highest likelihood of the labels; it changes confidence, never the chosen class.

    Args:
        logits: (sample, class); log-probabilities are allowed too.
        labels: (sample,) class indices; the samples should be of a validation split not used in training.

    Returns:
        T, to divide logits by: above 1 for an overconfident network. Within 0.01 to 100; a network that is always right
        gets 0.01, one worse than guessing 100.

    Raises:
        ValueError: no samples, or shapes that do not go together.

    Source:
        Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2. The likelihood is concave in 1/T, so the
        root of its slope is the one optimum.

    Examples:
        >>> fit_temperature(np.array([[2.0, 0.0]] * 4), np.array([0, 0, 0, 1])).__round__(3)
        1.82
    """
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or not len(labels):
        raise ValueError(
            f"logits (sample, class) and one label each are expected, not {logits.shape} and {labels.shape}"
        )
    scores = logits.astype(np.float64)
    scores -= scores.max(axis=1, keepdims=True)
    chosen = scores[np.arange(len(labels)), labels]

    def slope(log_inverse: float) -> float:
        weights = softmax(np.exp(log_inverse) * scores, axis=1)
        return float(((weights * scores).sum(axis=1) - chosen).mean())

    low, high = -np.log(_HOTTEST), -np.log(_COLDEST)
    if slope(low) >= 0:
        return _HOTTEST
    if slope(high) <= 0:
        return _COLDEST
    return float(np.exp(-brentq(slope, low, high, xtol=1e-10)))


def apply_temperature(logits: Floats, temperature: float, *, axis: int = -1) -> npt.NDArray[np.float64]:
    """Convert logits to calibrated probabilities.

    Args:
        logits: any shape.
        temperature: logits are divided by it.
        axis: axis of the classes.

    Returns:
        Probabilities of the same shape, float64, summing to 1 along ``axis``.
    """
    return np.asarray(softmax(logits.astype(np.float64) / temperature, axis=axis))


def negative_log_likelihood(logits: Floats, labels: AnyIntegers, temperature: float = 1.0) -> float:
    """Return the mean negative log-likelihood of the labels, in nats.

    Args:
        logits: (sample, class).
        labels: (sample,) class indices.
        temperature: logits are divided by it.
    """
    logs = log_softmax(logits.astype(np.float64) / temperature, axis=1)
    return float(-logs[np.arange(len(labels)), labels].mean())


def log_probabilities(probs: Floats) -> npt.NDArray[np.float64]:
    """Convert probabilities to log-probabilities; 0 is raised to the smallest normal float32."""
    return np.log(np.maximum(probs.astype(np.float64), np.finfo(np.float32).tiny))
