"""Normalised focal loss (Sofiiuk et al. 2019, https://arxiv.org/abs/1909.07829): focal weights whose sum stays."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from geoseg.interactive.simulate import IGNORED


def normalised_focal_loss(logits: Tensor, truth: Tensor, *, alpha: float = 0.5, gamma: float = 2.0) -> Tensor:
    """Compute the loss of one object in each image.

    The weight of a pixel, a power of its error, is divided by the mean of all weights of its image, so that an image
    that is nearly right counts no less than another.

    Args:
        logits: (B, H, W).
        truth: (B, H, W): 1 on the object, 0 on the rest, ``IGNORED`` where nothing is known.
        alpha: weight of pixels of the object; the rest has 1 - alpha.
        gamma: power of the error.

    Returns:
        The mean over the images, a scalar.
    """
    known, wanted = truth != IGNORED, truth == 1
    log_right = torch.where(wanted, functional.logsigmoid(logits), functional.logsigmoid(-logits))
    error = torch.where(known, 1 - log_right.exp(), 0.0)
    weight = error**gamma
    pixels = known.sum((1, 2), keepdim=True)
    weight = weight * (pixels / (weight.sum((1, 2), keepdim=True) + 1e-12)).detach()
    loss = -torch.where(wanted, alpha, 1 - alpha) * weight * log_right * known
    return (loss.sum((1, 2)) / pixels[:, 0, 0].clamp(min=1)).mean()


def soft_dice_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Compute 1 minus the Dice coefficient of the object in each image, of probabilities; arguments as above."""
    known, wanted = (truth != IGNORED).float(), (truth == 1).float()
    probability = torch.sigmoid(logits) * known
    common = (probability * wanted).sum((1, 2))
    there = wanted.sum((1, 2))
    dice = (2 * common + 1) / (probability.sum((1, 2)) + there + 1)
    return ((1 - dice) * (there > 0)).mean()
