"""Losses for training: cross-entropy, Dice and Lovász-softmax, as a weighted sum. Unlabelled pixels are ignored."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from geoseg.training.hard_losses import boundary_loss, focal_loss, ohem_loss
from geoseg.training.settings import Settings

Weight = Annotated[float, Field(ge=0)]


class LossMix(Settings):
    """Weights of the losses that are summed; 0 leaves one out.

    Attributes:
        cross_entropy, dice, lovasz, focal, ohem, boundary: the weights.
        smoothing: label smoothing of the cross-entropy.
        focal_gamma: focusing parameter of the focal loss, which down-weights easy pixels.
        ohem_below: the hard-pixel loss counts pixels with a lower probability of their true class,
        ohem_keep: and at least this share of all pixels, the worst ones.
        boundary_px: largest distance of matching boundaries.
        class_weights: by class name, for cross-entropy, focal and hard-pixel loss; the others have weight 1.
            ``balanced`` weighs each by the median of the classes' frequencies over its own.
        separation: weight of the cross-entropy of the narrow ground between objects, as in the U-Net paper (there 10),
        separation_px: width of that ground (sigma; there 5),
        separation_classes: the classes whose regions are objects. None: those that the legend marks as countable, or
            all but the first.
    """

    later: ClassVar[frozenset[str]] = frozenset(
        {"focal", "ohem", "boundary", "focal_gamma", "ohem_below", "ohem_keep", "boundary_px", "class_weights"}
        | {"separation", "separation_px", "separation_classes"}
    )

    cross_entropy: Weight = 1.0
    dice: Weight = 0.5
    lovasz: Weight = 0.0
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    focal: Weight = 0.0
    ohem: Weight = 0.0
    boundary: Weight = 0.0
    focal_gamma: Weight = 2.0
    ohem_below: Annotated[float, Field(gt=0, le=1)] = 0.7
    ohem_keep: Annotated[float, Field(gt=0, le=1)] = 0.0625
    boundary_px: Annotated[int, Field(ge=1, le=31)] = 3
    class_weights: Literal["balanced"] | dict[str, Weight] | None = None
    separation: Weight = 0.0
    separation_px: Annotated[float, Field(gt=0, le=50)] = 5.0
    separation_classes: tuple[str, ...] | None = None


def mixed_loss(
    logits: Tensor, target: Tensor, mix: LossMix, *, ignore: int, class_weights: Tensor | None = None
) -> Tensor:
    """Compute the weighted sum of the losses.

    Args:
        logits: (B, classes, H, W).
        target: (B, H, W) int64 class indices, ``ignore`` where unlabelled.
        mix: the weights.
        ignore: the value of unlabelled pixels.
        class_weights: (classes,), for the losses that are means over pixels; None for equal weights.

    Returns:
        A scalar; 0 with a gradient of 0 when nothing is labelled.
    """
    logits = logits.float()
    known = target != ignore
    loss = functional.cross_entropy(
        logits, target, class_weights, ignore_index=ignore, label_smoothing=mix.smoothing, reduction="sum"
    ) / _mass(target, known, class_weights)
    total = mix.cross_entropy * loss
    if mix.focal:
        focal = focal_loss(logits, target, class_weights, ignore=ignore, gamma=mix.focal_gamma)
        total = total + mix.focal * focal
    if mix.ohem:
        hard = ohem_loss(logits, target, class_weights, ignore=ignore, below=mix.ohem_below, keep=mix.ohem_keep)
        total = total + mix.ohem * hard
    if mix.dice or mix.lovasz or mix.boundary:
        probs = logits.softmax(1)
        if mix.boundary:
            total = total + mix.boundary * boundary_loss(probs, target, ignore=ignore, tolerance_px=mix.boundary_px)
        if mix.dice:
            total = total + mix.dice * dice_loss(probs, target, ignore=ignore)
        if mix.lovasz:
            total = total + mix.lovasz * lovasz_softmax(probs, target, ignore=ignore)
    return total


def _mass(target: Tensor, known: Tensor, class_weights: Tensor | None) -> Tensor:
    """Return the divisor of a sum over pixels: their number, or the sum of their weights."""
    if class_weights is None:
        return known.sum().clamp(min=1)
    return class_weights[target[known]].sum().clamp(min=1e-6)


def dice_loss(probs: Tensor, target: Tensor, *, ignore: int) -> Tensor:
    """Compute one minus the Dice coefficient, over the whole batch, averaged over the classes present in it.

    Args:
        probs: (B, classes, H, W), sums to 1 over classes.
        target: (B, H, W) int64 class indices.
        ignore: the value of unlabelled pixels.

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

    Args:
        probs: (B, classes, H, W), sums to 1 over classes.
        target: (B, H, W) int64 class indices.
        ignore: the value of unlabelled pixels.

    Source:
        Berman, Triki, Blaschko 2018, https://arxiv.org/abs/1705.08790, algorithm 1.
    """
    known = target != ignore
    flat, truth = probs.movedim(1, -1)[known], target[known]
    losses = []
    for class_index in torch.unique(truth).tolist():
        foreground = (truth == class_index).to(flat.dtype)
        errors, order = (foreground - flat[:, class_index]).abs().sort(descending=True)
        losses.append(torch.dot(errors, _jaccard_gradient(foreground[order])))
    return torch.stack(losses).mean() if losses else probs.sum() * 0


def _jaccard_gradient(sorted_truth: Tensor) -> Tensor:
    intersection = sorted_truth.sum() - sorted_truth.cumsum(0)
    union = sorted_truth.sum() + (1 - sorted_truth).cumsum(0)
    jaccard = 1 - intersection / union
    return torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
