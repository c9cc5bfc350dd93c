"""Selection of the best of several boxes for one object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from geoseg.nn.instance.boxes import iou

Suppression = Literal["fast", "greedy"]
"""``fast``: a box goes if any better one of its class overlaps it, kept or not (Bolya et al. 2019, section 5.1).
``greedy``: only a box that is kept removes others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Rules by which the detections of an image are kept.

    Attributes:
        min_score: least score, exclusive.
        nms_iou: boxes of one class that overlap more are taken for one object.
        top_k: candidates of a class that are compared at all.
        max_objects: objects of an image.
        suppression: see ``Suppression``.
    """

    min_score: float = 0.05
    nms_iou: float = 0.5
    top_k: int = 200
    max_objects: int = 100
    suppression: Suppression = "fast"


def select(boxes: Tensor, scores: Tensor, rules: Selection) -> tuple[Tensor, Tensor, Tensor]:
    """Choose the detections of one image.

    Args:
        boxes: (n, 4).
        scores: (n, classes), without the background.
        rules: what is kept.

    Returns:
        Indices of the boxes, their classes, counted from 0, and their scores; best first.
    """
    chosen, kinds, values = [], [], []
    for kind in range(scores.shape[1]):
        value = scores[:, kind]
        index = torch.nonzero(value > rules.min_score)[:, 0]
        order = value[index].argsort(descending=True, stable=True)[: rules.top_k]
        index = index[order]
        if rules.suppression == "greedy":
            kept = batched_nms(boxes[index], value[index], torch.zeros_like(index), rules.nms_iou)
        else:
            kept = fast_nms(boxes[index], rules.nms_iou)
        index = index[kept]
        chosen.append(index)
        kinds.append(torch.full_like(index, kind))
        values.append(value[index])
    index, label, score = torch.cat(chosen), torch.cat(kinds), torch.cat(values)
    order = score.argsort(descending=True, stable=True)[: rules.max_objects]
    return index[order], label[order], score[order]


def fast_nms(boxes: Tensor, nms_iou: float) -> Tensor:
    """Keep each box that no better one overlaps by more than a share (Fast NMS of YOLACT).

    Args:
        boxes: (n, 4), best first.
        nms_iou: greatest intersection over union.

    Returns:
        Indices of the boxes kept, rising.
    """
    if not len(boxes):
        return torch.zeros(0, dtype=torch.int64, device=boxes.device)
    overlap = iou(boxes, boxes).triu(diagonal=1)
    return torch.nonzero(overlap.amax(0) <= nms_iou)[:, 0]
