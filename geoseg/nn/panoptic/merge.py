"""Masks of objects that lie over each other, reduced to what is seen of each.

Source: Kirillov et al. 2019, Panoptic Segmentation, section 6 (https://arxiv.org/abs/1801.00868). Objects are laid down
from the best to the worst; one that is covered by more than a share of itself is left out, others keep what is free.
"""

from __future__ import annotations

import torch
from torch import Tensor


def visible_masks(
    masks: Tensor, scores: Tensor, overlap: float, ranking: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Lay objects over each other.

    Args:
        masks: (n, y, x) bool.
        scores: (n,).
        overlap: an object of which a larger share is covered by better ones is left out.
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
