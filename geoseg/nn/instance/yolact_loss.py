"""The losses of YOLACT (Bolya et al. 2019, https://arxiv.org/abs/1904.02689): box, class, mask, semantic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from geoseg.nn.instance.contract import Losses, Target
from geoseg.nn.instance.yolact_body import RawOutputs
from geoseg.nn.instance.yolact_targets import Matches, Rules, match, split_crowd

_CHUNK = 32
"""Masks that are resized at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossRules:
    """Weights and sampling of the losses.

    Attributes:
        box: weight of the smooth L1 loss of the offsets.
        mask: weight of the masks' binary cross-entropy.
        semantic: weight of the class maps' binary cross-entropy.
        hard_negatives: background anchors, the least sure ones, for each anchor of an object (OHEM).
        least_negatives: at least so many in an image; 0 in the paper, which has no image without objects.
        masks_per_image: maximum number of anchors, chosen at random, that contribute to the mask loss.
        matching: overlaps that make an anchor an object's.
    """

    box: float = 1.5
    mask: float = 6.125
    semantic: float = 1.0
    hard_negatives: int = 3
    least_negatives: int = 0
    masks_per_image: int = 100
    matching: Rules = field(default_factory=Rules)


def losses(raw: RawOutputs, semantic: Tensor, anchors: Tensor, targets: Sequence[Target], rules: LossRules) -> Losses:
    """Compute the losses of a batch.

    Args:
        raw: outputs of the body.
        semantic: (B, classes - 1, rows, cols) logits of the class maps.
        anchors: (anchors, 4).
        targets: one an image, with masks of the batch's size.
        rules: weights and sampling.

    Returns:
        ``box``, ``class`` and ``mask``, for each anchor that is an object's; ``semantic``, for each image.
    """
    parts = [split_crowd(target) for target in targets]
    with torch.no_grad():
        matches = [match(boxes, labels, crowd, anchors, rules.matching) for boxes, labels, _, crowd in parts]
        taught = torch.stack([one.labels for one in matches])
        aims = torch.stack([one.offsets for one in matches])
    positive = taught > 0
    count = positive.sum().clamp(min=1)
    box = functional.smooth_l1_loss(raw.offsets[positive].float(), aims[positive], reduction="sum")
    mask = raw.prototypes.new_zeros(())
    segments = raw.prototypes.new_zeros(())
    size = targets[0]["masks"].shape[-2:]
    for index, (one, (boxes, labels, masks, _)) in enumerate(zip(matches, parts, strict=True)):
        where = (raw.prototypes[index], raw.coefficients[index])
        mask = mask + _mask_loss(where, one, (boxes, masks), (size[0], size[1]), rules)
        segments = segments + _semantic_loss(semantic[index], masks, labels)
    return {
        "box": rules.box * box / count,
        "class": _class_loss(raw.logits, taught, rules) / count,
        "mask": rules.mask * mask / count,
        "semantic": rules.semantic * segments / len(parts),
    }


def _class_loss(logits: Tensor, taught: Tensor, rules: LossRules) -> Tensor:
    """Sum of the cross-entropies of the objects' anchors and of the hardest of the background's."""
    logits = logits.float()
    with torch.no_grad():
        doubt = torch.logsumexp(logits, dim=2) - logits[:, :, 0]
        doubt = doubt.masked_fill(taught != 0, -1.0)
        rank = doubt.argsort(dim=1, descending=True).argsort(dim=1)
        wanted = (taught > 0).sum(1, keepdim=True) * rules.hard_negatives
        hard = (rank < wanted.clamp(min=rules.least_negatives)) & (taught == 0)
        chosen = hard | (taught > 0)
    return functional.cross_entropy(logits[chosen], taught[chosen], reduction="sum")


def shrink_masks(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks (n, H, W) of 0 and 1 at another size, true where at least half is; (n, rows, cols) float32."""
    if not len(masks):
        return torch.zeros((0, *size), device=masks.device)
    return torch.cat(
        [
            functional.interpolate(part[None].float(), size, mode="bilinear", align_corners=False)[0].gt(0.5).float()
            for part in torch.split(masks, _CHUNK)
        ]
    )


def _mask_loss(
    where: tuple[Tensor, Tensor],
    one: Matches,
    objects: tuple[Tensor, Tensor],
    size: tuple[int, int],
    rules: LossRules,
) -> Tensor:
    """Cross-entropy of the assembled masks inside of their objects' boxes, each over its box's area."""
    prototypes, coefficients = where
    boxes, masks = objects
    chosen = torch.nonzero(one.labels > 0)[:, 0]
    total = len(chosen)
    if not total:
        return prototypes.sum() * 0.0
    if total > rules.masks_per_image:
        chosen = chosen[torch.randperm(total, device=chosen.device)[: rules.masks_per_image]]
    rows, cols = prototypes.shape[-2:]
    used, place = torch.unique(one.objects[chosen], return_inverse=True)
    aims = shrink_masks(masks[used], (rows, cols))[place]
    scaled = boxes[one.objects[chosen]] * boxes.new_tensor([cols / size[1], rows / size[0]] * 2)
    logits = torch.einsum("nk,kyx->nyx", coefficients[chosen].float(), prototypes.float())
    each = functional.binary_cross_entropy_with_logits(logits, aims, reduction="none") * inside(scaled, (rows, cols))
    each = each.sum((1, 2)) / (scaled[:, 2:] - scaled[:, :2]).prod(1)
    return each.sum() * (total / len(chosen))


def inside(boxes: Tensor, size: tuple[int, int], margin: float = 1.0) -> Tensor:
    """Pixels whose index lies within boxes that are widened by a margin.

    Args:
        boxes: (n, 4) in pixels of the grid.
        size: rows and columns of the grid.
        margin: pixels.

    Returns:
        (n, rows, cols) bool.
    """
    y = torch.arange(size[0], device=boxes.device, dtype=boxes.dtype)
    x = torch.arange(size[1], device=boxes.device, dtype=boxes.dtype)
    low, high = boxes[:, :2] - margin, boxes[:, 2:] + margin
    across = (x >= low[:, :1]) & (x < high[:, :1])
    down = (y >= low[:, 1:]) & (y < high[:, 1:])
    return down[:, :, None] & across[:, None, :]


def _semantic_loss(logits: Tensor, masks: Tensor, labels: Tensor) -> Tensor:
    """Mean over the pixels of the classes' binary cross-entropies, summed over the classes."""
    with torch.no_grad():
        small = shrink_masks(masks, (logits.shape[-2], logits.shape[-1]))
        truth = torch.zeros_like(logits, dtype=torch.float32)
        for label in torch.unique(labels).tolist():
            truth[label - 1] = small[labels == label].amax(0)
    return functional.binary_cross_entropy_with_logits(logits.float(), truth, reduction="sum") / truth[0].numel()
