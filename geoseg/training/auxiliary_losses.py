"""Losses of the auxiliary heads of a network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from geoseg.nn.parts.auxiliary import Auxiliary
from geoseg.training.losses import LossMix, mixed_loss

_FOCUS = 2.0


def auxiliary_loss(
    auxiliary: Sequence[Auxiliary], target: Tensor, mix: LossMix, *, ignore: int, class_weights: Tensor | None = None
) -> Tensor:
    """Sum the losses of the auxiliary outputs by their published weights.

    Args:
        auxiliary: auxiliary outputs of ``forward_all``.
        target: (B, H, W) int64 class indices, ``ignore`` where unlabelled.
        mix: losses of outputs with a class per pixel.
        ignore: the value of unlabelled pixels.
        class_weights: (classes,), for those losses; None for equal weights.

    Returns:
        A scalar; 0 without auxiliary outputs.
    """
    total = torch.zeros((), device=target.device)
    for answer in auxiliary:
        if answer.target == "codes":
            loss = mixed_loss(answer.logits, target, mix, ignore=ignore, class_weights=class_weights)
        elif answer.target == "presence":
            loss = presence_loss(answer.logits, target, ignore=ignore)
        else:
            loss = border_loss(answer.logits, target, ignore=ignore)
        total = total + answer.weight * loss
    return total


def presence_loss(logits: Tensor, target: Tensor, *, ignore: int) -> Tensor:
    """Compute the binary cross-entropy of the presence of classes in a tile.

    Args:
        logits: (B, classes).
        target: (B, H, W) int64 class indices.
        ignore: the value of unlabelled pixels.

    Source:
        Zhang et al. 2018, Context Encoding for Semantic Segmentation, https://arxiv.org/abs/1803.08904, section 3.1.
    """
    known = target != ignore
    present = functional.one_hot(target.where(known, 0), logits.shape[1]) * known[..., None]
    return functional.binary_cross_entropy_with_logits(logits.float(), present.amax((1, 2)).float())


def border_loss(logits: Tensor, target: Tensor, *, ignore: int) -> Tensor:
    """Compute the focal loss of class borders.

    Args:
        logits: (B, 1, H, W).
        target: (B, H, W) int64 class indices.
        ignore: the value of unlabelled pixels.

    Source:
        Yu et al. 2018, Learning a Discriminative Feature Network, https://arxiv.org/abs/1804.09337, section 3.2.
    """
    known = target != ignore
    truth = borders(target, ignore=ignore).float()
    entropy = functional.binary_cross_entropy_with_logits(logits[:, 0].float(), truth, reduction="none")
    focal = (1 - torch.exp(-entropy)) ** _FOCUS * entropy
    return (focal * known).sum() / known.sum().clamp(min=1)


def borders(target: Tensor, *, ignore: int) -> Tensor:
    """Mark the labelled pixels that have a labelled pixel of another class among their eight neighbours.

    Args:
        target: (B, H, W) int64 class indices.
        ignore: the value of unlabelled pixels.

    Returns:
        (B, H, W) bool.
    """
    known = target != ignore
    codes = target.float()
    lowest = -torch.inf
    highest_near = functional.max_pool2d(codes.where(known, lowest), 3, stride=1, padding=1)
    lowest_near = -functional.max_pool2d((-codes).where(known, lowest), 3, stride=1, padding=1)
    return known & (highest_near != lowest_near)
