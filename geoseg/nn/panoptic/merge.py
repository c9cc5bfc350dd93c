"""Merge of objects and class maps into one panoptic map of an image.

Source: Kirillov et al. 2019, Panoptic Segmentation, section 6 (https://arxiv.org/abs/1801.00868). Objects are laid down
from the best to the worst; one that is covered by more than a share of itself is left out, others keep what is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRules:
    """Thresholds of the merge; the defaults are those of the published models on COCO.

    Attributes:
        min_score: objects with a lower score are left out.
        overlap: an object of which a larger share is covered by better ones is left out.
        stuff_px: classes of stuff with fewer pixels in the image are left out, pixels.
    """

    min_score: float = 0.5
    overlap: float = 0.5
    stuff_px: int = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class PanopticMap:
    """A panoptic map of one image.

    Attributes:
        segments: (y, x) int64 number of each pixel's segment, 0 for void.
        kinds: (segment,) class index of each segment, in the order of their numbers from 1.
        objects: (segment,) index of the object that it is, -1 for stuff.
    """

    segments: Tensor
    kinds: Tensor
    objects: Tensor


def visible_masks(
    masks: Tensor, scores: Tensor, overlap: float, ranking: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Lay objects over each other.

    Args:
        masks: (n, y, x) bool.
        scores: (n,).
        overlap: see ``MergeRules``.
        ranking: (n,) numbers by which objects are ordered in place of the scores; of equal ones scores decide.

    Returns:
        Indices of the objects that stay, the best first, and the pixels (m, y, x) that each keeps.
    """
    order = scores.argsort(descending=True, stable=True)
    if ranking is not None:
        order = order[ranking[order].argsort(descending=True, stable=True)]
    taken = torch.zeros(masks.shape[1:], dtype=torch.bool, device=masks.device)
    kept: list[int] = []
    seen: list[Tensor] = []
    for index in order.tolist():
        mask = masks[index]
        area = int(mask.sum())
        if area == 0 or int((mask & taken).sum()) > overlap * area:
            continue
        kept.append(index)
        seen.append(mask & ~taken)
        taken = taken | mask
    indices = torch.tensor(kept, dtype=torch.int64, device=masks.device)
    return indices, torch.stack(seen) if seen else masks[:0]


def merge(
    objects: tuple[Tensor, Tensor, Tensor],
    semantic: Tensor,
    things: Sequence[int],
    rules: MergeRules,
    ranking: Tensor | None = None,
) -> PanopticMap:
    """Merge objects with the class map of an image.

    Args:
        objects: masks (n, y, x) bool, class indices (n,) and scores (n,).
        semantic: (y, x) class index of each pixel.
        things: indices of the classes of things; their pixels on the class map become void where no object lies.
        rules: thresholds.
        ranking: see ``visible_masks``.
    """
    masks, kinds, scores = objects
    chosen = torch.nonzero(scores >= rules.min_score)[:, 0]
    rank = None if ranking is None else ranking[chosen]
    kept, seen = visible_masks(masks[chosen], scores[chosen], rules.overlap, rank)
    segments = torch.zeros(semantic.shape, dtype=torch.int64, device=semantic.device)
    for number, mask in enumerate(seen, start=1):
        segments[mask] = number
    found = kinds[chosen[kept]].tolist()
    indices = chosen[kept].tolist()
    for kind in torch.unique(semantic).tolist():
        mask = (semantic == kind) & (segments == 0)
        if kind in things or int(mask.sum()) < max(1, rules.stuff_px):
            continue
        found.append(kind)
        indices.append(-1)
        segments[mask] = len(found)
    return PanopticMap(
        segments=segments,
        kinds=torch.tensor(found, dtype=torch.int64),
        objects=torch.tensor(indices, dtype=torch.int64),
    )
