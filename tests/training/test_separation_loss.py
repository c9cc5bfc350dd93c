"""The weights of the ground between objects are those of the U-Net paper."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from small_training import chip_maker, recipe, write_squares
from torch.nn import functional

from geoseg.core.legend import Legend
from geoseg.errors import UsageError
from geoseg.training.losses import LossMix
from geoseg.training.separation_loss import separated_classes, separation_loss, separation_weights
from geoseg.training.training_module import TrainingModule

IGNORE = 255


def _legend(*, countable: bool = False) -> Legend:
    kinds = ["ground", "roof", "car"]
    return Legend.model_validate(
        {
            "classes": [
                {"code": 5 * place, "name": name, "colour": f"#00000{place}", "countable": countable and name == "car"}
                for place, name in enumerate(kinds)
            ]
        }
    )


def _weights_of_the_paper(codes: np.ndarray, objects: tuple[int, ...], sigma: float) -> np.ndarray:
    masks = []
    for channel in objects:
        regions, count = ndimage.label(codes == channel)
        masks += [regions == number for number in range(1, count + 1)]
    away = np.sort(np.stack([ndimage.distance_transform_edt(~mask) for mask in masks]), axis=0)
    weights = np.exp(-((away[0] + away[1]) ** 2) / (2 * sigma**2))
    return np.where(np.any(masks, axis=0), 0, weights)


@pytest.mark.parametrize("objects", [(1,), (1, 2), (2,)])
def test_weights_are_those_of_the_paper(objects: tuple[int, ...]) -> None:
    rng = np.random.default_rng(3)
    codes = np.stack([ndimage.zoom(rng.integers(0, 3, (9, 9)), 6, order=0) for _ in range(2)])
    found = separation_weights(torch.from_numpy(codes), objects, 3.0).numpy()
    for chip, weights in zip(codes, found, strict=True):
        # what lies beyond three sigma is left out
        np.testing.assert_allclose(weights, _weights_of_the_paper(chip, objects, 3.0), atol=np.exp(-4.5))
        near = weights > 0
        np.testing.assert_allclose(weights[near], _weights_of_the_paper(chip, objects, 3.0)[near], rtol=1e-5)
    assert found.max() > 0.5


def test_one_object_has_nothing_to_be_parted_from() -> None:
    codes = torch.zeros((1, 20, 20), dtype=torch.int64)
    codes[0, 4:9, 4:9] = 1
    assert not separation_weights(codes, (1,), 5.0).any()


def test_the_loss_is_the_weighted_mean_over_labelled_pixels() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 3, 8, 8, generator=generator, requires_grad=True)
    target = torch.randint(0, 3, (2, 8, 8), generator=generator)
    target[0, :4] = IGNORE
    weights = torch.rand(2, 8, 8, generator=generator)
    log = functional.log_softmax(logits.detach(), 1)
    expected = sum(
        -log[b, target[b, y, x], y, x] * weights[b, y, x]
        for b in range(2)
        for y in range(8)
        for x in range(8)
        if target[b, y, x] != IGNORE
    ) / int((target != IGNORE).sum())
    found = separation_loss(logits, target, weights, ignore=IGNORE)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    nothing = separation_loss(logits, torch.full_like(target, IGNORE), weights, ignore=IGNORE)
    nothing.backward()
    assert nothing.item() == 0
    assert not logits.grad.any()


def test_objects_are_the_countable_classes_or_all_but_the_first_or_those_named() -> None:
    assert separated_classes(LossMix(), _legend()) == (1, 2)
    assert separated_classes(LossMix(), _legend(countable=True)) == (2,)
    assert separated_classes(LossMix(separation_classes=("roof",)), _legend(countable=True)) == (1,)
    with pytest.raises(UsageError, match="'lake'"):
        separated_classes(LossMix(separation_classes=("lake",)), _legend())


def test_a_training_step_counts_it_in(tmp_path: Path) -> None:
    data = write_squares(tmp_path)
    plain, parting = (
        recipe(loss=loss, trainer={"precision": "fp32", "tensorboard": False})
        for loss in ({}, {"separation": 4.0, "separation_px": 3.0})
    )
    batch = chip_maker(plain, data).batch(0)
    losses = [TrainingModule(wanted).training_step(batch, 0).item() for wanted in (plain, parting)]
    logits = TrainingModule(plain).network.train()(batch.inputs.contiguous(memory_format=torch.channels_last))
    weights = separation_weights(batch.class_indices, (1,), 3.0)
    assert weights.any()
    expected = 4 * separation_loss(logits, batch.class_indices, weights, ignore=IGNORE).item()
    assert losses[1] - losses[0] == pytest.approx(expected, rel=1e-4)
