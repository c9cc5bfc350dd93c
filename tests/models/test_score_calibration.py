"""Scores of objects become probabilities of being right, without changing their order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from torch import nn

from geoseg.core.card import ScoreCalibration
from geoseg.models.calibration import apply_scores, calibration_error, fit_scores
from geoseg.models.detection_head import DetectionHead


def drawn(slope: float, intercept: float, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and whether each was right, where the line is true."""
    random = np.random.default_rng(0)
    scores = random.random(count)
    return scores, random.random(count) < expit(slope * logit(scores) + intercept)


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.4, -1.0), (2.5, 1.0)])
def test_the_line_that_the_samples_were_drawn_from_is_found(slope: float, intercept: float) -> None:
    scores, right = drawn(slope, intercept)
    found = fit_scores(scores, right)
    assert found == pytest.approx((slope, intercept), abs=0.1)
    assert calibration_error(apply_scores(scores, *found), right) < 0.02


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=30))
def test_the_order_of_scores_stays_whatever_was_right(samples: list[tuple[float, bool]]) -> None:
    scores, right = np.array([score for score, _ in samples]), np.array([ok for _, ok in samples])
    if right.all() or not right.any():
        with pytest.raises(ValueError, match="some objects are right"):
            fit_scores(scores, right)
        return
    slope, intercept = fit_scores(scores, right)
    assert slope > 0
    after = apply_scores(np.sort(scores), slope, intercept)
    assert (np.diff(after) >= 0).all()
    assert ((after > 0) & (after < 1)).all()


class Fixed(nn.Module):
    """Answers the same scores for each tile."""

    def forward(self, tiles: torch.Tensor) -> list[dict[str, torch.Tensor]]:
        scores = torch.tensor([1.0, 0.75, 0.5, 0.0])
        masks = torch.zeros(4, *tiles.shape[-2:])
        one = {"boxes": torch.zeros(4, 4), "labels": torch.ones(4, dtype=torch.int64), "scores": scores, "masks": masks}
        return [one] * len(tiles)


def test_the_head_applies_what_was_fitted_and_nothing_without_it() -> None:
    tiles = torch.zeros(2, 3, 8, 8)
    plain = DetectionHead(Fixed())(tiles)[2]
    assert plain.tolist() == [[1.0, 0.75, 0.5, 0.0]] * 2
    calibrated = DetectionHead(Fixed(), ScoreCalibration(slope=0.7, intercept=-0.3))(tiles)[2]
    expected = apply_scores(plain[0].numpy(), 0.7, -0.3)
    np.testing.assert_allclose(calibrated[1].numpy(), expected, rtol=1e-4)
