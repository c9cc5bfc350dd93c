"""Focal, hard-pixel and boundary losses equal their formulas; class weights are torch's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from geoseg.core.legend import Legend
from geoseg.data.chips import Batch
from geoseg.errors import UsageError
from geoseg.training.class_weights import weights_of
from geoseg.training.hard_losses import boundary_loss, focal_loss, ohem_loss
from geoseg.training.losses import LossMix, mixed_loss

IGNORE = 255
WEIGHTS = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)


def _case(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, 6, 7, generator=generator, dtype=torch.float64)
    target = torch.randint(0, 3, (2, 6, 7), generator=generator)
    target[0, 0] = IGNORE
    return logits, target


def _own(logits: torch.Tensor, target: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Probability of each labelled pixel's own class, and that class, by numpy."""
    known = target.numpy() != IGNORE
    scores = np.moveaxis(logits.numpy(), 1, -1)[known]
    truth = target.numpy()[known]
    odds = np.exp(scores - scores.max(1, keepdims=True))
    return (odds / odds.sum(1, keepdims=True))[np.arange(len(truth)), truth], truth


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_turns_from_what_is_right_already(gamma: float, weights: torch.Tensor | None) -> None:
    logits, target = _case()
    own, truth = _own(logits, target)
    weight = np.ones(len(own)) if weights is None else weights.numpy()[truth]
    expected = (weight * (1 - own) ** gamma * -np.log(own)).sum() / weight.sum()
    assert focal_loss(logits, target, weights, ignore=IGNORE, gamma=gamma).item() == pytest.approx(expected)


@given(below=st.floats(0.05, 1.0), keep=st.floats(0.01, 1.0), seed=st.integers(0, 20))
def test_the_hard_pixels_are_the_unsure_ones_and_at_least_so_many(below: float, keep: float, seed: int) -> None:
    logits, target = _case(seed)
    own, _ = _own(logits, target)
    worst = np.sort(own)
    chosen = worst[: max(math.ceil(keep * len(worst)), int((worst <= below).sum()), 1)]
    expected = -np.log(chosen).mean()
    found = ohem_loss(logits, target, ignore=IGNORE, below=below, keep=keep).item()
    assert found == pytest.approx(expected, rel=1e-6)


def test_all_pixels_are_hard_when_all_are_kept() -> None:
    logits, target = _case()
    everything = ohem_loss(logits, target, WEIGHTS, ignore=IGNORE, below=0.5, keep=1.0)
    torch.testing.assert_close(everything, functional.cross_entropy(logits, target, WEIGHTS, ignore_index=IGNORE))


def _square(top: int, left: int) -> torch.Tensor:
    target = torch.zeros(1, 24, 24, dtype=torch.int64)
    target[:, top : top + 8, left : left + 8] = 1
    return target


def _hard(target: torch.Tensor) -> torch.Tensor:
    return functional.one_hot(target, 2).movedim(-1, 1).float()


def test_borders_in_their_places_cost_nothing_and_far_from_them_all() -> None:
    truth = _square(8, 8)
    assert boundary_loss(_hard(truth), truth, ignore=IGNORE, tolerance_px=2).item() == pytest.approx(0)
    shifted = boundary_loss(_hard(_square(10, 8)), truth, ignore=IGNORE, tolerance_px=2)
    assert shifted.item() == pytest.approx(0)
    assert boundary_loss(_hard(_square(10, 8)), truth, ignore=IGNORE, tolerance_px=1).item() > 0.2
    nothing = boundary_loss(_hard(torch.zeros_like(truth)), truth, ignore=IGNORE, tolerance_px=2)
    assert nothing.item() == pytest.approx(1)


