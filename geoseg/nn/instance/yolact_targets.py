"""Assignment of YOLACT's anchors to objects, to the background, or to nothing."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from geoseg.nn.instance.boxes import area, corners, encode, intersection, iou
from geoseg.nn.instance.contract import Target

NEUTRAL = -1


class Matches(NamedTuple):
    """Training targets of the anchors of an image.

    Attributes:
        labels: (anchors,) class; 0 is the background, ``NEUTRAL`` teaches nothing.
        objects: (anchors,) index of the object, among those that are no crowd.
        offsets: (anchors, 4) from the anchor to its object.
    """

    labels: Tensor
    objects: Tensor
    offsets: Tensor


class Rules(NamedTuple):
    """Overlaps that decide whether an anchor is an object, background or neither.

    Attributes:
        positive_iou: from here on an anchor is the object that it overlaps most.
        negative_iou: below it is background; between the two it teaches nothing.
        crowd_share: background that lies in a crowd by more than this share of its area teaches nothing.
    """

    positive_iou: float = 0.5
    negative_iou: float = 0.4
    crowd_share: float = 0.7


def split_crowd(target: Target) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Boxes, labels and masks of the objects, and the boxes of the crowds. Boxes without area are left out."""
    boxes, labels, masks = target["boxes"].float(), target["labels"], target["masks"]
    sound = (boxes[:, 2:] > boxes[:, :2]).all(1)
    crowd = target["iscrowd"].bool() if "iscrowd" in target else torch.zeros_like(sound)
    keep = sound & ~crowd
    return boxes[keep], labels[keep], masks[keep], boxes[sound & crowd]


def match(boxes: Tensor, labels: Tensor, crowd: Tensor, anchors: Tensor, rules: Rules | None = None) -> Matches:
    """Assign anchors to the objects of one image.

    Every object gets at least one anchor: the pairs of greatest overlap are fixed first, each anchor and each object
    once, whatever their overlap is.

    Args:
        boxes: (n, 4) of the objects.
        labels: (n,) their classes, from 1.
        crowd: (m, 4) regions in which the background is unknown.
        anchors: (anchors, 4) centre and size.
        rules: the overlaps.
    """
    rules = rules or Rules()
    if not len(boxes):
        none = torch.zeros(len(anchors), dtype=torch.int64, device=anchors.device)
        return Matches(_spare(none, crowd, anchors, rules), none, torch.zeros_like(anchors))
    overlaps = iou(boxes, corners(anchors))
    best, objects = overlaps.max(0)
    for row, column in _pairs(overlaps):
        best[column] = 2.0
        objects[column] = row
    taught = labels[objects]
    taught[best < rules.positive_iou] = NEUTRAL
    taught[best < rules.negative_iou] = 0
    return Matches(_spare(taught, crowd, anchors, rules), objects, encode(boxes[objects], anchors))


def _pairs(overlaps: Tensor) -> list[tuple[int, int]]:
    """Pairs of object and anchor, taken greedily by overlap, with each object and each anchor once."""
    values, columns = overlaps.max(1)
    free = torch.ones(overlaps.shape[1], dtype=torch.bool, device=overlaps.device)
    pairs: list[tuple[int, int]] = []
    for _ in range(min(overlaps.shape)):
        row = int(values.argmax())
        column = int(columns[row])
        pairs.append((row, column))
        free[column] = False
        values[row] = -1.0
        for other in torch.nonzero((columns == column) & (values >= 0))[:, 0].tolist():
            left = torch.where(free, overlaps[other], torch.full_like(overlaps[other], -1.0))
            values[other], columns[other] = left.max(0)
    return pairs


def _spare(labels: Tensor, crowd: Tensor, anchors: Tensor, rules: Rules) -> Tensor:
    if len(crowd) and rules.crowd_share < 1:
        boxes = corners(anchors)
        share = (intersection(boxes, crowd) / area(boxes)[:, None]).amax(1)
        labels = torch.where((labels <= 0) & (share > rules.crowd_share), torch.full_like(labels, NEUTRAL), labels)
    return labels
