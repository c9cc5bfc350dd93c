"""Calibration: the probabilities of a network by one number, the scores of objects by two."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, minimize
from scipy.special import expit, log_expit, log_softmax, logit, softmax

from geoseg.core.types.arrays import AnyIntegers
from geoseg.score.calibration import calibration_error

__all__ = [
    "apply_scores",
    "apply_temperature",
    "calibration_error",
    "fit_scores",
    "fit_temperature",
    "log_probabilities",
    "negative_log_likelihood",
]

_COLDEST, _HOTTEST = 1e-2, 1e2
_FLATTEST, _STEEPEST = 1e-2, 1e2
CERTAIN = 1e-6
"""Scores nearer to 0 or 1 count as this far away, where their logits are needed."""

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


def fit_scores(scores: Floats, right: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Fit the line in the logits of scores that gives the highest likelihood of what was right.

    Args:
        scores: (sample,) 0 to 1.
        right: (sample,) whether each was right; some were and some were not.

    Returns:
        Slope, within 0.01 to 100, so that the order of scores stays; and intercept.

    Raises:
        ValueError: all or none were right.

    Source:
        Platt 1999, Probabilistic Outputs for Support Vector Machines, with the targets of its section 2.2, which keep
        few samples from giving certainty.

    Examples:
        >>> slope, intercept = fit_scores(np.array([0.5] * 8), np.array([True, True, False, False] * 2))
        >>> bool(abs(intercept) < 1e-6)
        True
    """
    hits, misses = int(right.sum()), int((~right).sum())
    if not hits or not misses:
        raise ValueError("scores are fitted where some objects are right and some are not")
    x = _logits_of(scores)
    aim = np.where(right, (hits + 1) / (hits + 2), 1 / (misses + 2))

    def loss(line: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        z = line[0] * x + line[1]
        off = expit(z) - aim
        return -float((aim * log_expit(z) + (1 - aim) * log_expit(-z)).mean()), np.array([(off * x).mean(), off.mean()])

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, bounds=[(_FLATTEST, _STEEPEST), (None, None)])
    return float(found.x[0]), float(found.x[1])


def apply_scores(scores: Floats, slope: float, intercept: float) -> npt.NDArray[np.float64]:
    """Turn scores into probabilities of being right; see ``fit_scores``."""
    return np.asarray(expit(slope * _logits_of(scores) + intercept), np.float64)


def _logits_of(scores: Floats) -> npt.NDArray[np.float64]:
    return np.asarray(logit(np.clip(scores.astype(np.float64), CERTAIN, 1 - CERTAIN)))
