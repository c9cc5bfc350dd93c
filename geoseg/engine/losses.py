"""Losses for training: cross-entropy, Dice and Lovász-softmax, mixed by weights. Unlabelled pixels do not count."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional


class LossMix(BaseModel):
    """Weights of the losses that are summed.

    Attributes:
        smoothing: label smoothing of the cross-entropy.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cross_entropy: Annotated[float, Field(ge=0)] = 1.0
    dice: Annotated[float, Field(ge=0)] = 0.5
    lovasz: Annotated[float, Field(ge=0)] = 0.0
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0


def mixed_loss(logits: Tensor, target: Tensor, mix: LossMix, *, ignore: int) -> Tensor:
    """Sum the losses by their weights.

    Args:
        logits: (B, classes, H, W).
        target: (B, H, W) int64 channels, ``ignore`` where unlabelled.
        mix: the weights.
        ignore: the value of unlabelled pixels.

    Returns:
        A scalar; 0 with a gradient of 0 when nothing is labelled.
    """
    logits = logits.float()
    known = target != ignore
    loss = functional.cross_entropy(
        logits, target, ignore_index=ignore, label_smoothing=mix.smoothing, reduction="sum"
    ) / known.sum().clamp(min=1)
    total = mix.cross_entropy * loss
    if mix.dice or mix.lovasz:
        probs = logits.softmax(1)
        if mix.dice:
            total = total + mix.dice * dice_loss(probs, target, ignore=ignore)
        if mix.lovasz:
            total = total + mix.lovasz * lovasz_softmax(probs, target, ignore=ignore)
    return total


def dice_loss(probs: Tensor, target: Tensor, *, ignore: int) -> Tensor:
    """Compute one minus the Dice coefficient, over the whole batch, averaged over the classes present in it.

    Source:
        Milletari, Navab, Ahmadi 2016, V-Net, https://arxiv.org/abs/1606.04797 (squares in the denominator).
    """
    known = target != ignore
    truth = functional.one_hot(target.where(known, 0), probs.shape[1]).movedim(-1, 1).to(probs.dtype)
    truth = truth * known[:, None]
    probs = probs * known[:, None]
    both = (probs * truth).sum((0, 2, 3))
    either = (probs**2).sum((0, 2, 3)) + truth.sum((0, 2, 3))
    present = truth.sum((0, 2, 3)) > 0
    lost = 1 - 2 * both / either.clamp(min=1e-6)
    return (lost * present).sum() / present.sum().clamp(min=1)


def lovasz_softmax(probs: Tensor, target: Tensor, *, ignore: int) -> Tensor:
    """Compute the Lovász-softmax loss over the whole batch, averaged over the classes present in it.

    Source:
        Berman, Triki, Blaschko 2018, https://arxiv.org/abs/1705.08790, algorithm 1.
    """
    known = target != ignore
    flat, truth = probs.movedim(1, -1)[known], target[known]
    losses = []
    for channel in torch.unique(truth).tolist():
        foreground = (truth == channel).to(flat.dtype)
        errors, order = (foreground - flat[:, channel]).abs().sort(descending=True)
        losses.append(torch.dot(errors, _jaccard_gradient(foreground[order])))
    return torch.stack(losses).mean() if losses else probs.sum() * 0


def _jaccard_gradient(sorted_truth: Tensor) -> Tensor:
    intersection = sorted_truth.sum() - sorted_truth.cumsum(0)
    union = sorted_truth.sum() + (1 - sorted_truth).cumsum(0)
    jaccard = 1 - intersection / union
    return torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
