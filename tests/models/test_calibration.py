"""Temperature scaling and calibration error: known temperatures are found, errors are those of the definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from geoseg.models.calibration import (
    apply_temperature,
    calibration_error,
    fit_temperature,
    log_probabilities,
    negative_log_likelihood,
)


def drawn(seed: int, temperature: float, samples: int = 4000, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn as if the true temperature were another one."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (samples, classes))
    probs = apply_temperature(logits, temperature)
    labels = (probs.cumsum(1) < rng.random((samples, 1))).sum(1)
    return logits, np.minimum(labels, classes - 1)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 6.0])
def test_the_temperature_that_labels_were_drawn_with_is_found(temperature: float) -> None:
    logits, labels = drawn(0, temperature, samples=60_000)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(0.4, 4))
def test_no_other_temperature_is_likelier(seed: int, temperature: float) -> None:
    logits, labels = drawn(seed, temperature, samples=200)
    found = fit_temperature(logits, labels)
    least = negative_log_likelihood(logits, labels, found)
    search = minimize_scalar(
        lambda log: negative_log_likelihood(logits, labels, float(np.exp(log))), bounds=(-4.6, 4.6), method="bounded"
    )
    assert least <= search.fun + 1e-9
    assert least <= negative_log_likelihood(logits, labels)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(0.2, 5))
def test_scaling_the_logits_scales_the_temperature(seed: int, factor: float) -> None:
    logits, labels = drawn(seed, 1.5, samples=300)
    assert fit_temperature(logits * factor, labels) == pytest.approx(factor * fit_temperature(logits, labels), rel=1e-6)
    shifted = logits + np.random.default_rng(seed).normal(size=(300, 1))
    assert fit_temperature(shifted, labels) == pytest.approx(fit_temperature(logits, labels), rel=1e-6)


def test_log_probabilities_serve_as_logits() -> None:
    logits, labels = drawn(3, 2.0)
    probs = apply_temperature(logits, 1.0)
    assert fit_temperature(log_probabilities(probs), labels) == pytest.approx(fit_temperature(logits, labels), rel=1e-6)
    assert np.isfinite(log_probabilities(np.array([[1.0, 0.0]]))).all()


def test_scaling_never_changes_the_choice_and_mends_the_error() -> None:
    logits, labels = drawn(5, 4.0, samples=20_000)
    temperature = fit_temperature(logits, labels)
    before, after = apply_temperature(logits, 1.0), apply_temperature(logits, temperature)
    np.testing.assert_array_equal(before.argmax(1), after.argmax(1))
    np.testing.assert_allclose(after.sum(1), 1)
    correct = before.argmax(1) == labels
    assert calibration_error(before.max(1), correct) > 0.2
    assert calibration_error(after.max(1), correct) < 0.02


def test_the_ends_are_held() -> None:
    always_right = np.array([[5.0, 0.0], [0.0, 5.0]])
    assert fit_temperature(always_right, np.array([0, 1])) == 0.01
    assert fit_temperature(always_right, np.array([1, 0])) == 100
    assert apply_temperature(np.array([[1000.0, 0.0]]), 0.01)[0, 0] == 1
    with pytest.raises(ValueError, match="one label each"):
        fit_temperature(always_right, np.array([0]))
    with pytest.raises(ValueError, match="one label each"):
        fit_temperature(np.zeros((0, 2)), np.zeros(0, int))


def test_probabilities_over_the_map_keep_their_axis() -> None:
    probs = apply_temperature(np.random.default_rng(0).normal(size=(3, 5, 6)), 2.0, axis=0)
    np.testing.assert_allclose(probs.sum(0), 1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 25), st.integers(1, 300))
def test_calibration_error_by_loops(seed: int, bins: int, samples: int) -> None:
    rng = np.random.default_rng(seed)
    confidence, correct = rng.random(samples), rng.random(samples) < 0.7
    confidence[: samples // 5] = np.round(confidence[: samples // 5] * bins) / bins  # on the edges too
    expected = 0.0
    for k in range(bins):
        inside = [
            (c, r)
            for c, r in zip(confidence, correct, strict=True)
            if (k == 0 or np.ceil(c * bins) - 1 >= k) and (k == bins - 1 or np.ceil(c * bins) - 1 <= k)
        ]
        if inside:
            gap = abs(np.mean([c for c, _ in inside]) - np.mean([r for _, r in inside]))
            expected += gap * len(inside) / samples
    assert calibration_error(confidence, correct, bins=bins) == pytest.approx(expected)


def test_calibration_error_by_hand() -> None:
    # nine answers at 0.9, six of them right; one at 0.3, right
    confidence, correct = np.array([0.9] * 9 + [0.3]), np.array([True] * 6 + [False] * 3 + [True])
    assert calibration_error(confidence, correct, bins=10) == pytest.approx(0.9 * (0.9 - 6 / 9) + 0.1 * 0.7)
    assert np.isnan(calibration_error(np.zeros(0), np.zeros(0, bool)))
