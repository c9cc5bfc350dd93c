"""Spatial ranking of objects: which of two objects lies on top, learnt from the labels.

Source: Liu et al. 2019, An End-to-End Network for Panoptic Segmentation, https://arxiv.org/abs/1903.05027, section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

REACH = 7
"""Length of the large kernels."""

_NOTHING = -1


class SpatialRanking(nn.Module):
    """Spatial ranking module: maps of objects by class, large kernels along both axes in both orders, a map of ranks.

    Args:
        classes: classes of things.
        width: channels between the two kernels.
    """

    def __init__(self, classes: int, width: int = 32) -> None:
        super().__init__()
        half = REACH // 2
        self.rows_first = nn.Sequential(
            nn.Conv2d(classes, width, (REACH, 1), padding=(half, 0)),
            nn.Conv2d(width, classes, (1, REACH), padding=(0, half)),
        )
        self.cols_first = nn.Sequential(
            nn.Conv2d(classes, width, (1, REACH), padding=(0, half)),
            nn.Conv2d(width, classes, (REACH, 1), padding=(half, 0)),
        )

    def forward(self, objects: Tensor) -> Tensor:
        """Map (B, classes, y, x), the objects of each class, to logits of the same shape."""
        logits: Tensor = self.rows_first(objects) + self.cols_first(objects)
        return logits


def object_maps(masks: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Scatter masks by class: (classes, y, x), 1 where an object of the class lies.

    Args:
        masks: (n, y, x).
        labels: (n,), counted from 0.
        classes: classes of things.
    """
    maps = masks.new_zeros((classes, *masks.shape[1:]), dtype=torch.float32)
    for mask, label in zip(masks, labels.tolist(), strict=True):
        maps[label] = torch.maximum(maps[label], mask.float())
    return maps


def ranking_scores(logits: Tensor, masks: Tensor, labels: Tensor) -> Tensor:
    """Mean of each object's class on the map of ranks, over its mask, (n,).

    Args:
        logits: (classes, y, x).
        masks: (n, y, x) bool.
        labels: (n,), counted from 0.
    """
    ranks = logits.softmax(0)
    area = masks.flatten(1).sum(1).clamp(min=1)
    sums = [ranks[label][mask].sum() for mask, label in zip(masks, labels.tolist(), strict=True)]
    return torch.stack(sums) / area if sums else ranks.new_zeros(0)


def ranking_loss(logits: Tensor, masks: Sequence[Tensor], labels: Sequence[Tensor]) -> Tensor:
    """Cross-entropy of the map of ranks against the class of the object that is visible, per pixel of an object.

    Args:
        logits: (B, classes, y, x).
        masks: of each image (n, y, x), which share no pixel.
        labels: (n,), counted from 0.
    """
    aims = []
    for ours, kinds in zip(masks, labels, strict=True):
        aim = torch.full(logits.shape[-2:], _NOTHING, dtype=torch.int64, device=logits.device)
        for mask, kind in zip(ours, kinds.tolist(), strict=True):
            aim[mask.bool()] = kind
        aims.append(aim)
    target = torch.stack(aims)
    if not bool((target != _NOTHING).any()):
        return logits.sum() * 0
    return functional.cross_entropy(logits.float(), target, ignore_index=_NOTHING)
