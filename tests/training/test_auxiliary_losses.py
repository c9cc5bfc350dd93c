"""What auxiliary heads are told: classes, presence and borders, each against an independent count."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from geoseg.nn.parts.auxiliary import Auxiliary
from geoseg.training.auxiliary_losses import auxiliary_loss, border_loss, borders, presence_loss
from geoseg.training.losses import LossMix, mixed_loss

IGNORE = 255
MIX = LossMix(dice=0.5)


@given(arrays.arrays(np.int64, (6, 7), elements=st.sampled_from([0, 1, 4, IGNORE])))
@settings(max_examples=60, deadline=None)
def test_a_border_has_another_class_next_to_it(codes: np.ndarray) -> None:
    def mixed(near: np.ndarray) -> bool:
        known = set(near.tolist()) - {IGNORE}
        return near[4] != IGNORE and len(known) > 1

    expected = ndimage.generic_filter(codes, mixed, 3, mode="constant", cval=IGNORE).astype(bool)
    found = borders(torch.from_numpy(codes)[None], ignore=IGNORE)[0].numpy()
    np.testing.assert_array_equal(found, expected)


def test_presence_asks_which_classes_a_tile_holds() -> None:
    target = torch.tensor([[[0, 2], [IGNORE, 2]], [[1, 1], [1, 1]]])
    held = torch.tensor([[1.0, 0, 1], [0, 1, 0]])
    certain = (2 * held - 1) * 50
    assert presence_loss(certain, target, ignore=IGNORE).item() == pytest.approx(0, abs=1e-6)
    unsure = presence_loss(torch.zeros(2, 3), target, ignore=IGNORE)
    assert unsure.item() == pytest.approx(np.log(2))


def test_a_sure_border_costs_nothing_and_a_blind_one_a_quarter_of_its_entropy() -> None:
    target = torch.zeros(1, 6, 6, dtype=torch.long)
    target[..., 3:] = 1
    truth = borders(target, ignore=IGNORE).float()[:, None]
    assert truth.sum() == 12
    assert border_loss((2 * truth - 1) * 50, target, ignore=IGNORE).item() == pytest.approx(0, abs=1e-6)
    assert border_loss(0 * truth, target, ignore=IGNORE).item() == pytest.approx(0.25 * np.log(2))


def test_the_weights_of_the_answers_are_those_of_the_sum() -> None:
    torch.manual_seed(0)
    target = torch.randint(0, 3, (2, 8, 8))
    logits = torch.randn(2, 3, 8, 8), torch.randn(2, 3), torch.randn(2, 1, 8, 8)
    beside = [
        Auxiliary(logits[0], 0.4),
        Auxiliary(logits[1], 0.2, "presence"),
        Auxiliary(logits[2], 0.1, "border"),
    ]
    expected = (
        0.4 * mixed_loss(logits[0], target, MIX, ignore=IGNORE)
        + 0.2 * presence_loss(logits[1], target, ignore=IGNORE)
        + 0.1 * border_loss(logits[2], target, ignore=IGNORE)
    )
    torch.testing.assert_close(auxiliary_loss(beside, target, MIX, ignore=IGNORE), expected)
    assert auxiliary_loss([], target, MIX, ignore=IGNORE).item() == 0


def test_nothing_labelled_costs_nothing_and_has_a_gradient() -> None:
    target = torch.full((1, 4, 4), IGNORE)
    logits = torch.randn(1, 1, 4, 4, requires_grad=True)
    loss = border_loss(logits, target, ignore=IGNORE)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert not logits.grad.any()
