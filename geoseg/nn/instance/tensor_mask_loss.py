"""Assignment of TensorMask's places to objects, and its losses (Chen et al. 2019, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import roi_align

from geoseg.nn.instance.contract import Losses, Target
from geoseg.nn.instance.yolact_targets import split_crowd

_GAMMA, _ALPHA = 3.0, 0.3
_MASK_WEIGHT, _INSIDE_WEIGHT = 2.0, 1.5


class Places(NamedTuple):
    """The anchors of an image, each with a mask.

    Attributes:
        boxes: (n, 4) x0, y0, x1, y1.
        units: (n,) stride of their level.
        rows: (n, 4) level, row, column, anchor.
        least_px: side of the smallest anchor, less a unit.
    """

    boxes: Tensor
    units: Tensor
    rows: Tensor
    least_px: float

    @classmethod
    def over(cls, grids: Sequence[tuple[int, int]], anchor_px: Sequence[int], like: Tensor) -> Places:
        """Lay anchors over levels of so many rows and columns; their centres lie at the corners of cells."""
        boxes, units, index = [], [], []
        for level, (rows, cols) in enumerate(grids):
            stride = 4 * 2**level
            ranges = [torch.arange(n, device=like.device) for n in (rows, cols, len(anchor_px))]
            y, x, anchor = (one.flatten() for one in torch.meshgrid(*ranges, indexing="ij"))
            half = torch.tensor([side * 2**level / 2 for side in anchor_px], device=like.device)[anchor]
            boxes.append(torch.stack([x * stride - half, y * stride - half, x * stride + half, y * stride + half], 1))
            units.append(torch.full_like(half, stride))
            index.append(torch.stack([torch.full_like(y, level), y, x, anchor], 1))
        return cls(torch.cat(boxes), torch.cat(units), torch.cat(index), min(anchor_px) - 4)


def assign(boxes: Tensor, places: Places) -> Tensor:
    """Give places to objects.

    A place is an object's if its box holds the object's, is at most twice as large (or the smallest there is), and its
    centre is at most one unit from the object's; a place that fits several objects is none's.

    Args:
        boxes: (n, 4) of the objects.
        places: the anchors.

    Returns:
        (places,) index of the object, -1 for none.
    """
    if not len(boxes):
        return torch.full_like(places.units, -1, dtype=torch.int64)
    anchors = places.boxes
    holds = (anchors[None, :, :2] <= boxes[:, None, :2]).all(2) & (anchors[None, :, 2:] >= boxes[:, None, 2:]).all(2)
    longest = (boxes[:, 2:] - boxes[:, :2]).amax(1) * 2
    longest = torch.where(longest < places.least_px, torch.full_like(longest, places.least_px), longest)
    side = (anchors[:, 2:] - anchors[:, :2]).amax(1) - places.units
    away = ((boxes[:, None, :2] + boxes[:, None, 2:]) - (anchors[None, :, :2] + anchors[None, :, 2:])) / 2
    near = ((away / places.units[None, :, None]) ** 2).sum(2) <= 1
    fits = holds & (side[None] <= longest[:, None]) & near
    return torch.where(fits.sum(0) == 1, fits.int().argmax(0), torch.full_like(fits[0], -1, dtype=torch.int64))


def losses(
    raw: tuple[Tensor, Tensor, list[list[Tensor]]],
    places: Places,
    targets: Sequence[Target],
    box_weights: tuple[float, float, float, float],
) -> Losses:
    """Losses of a batch: focal (star) of the classes, L1 of the boxes, cross-entropy of the masks.

    Args:
        raw: logits (B, places, classes - 1), moves (B, places, 4), masks of each level and anchor.
        places: the anchors.
        targets: one an image.
        box_weights: scales of the moves.
    """
    logits, moves, masks = raw
    truth, spare = torch.zeros_like(logits, dtype=torch.float32), torch.zeros_like(logits[..., 0], dtype=torch.bool)
    box, mask, count = logits.new_zeros(()), logits.new_zeros(()), 0
    scale = moves.new_tensor(box_weights)
    size = places.boxes[:, 2:] - places.boxes[:, :2]
    centre = places.boxes[:, :2] + size / 2
    for image, target in enumerate(targets):
        boxes, labels, outlines, crowd = split_crowd(target)
        owner = assign(boxes, places)
        own = torch.nonzero(owner >= 0)[:, 0]
        objects = owner[own]
        count += len(own)
        truth[image, own, labels[objects] - 1] = 1
        if len(crowd):
            held = (centre[:, None] >= crowd[None, :, :2]).all(2) & (centre[:, None] < crowd[None, :, 2:]).all(2)
            spare[image] = held.any(1) & (owner < 0)
        if not len(own):
            continue
        goal = boxes[objects]
        shift = ((goal[:, :2] + goal[:, 2:]) / 2 - centre[own]) / size[own]
        stretch = torch.log((goal[:, 2:] - goal[:, :2]) / size[own])
        box = box + (moves[image, own].float() - torch.cat([shift, stretch], 1) * scale).abs().sum()
        mask = mask + _mask_loss([[m[image] for m in level] for level in masks], places, own, outlines[objects])
    shifted = _GAMMA * logits.float() * (2 * truth - 1)
    focal = -functional.logsigmoid(shifted) / _GAMMA * (_ALPHA * truth + (1 - _ALPHA) * (1 - truth))
    total = max(1, count)
    return {"class": focal[~spare].sum() / total, "box": box / total, "mask": mask / total}


def _mask_loss(masks: list[list[Tensor]], places: Places, own: Tensor, outlines: Tensor) -> Tensor:
    """Cross-entropies of the masks of an image's objects, each over the number of its cells."""
    loss = masks[0][0].new_zeros(())
    inside = loss.new_tensor(_INSIDE_WEIGHT)
    for level, sizes in enumerate(masks):
        for anchor, answers in enumerate(sizes):
            index = places.rows[own]
            rows = torch.nonzero((index[:, 0] == level) & (index[:, 3] == anchor))[:, 0]
            if not len(rows):
                continue
            side = round(answers.shape[0] ** 0.5)
            found = answers[:, index[rows, 1], index[rows, 2]].T.reshape(-1, side, side).float()
            numbered = torch.arange(len(rows), device=own.device, dtype=torch.float32)[:, None]
            regions = torch.cat([numbered, places.boxes[own[rows]]], dim=1)
            with torch.no_grad():
                aims = roi_align(outlines[rows][:, None].float(), regions, side, 1.0, 0, aligned=True)[:, 0] >= 0.5
            entropy = functional.binary_cross_entropy_with_logits(
                found, aims.float(), pos_weight=inside, reduction="sum"
            )
            loss = loss + entropy * (_MASK_WEIGHT / side**2)
    return loss
