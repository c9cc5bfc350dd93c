"""Losses that emphasise hard pixels: focal, hard-example mining, and boundary. Unlabelled pixels are ignored.

Existing implementations do not fit: segmentation-models-pytorch's multi-class focal loss sums one-against-all
sigmoids, torchvision's supports two classes and no unlabelled pixels, and neither has the other two losses.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def focal_loss(
    logits: Tensor, target: Tensor, class_weights: Tensor | None = None, *, ignore: int, gamma: float
) -> Tensor:
    """Compute the focal loss of a softmax: cross-entropy times (1 - p) ** gamma, over the number of labelled pixels.

    Args:
        logits: (B, classes, H, W) float32.
        target: (B, H, W) int64 class indices.
        class_weights: (classes,), or None for equal weights.
        ignore: the value of unlabelled pixels.
        gamma: 0 makes it the cross-entropy.

    Source:
        Lin et al. 2017, Focal Loss for Dense Object Detection, https://arxiv.org/abs/1708.02002, equation 5.
    """
    known = target != ignore
    surprise = functional.cross_entropy(logits, target, ignore_index=ignore, reduction="none")[known]
    wrong = (1 - torch.exp(-surprise)).clamp(min=1e-8)  # the power's slope at 0 is infinite for gamma < 1
    loss, weights = wrong**gamma * surprise, _weights(target[known], class_weights, surprise)
    return (loss * weights).sum() / weights.sum().clamp(min=1e-6)


def ohem_loss(
    logits: Tensor,
    target: Tensor,
    class_weights: Tensor | None = None,
    *,
    ignore: int,
    below: float,
    keep: float,
) -> Tensor:
    """Compute the cross-entropy over hard pixels only.

    Args:
        logits: (B, classes, H, W) float32.
        target: (B, H, W) int64 class indices.
        class_weights: (classes,), or None for equal weights.
        ignore: the value of unlabelled pixels.
        below: pixels with a lower probability of their true class count.
        keep: least share of the labelled pixels that count, the worst ones.

    Source:
        Shrivastava, Gupta, Girshick 2016, https://arxiv.org/abs/1604.03540; with a threshold and a least number as in
        Yuan, Chen, Wang 2020, https://arxiv.org/abs/1909.11065, section 4.2.
    """
    known = target != ignore
    surprise = functional.cross_entropy(logits, target, ignore_index=ignore, reduction="none")[known]
    if not len(surprise):
        return logits.sum() * 0
    least = max(1, math.ceil(keep * len(surprise)))
    level = surprise.detach().topk(least).values[-1].clamp(max=-math.log(below))
    hard = surprise.detach() >= level
    weights = _weights(target[known], class_weights, surprise)[hard]
    return (surprise[hard] * weights).sum() / weights.sum().clamp(min=1e-6)


def boundary_loss(probs: Tensor, target: Tensor, *, ignore: int, tolerance_px: int) -> Tensor:
    """Compute one minus the F1 of soft boundaries, over the whole batch, averaged over the classes with boundaries.

    Args:
        probs: (B, classes, H, W), sums to 1 over classes.
        target: (B, H, W) int64 class indices.
        ignore: the value of unlabelled pixels; boundaries next to them are ignored.
        tolerance_px: largest distance of matching boundaries.

    Source:
        Bokhovkin and Burnaev 2019, Boundary Loss for Remote Sensing Imagery Semantic Segmentation,
        https://arxiv.org/abs/1905.07852, section 3.
    """
    known = target != ignore
    sure = _least(known[:, None].to(probs.dtype), 1)
    truth = functional.one_hot(target.where(known, 0), probs.shape[1]).movedim(-1, 1).to(probs.dtype)
    true_border, found_border = (sure * (values - _least(values, 1)) for values in (truth, probs))
    near_true, near_found = (_most(border, tolerance_px) for border in (true_border, found_border))
    axes = (0, 2, 3)
    precision = (found_border * near_true).sum(axes) / found_border.sum(axes).clamp(min=1e-6)
    recall = (true_border * near_found).sum(axes) / true_border.sum(axes).clamp(min=1e-6)
    f1 = 2 * precision * recall / (precision + recall).clamp(min=1e-6)
    present = true_border.sum(axes) > 0
    return ((1 - f1) * present).sum() / present.sum().clamp(min=1)


def _weights(classes: Tensor, class_weights: Tensor | None, like: Tensor) -> Tensor:
    return torch.ones_like(like) if class_weights is None else class_weights[classes].to(like.dtype)


def _most(values: Tensor, radius_px: int) -> Tensor:
    return functional.max_pool2d(values, 2 * radius_px + 1, stride=1, padding=radius_px)


def _least(values: Tensor, radius_px: int) -> Tensor:
    return -_most(-values, radius_px)
