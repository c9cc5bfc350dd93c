"""Losses equal their formulas, written out pixel by pixel in numpy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from geoseg.training.losses import LossMix, dice_loss, lovasz_softmax, mixed_loss

IGNORE = 255


def _case(classes: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 5, 4, generator=generator, dtype=torch.float64)
    target = torch.randint(0, classes, (2, 5, 4), generator=generator)
    target[0, 0] = IGNORE
    return logits, target


def _known(logits: torch.Tensor, target: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (pixel, class) and classes (pixel,) of labelled pixels, by numpy."""
    scores = np.moveaxis(logits.numpy(), 1, -1)[target.numpy() != IGNORE]
    odds = np.exp(scores)
    return odds / odds.sum(1, keepdims=True), target.numpy()[target.numpy() != IGNORE]


def test_cross_entropy_is_the_mean_surprise_over_labelled_pixels() -> None:
    logits, target = _case()
    probs, truth = _known(logits, target)
    expected = -np.log(probs[np.arange(len(truth)), truth]).mean()
    found = mixed_loss(logits, target, LossMix(cross_entropy=1, dice=0), ignore=IGNORE)
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_dice_is_one_minus_twice_the_overlap_over_both_sizes() -> None:
    logits, target = _case()
    probs, truth = _known(logits, target)
    lost = []
    for channel in range(3):
        p, t = probs[:, channel], truth == channel
        lost.append(1 - 2 * (p * t).sum() / ((p**2).sum() + t.sum()))
    assert dice_loss(logits.softmax(1), target, ignore=IGNORE).item() == pytest.approx(np.mean(lost), rel=1e-5)


def test_lovasz_on_hard_answers_is_one_minus_the_jaccard_index() -> None:
    """The Lovász extension agrees with the set function at the corners of the cube (Berman et al., proposition 2)."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        truth, answer = rng.integers(0, 2, (2, 1, 4, 6))
        probs = torch.nn.functional.one_hot(torch.from_numpy(answer), 2).movedim(-1, 1).double()
        jaccard = [((truth == c) & (answer == c)).sum() / ((truth == c) | (answer == c)).sum() for c in range(2)]
        found = lovasz_softmax(probs, torch.from_numpy(truth), ignore=IGNORE)
        assert found.item() == pytest.approx(1 - np.mean(jaccard))


def test_lovasz_is_the_mean_over_thresholds_of_the_jaccard_loss() -> None:
    """Another definition: the integral over t of the Jaccard loss of the set of pixels whose error exceeds t."""
    logits, target = _case(classes=2)
    probs, truth = _known(logits, target)
    total = []
    for channel in range(2):
        inside = truth == channel
        errors = np.abs(inside - probs[:, channel])
        levels = np.concatenate([[0], np.sort(errors)])
        area = 0.0
        for low, high in itertools.pairwise(levels):
            wrong = errors > (low + high) / 2
            area += (high - low) * wrong.sum() / (inside | wrong).sum()
        total.append(area)
    found = lovasz_softmax(logits.softmax(1), target, ignore=IGNORE)
    assert found.item() == pytest.approx(np.mean(total), rel=1e-6)


def test_a_perfect_answer_costs_nothing() -> None:
    _, target = _case()
    logits = torch.nn.functional.one_hot(target.where(target != IGNORE, 0), 3).movedim(-1, 1) * 50.0
    mix = LossMix(cross_entropy=1, dice=1, lovasz=1)
    assert mixed_loss(logits, target, mix, ignore=IGNORE).item() == pytest.approx(0, abs=1e-6)


def test_unlabelled_pixels_neither_cost_nor_teach() -> None:
    logits, target = _case()
    logits.requires_grad_()
    mix = LossMix(cross_entropy=1, dice=1, lovasz=1)
    mixed_loss(logits, target, mix, ignore=IGNORE).backward()
    assert logits.grad is not None
    unlabelled = (target == IGNORE)[:, None].expand_as(logits)
    assert (logits.grad[unlabelled] == 0).all()
    assert (logits.grad[~unlabelled] != 0).any()


def test_nothing_labelled_is_no_loss_and_no_gradient() -> None:
    logits = torch.randn(1, 2, 3, 3, requires_grad=True)
    target = torch.full((1, 3, 3), IGNORE)
    loss = mixed_loss(logits, target, LossMix(cross_entropy=1, dice=1, lovasz=1), ignore=IGNORE)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("term", ["cross_entropy", "dice", "lovasz"])
def test_the_mix_is_linear_in_its_weights(term: str) -> None:
    logits, target = _case()
    nothing = {"cross_entropy": 0.0, "dice": 0.0, "lovasz": 0.0}
    once = mixed_loss(logits, target, LossMix(**nothing | {term: 1.0}), ignore=IGNORE)
    thrice = mixed_loss(logits, target, LossMix(**nothing | {term: 3.0}), ignore=IGNORE)
    torch.testing.assert_close(thrice, 3 * once)
