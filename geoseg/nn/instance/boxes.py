"""Arithmetic of axis-parallel boxes: x0, y0, x1, y1 in pixels, or centre and size; rows of anchors over an image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2
"""Scales of the offsets that SSD (Liu et al. 2016, https://arxiv.org/abs/1512.02325) regresses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """Anchors of a feature pyramid.

    Attributes:
        strides: pixels of the image a cell, one a level, finest first; powers of two.
        sizes_px: side of a square anchor, one or several a level.
        aspects: widths over heights.
        square: use the width that an aspect gives for the height too, as the published YOLACT models do.
    """

    strides: tuple[int, ...]
    sizes_px: tuple[tuple[float, ...], ...]
    aspects: tuple[float, ...]
    square: bool

    @property
    def per_cell(self) -> int:
        """Anchors at each cell of a level."""
        return len(self.sizes_px[0]) * len(self.aspects)

    def over(self, size: tuple[int, int], like: Tensor) -> Tensor:
        """Lay the anchors over an image.

        Args:
            size: rows and columns of the image.
            like: gives device and dtype.

        Returns:
            (anchors, 4): x and y of the centre, width, height, in pixels; level by level, row by row, cell by cell.
        """
        levels = []
        for stride, sizes in zip(self.strides, self.sizes_px, strict=True):
            rows, cols = (-(-side // stride) for side in size)
            y = (torch.arange(rows, device=like.device, dtype=like.dtype) + 0.5) * (size[0] / rows)
            x = (torch.arange(cols, device=like.device, dtype=like.dtype) + 0.5) * (size[1] / cols)
            shapes = [(side * ratio**0.5, side / ratio**0.5) for side in sizes for ratio in self.aspects]
            forms = torch.tensor(
                [(w, w if self.square else h) for w, h in shapes], device=like.device, dtype=like.dtype
            )
            centres = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1).reshape(-1, 1, 2)
            both = torch.cat([centres.expand(-1, len(forms), 2), forms.expand(len(centres), -1, 2)], dim=-1)
            levels.append(both.reshape(-1, 4))
        return torch.cat(levels)


def corners(boxes: Tensor) -> Tensor:
    """Turn centre and size into x0, y0, x1, y1."""
    centre, size = boxes[..., :2], boxes[..., 2:]
    return torch.cat([centre - size / 2, centre + size / 2], dim=-1)


def encode(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Offsets that turn anchors into boxes.

    Args:
        boxes: (n, 4) x0, y0, x1, y1.
        anchors: (n, 4) centre and size.
    """
    centre = ((boxes[:, :2] + boxes[:, 2:]) / 2 - anchors[:, :2]) / (CENTRE_VARIANCE * anchors[:, 2:])
    size = torch.log((boxes[:, 2:] - boxes[:, :2]) / anchors[:, 2:]) / SIZE_VARIANCE
    return torch.cat([centre, size], dim=1)


def decode(offsets: Tensor, anchors: Tensor) -> Tensor:
    """Boxes, x0, y0, x1, y1, from anchors and offsets; the inverse of ``encode``."""
    centre = anchors[..., :2] + offsets[..., :2] * CENTRE_VARIANCE * anchors[..., 2:]
    size = anchors[..., 2:] * torch.exp(offsets[..., 2:] * SIZE_VARIANCE)
    return corners(torch.cat([centre, size], dim=-1))


def clip(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Cut boxes at the edge of an image of so many rows and columns."""
    height, width = size
    return torch.stack(
        [
            boxes[..., 0].clamp(0, width),
            boxes[..., 1].clamp(0, height),
            boxes[..., 2].clamp(0, width),
            boxes[..., 3].clamp(0, height),
        ],
        dim=-1,
    )


def intersection(first: Tensor, second: Tensor) -> Tensor:
    """Areas that each box of the first set shares with each of the second.

    Args:
        first: (..., n, 4).
        second: (..., m, 4).

    Returns:
        (..., n, m).
    """
    low = torch.maximum(first[..., :, None, :2], second[..., None, :, :2])
    high = torch.minimum(first[..., :, None, 2:], second[..., None, :, 2:])
    return (high - low).clamp(min=0).prod(-1)


def area(boxes: Tensor) -> Tensor:
    """Areas of boxes, (..., n, 4) to (..., n)."""
    return (boxes[..., 2:] - boxes[..., :2]).prod(-1)


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of each box of the first set with each of the second, (..., n, m)."""
    shared = intersection(first, second)
    union = area(first)[..., :, None] + area(second)[..., None, :] - shared
    return shared / union.clamp(min=torch.finfo(union.dtype).tiny)
