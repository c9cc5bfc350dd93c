"""The loss of an interactive network on a batch: an object of each chip, clicks on it, and clicks where it errs."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

from geoseg.data.chips import Batch
from geoseg.data.labelled import UNLABELLED
from geoseg.interactive.clicks import Click, click_places
from geoseg.interactive.simulate import IGNORED, ClickSampling, Truth, correcting_click, random_clicks
from geoseg.nn.interactive.contract import InteractiveNetwork
from geoseg.training.clicks.focal_loss import normalised_focal_loss, soft_dice_loss

LEAST_PX = 80
"""Objects of which a chip shows fewer pixels are not asked for."""

MOST_CORRECTIONS = 2
"""Most rounds of clicks where the network errs; each number of rounds is as likely."""

_SAMPLING = ClickSampling()


def click_loss(
    network: InteractiveNetwork, batch: Batch, rng: np.random.Generator, *, dice: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw an object and clicks for each chip, correct the network's answers a few times, and compute the loss.

    Args:
        network: in training mode.
        batch: the chips; where they tell no objects apart, each connected region of a class is one.
        rng: the only source of randomness.
        dice: weight of the Dice loss beside the normalised focal loss, which is the paper's.

    Returns:
        The loss, the logits (chip, y, x), detached, and the truth (chip, y, x) int64: 1, 0 or ``IGNORED``.
    """
    pairs = [
        _wanted(*one, rng) for one in zip(batch.class_indices.cpu().numpy(), batch.objects.cpu().numpy(), strict=True)
    ]
    truths = [truth for truth, _ in pairs]
    clicks = [random_clicks(truth, others, _SAMPLING, rng) for truth, others in pairs]
    for _ in range(int(rng.integers(MOST_CORRECTIONS + 1))):
        answers = _answers(network, batch.inputs, clicks)
        for one, wanted, answer in zip(clicks, truths, answers, strict=True):
            more = correcting_click(wanted, answer, rng)
            if more is not None:
                one.append(more)
    truth = torch.from_numpy(np.stack(truths)).to(batch.inputs.device, torch.int64)
    logits, auxiliary = network.forward_all(batch.inputs, click_places(clicks).to(batch.inputs.device))
    loss = normalised_focal_loss(logits[:, 0].float(), truth)
    if dice:
        loss = loss + dice * soft_dice_loss(logits[:, 0].float(), truth)
    for guess in auxiliary:
        loss = loss + guess.weight * normalised_focal_loss(guess.logits[:, 0].float(), truth, gamma=0)
    return loss, logits[:, 0].detach(), truth


@torch.no_grad()
def _answers(network: InteractiveNetwork, images: Tensor, clicks: list[list[Click]]) -> npt.NDArray[np.bool_]:
    """Masks (chip, y, x) that the network answers with, as in evaluation."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    logits = network(images, click_places(clicks).to(images.device))
    for module, training in modes:
        module.training = training
    return cast("npt.NDArray[np.bool_]", (logits[:, 0] > 0).cpu().numpy())


def _wanted(
    class_indices: npt.NDArray[np.int64], objects: npt.NDArray[np.int64], rng: np.random.Generator
) -> tuple[Truth, npt.NDArray[np.bool_]]:
    """Choose an object of a chip; return the truth about it, and the pixels of other objects."""
    known = class_indices != UNLABELLED
    if not objects.any():
        objects, _ = ndimage.label(known & (class_indices > 0))
    sizes = np.bincount(np.where(known, objects, 0).ravel())
    sizes[0] = 0
    numbers = np.flatnonzero(sizes >= LEAST_PX)
    truth = np.where(known, 0, IGNORED).astype(np.int8)
    if not len(numbers):  # nothing to ask for, so nothing is learnt here
        truth[:] = IGNORED
        return truth, np.zeros(truth.shape, np.bool_)
    wanted = (objects == rng.choice(numbers)) & known
    truth[wanted] = 1
    return truth, (objects > 0) & ~wanted & known