def test_where_labels_end_is_no_border() -> None:
    truth = _square(8, 8)
    partly = truth.clone()
    partly[:, :, 16:] = IGNORE
    assert boundary_loss(_hard(truth), partly, ignore=IGNORE, tolerance_px=2).item() == pytest.approx(0)
    uniform = torch.zeros_like(truth)
    uniform[:, :, 12:] = IGNORE
    assert boundary_loss(_hard(truth), uniform, ignore=IGNORE, tolerance_px=2).item() == 0


@pytest.mark.parametrize("term", ["focal", "ohem", "boundary"])
def test_each_has_a_gradient_that_spares_unlabelled_pixels(term: str) -> None:
    logits, target = _case()
    target[:, :, 3] = IGNORE
    logits.requires_grad_()
    mix = LossMix(**{"cross_entropy": 0, "dice": 0, term: 1.0})
    mixed_loss(logits, target, mix, ignore=IGNORE).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.abs().sum() > 0
    unlabelled = (target == IGNORE)[:, None].expand_as(logits)
    assert (logits.grad[unlabelled] == 0).all()


@pytest.mark.parametrize("term", ["focal", "ohem", "boundary"])
def test_nothing_labelled_costs_nothing(term: str) -> None:
    logits = torch.randn(1, 2, 5, 5, requires_grad=True)
    mix = LossMix(**{"cross_entropy": 0, "dice": 0, term: 1.0})
    loss = mixed_loss(logits, torch.full((1, 5, 5), IGNORE), mix, ignore=IGNORE)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("term", ["focal", "ohem", "boundary"])
def test_the_mix_takes_each_by_its_weight(term: str) -> None:
    logits, target = _case()
    nothing: dict[str, Any] = {"cross_entropy": 0.0, "dice": 0.0}
    once = mixed_loss(logits, target, LossMix(**nothing, **{term: 1.0}), ignore=IGNORE)
    thrice = mixed_loss(logits, target, LossMix(**nothing, **{term: 3.0}), ignore=IGNORE)
    assert once.item() > 0
    torch.testing.assert_close(thrice, 3 * once)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_class_weights_in_the_cross_entropy_are_torch_s(smoothing: float) -> None:
    logits, target = _case()
    mix = LossMix(cross_entropy=1, dice=0, smoothing=smoothing)
    expected = functional.cross_entropy(
        logits.float(), target, WEIGHTS.float(), ignore_index=IGNORE, label_smoothing=smoothing
    )
    found = mixed_loss(logits, target, mix, ignore=IGNORE, class_weights=WEIGHTS.float())
    torch.testing.assert_close(found, expected)


class _Chips:
    """Every batch shows 6 pixels of class 0, 3 of class 1, and one unlabelled."""

    def batch(self, number: int) -> Batch:
        del number
        class_indices = torch.tensor([[[0] * 6 + [1] * 3 + [IGNORE]]])
        return Batch(torch.zeros(1, 3, 1, 10), class_indices)


def _legend() -> Legend:
    entries = [{"code": code, "name": name, "colour": "#000000"} for code, name in enumerate("abc")]
    return Legend.model_validate({"classes": entries})


def test_balanced_weights_are_median_over_frequency() -> None:
    weights = weights_of(LossMix(class_weights="balanced"), _legend(), _Chips())  # type: ignore[arg-type]
    assert weights is not None
    shares = np.array([6 / 9, 3 / 9])
    low = shares.min()  # torch's median of two is the lower one
    np.testing.assert_allclose(weights, [low / shares[0], low / shares[1], 1.0], rtol=1e-6)


def test_weights_by_name_and_names_that_are_none() -> None:
    weights = weights_of(LossMix(class_weights={"b": 4.0}), _legend(), _Chips())  # type: ignore[arg-type]
    assert weights is not None
    assert weights.tolist() == [1.0, 4.0, 1.0]
    assert weights_of(LossMix(), _legend(), _Chips()) is None  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"\['roof'\] are no classes"):
        weights_of(LossMix(class_weights={"roof": 4.0}), _legend(), _Chips())  # type: ignore[arg-type]
