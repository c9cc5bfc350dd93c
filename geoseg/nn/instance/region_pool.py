"""RoIAlign over a pyramid (He et al. 2017, https://arxiv.org/abs/1703.06870), with the differences of its lineages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor
from torchvision.ops import MultiScaleRoIAlign, roi_align
from torchvision.ops.poolers import LevelMapper

Pooling = Literal["align", "crop"]
"""``align``: RoIAlign. ``crop``: one point a bin, from the centre of the region's first pixel to that of its last one,
as TensorFlow's ``crop_and_resize`` has it."""

LEVELS = ("0", "1", "2", "3")
STRIDES = (4, 8, 16, 32)
_COARSEST, _FINEST = 5, 2
_CANONICAL_LEVEL, _CANONICAL_PX = 4, 224
_ROUNDING_PX = 1e-3


class RegionPool(MultiScaleRoIAlign):  # type: ignore[misc] # torchvision has no types
    """Features of regions, from the level that suits their size or from all levels.

    torchvision's own infers the strides from the first image that it sees, wrongly where that is small.

    Attributes:
        aligned: whether pixel centres lie at half pixels (detectron2, mmdetection) or at whole ones (torchvision,
            maskrcnn-benchmark, PANet).
        every_level: answer with all levels, (levels, regions, C, rows, cols), for PANet.
    """

    def __init__(self, size: int, *, sampling: int, aligned: bool, every_level: bool = False) -> None:
        super().__init__(featmap_names=list(LEVELS), output_size=size, sampling_ratio=sampling)
        self.aligned = aligned
        self.every_level = every_level
        self.mapper = LevelMapper(_FINEST, _COARSEST)

    def forward(
        self, x: Mapping[str, Tensor], boxes: Sequence[Tensor], image_shapes: Sequence[tuple[int, int]]
    ) -> Tensor:
        """Pool regions.

        Args:
            x: levels by name.
            boxes: (n, 4) for each image, in its pixels.
            image_shapes: not needed; part of torchvision's interface.

        Returns:
            (regions, C, rows, cols).
        """
        del image_shapes
        maps = [x[name] for name in LEVELS]
        image = torch.cat([torch.full_like(b[:, :1], index) for index, b in enumerate(boxes)])
        regions = torch.cat([image, torch.cat(list(boxes))], dim=1)
        if self.every_level:
            return torch.stack([self._pool(one, regions, stride) for one, stride in zip(maps, STRIDES, strict=True)])
        level = self._levels(boxes, maps[0])
        pooled = maps[0].new_zeros((len(regions), maps[0].shape[1], *self.output_size))
        for index, (one, stride) in enumerate(zip(maps, STRIDES, strict=True)):
            rows = torch.nonzero(level == index)[:, 0]
            pooled[rows] = self._pool(one, regions[rows], stride).to(pooled.dtype)
        return pooled

    def blank(self, regions: int, like: Tensor) -> Tensor:
        """Features of so many regions of zeros, as ``forward`` shapes them."""
        shape = (regions, like.shape[1], *self.output_size)
        return like.new_zeros((len(LEVELS), *shape) if self.every_level else shape)

    def _levels(self, boxes: Sequence[Tensor], finest: Tensor) -> Tensor:
        del finest
        levels: Tensor = self.mapper(list(boxes))
        return levels

    def _pool(self, one: Tensor, regions: Tensor, stride: int) -> Tensor:
        answer: Tensor = roi_align(
            one,
            regions.to(one.dtype),
            self.output_size,
            spatial_scale=1 / stride,
            sampling_ratio=self.sampling_ratio,
            aligned=self.aligned,
        )
        return answer


class CropPool(RegionPool):
    """Features of regions as matterport/Mask_RCNN reads them, each of its ways by itself.

    Attributes:
        pooling: see ``Pooling``.
        nearest_level: the level nearest to a region's size, in place of the next finer one.
        closed_boxes: x1 and y1 are the last pixel inside of a region, in place of the first one outside.
    """

    def __init__(
        self,
        size: int,
        *,
        pooling: Pooling,
        sampling: int,
        aligned: bool,
        nearest_level: bool,
        closed_boxes: bool,
    ) -> None:
        super().__init__(size, sampling=sampling, aligned=aligned)
        self.pooling = pooling
        self.nearest_level = nearest_level
        self.closed_boxes = closed_boxes

    def _levels(self, boxes: Sequence[Tensor], finest: Tensor) -> Tensor:
        joined = torch.cat(list(boxes))
        side = (joined[:, 2:] - joined[:, :2]).clamp(min=0)
        if self.closed_boxes:  # shares of the distance from the first pixel of the image to the last one
            rows, cols = _image_size(finest)
            side = side * side.new_tensor([cols / (cols - 1), rows / (rows - 1)])
        place = _CANONICAL_LEVEL + torch.log2(side.prod(1).sqrt() / _CANONICAL_PX)
        place = place.round() if self.nearest_level else torch.floor(place + self.mapper.eps)
        return place.clamp(_FINEST, _COARSEST).to(torch.int64) - _FINEST

    def _pool(self, one: Tensor, regions: Tensor, stride: int) -> Tensor:
        outside = 1.0 if self.closed_boxes else 0.0
        if self.pooling == "align":
            far = regions.new_tensor([0, 0, 0, outside, outside])
            return super()._pool(one, regions + far, stride)
        rows, cols = (side * stride - 1 for side in one.shape[-2:])
        near = regions.new_tensor([0, 0, 1 - outside, 1 - outside])
        shares = (regions[:, 1:] - near) / regions.new_tensor([cols, rows, cols, rows])
        return crop_and_resize(one, shares.to(one.dtype), regions[:, 0].to(torch.int64), self.output_size[0])


def _image_size(finest: Tensor) -> tuple[int, int]:
    return finest.shape[-2] * STRIDES[0], finest.shape[-1] * STRIDES[0]


def crop_and_resize(features: Tensor, boxes: Tensor, image: Tensor, size: int) -> Tensor:
    """Read size x size points of boxes, the corners among them, by bilinear interpolation.

    It is what TensorFlow's ``tf.image.crop_and_resize`` documents. A point that rounding moves out of the map is read
    at its edge.

    Args:
        features: (B, C, H, W).
        boxes: (n, 4) x0, y0, x1, y1; 0 is the centre of the first pixel of the map, 1 that of the last one.
        image: (n,) index into B.
        size: points a side, at least 2.

    Returns:
        (n, C, size, size); 0 where a point lies outside of the map.
    """
    last = features.new_tensor([features.shape[-1] - 1, features.shape[-2] - 1])
    step = (boxes[:, 2:] - boxes[:, :2]) * last / (size - 1)
    count = torch.arange(size, device=boxes.device, dtype=boxes.dtype)
    place = (boxes[:, :2] * last)[:, :, None] + count * step[:, :, None]  # (n, 2, size)
    edge = last[:, None]
    inside = (place >= -_ROUNDING_PX) & (place <= edge + _ROUNDING_PX)
    place = torch.minimum(place.clamp(min=0), edge)
    low = place.floor()
    weight = place - low
    first, second = low.to(torch.int64), place.ceil().to(torch.int64)
    pixels = features.permute(0, 2, 3, 1)
    of_image = image[:, None, None]

    def row(y: Tensor) -> Tensor:
        left = pixels[of_image, y[:, :, None], first[:, 0][:, None]]
        right = pixels[of_image, y[:, :, None], second[:, 0][:, None]]
        return left + (right - left) * weight[:, 0][:, None, :, None]

    top = row(first[:, 1])
    read = top + (row(second[:, 1]) - top) * weight[:, 1][:, :, None, None]
    both = inside[:, 1][:, :, None] & inside[:, 0][:, None]
    return (read * both[..., None]).permute(0, 3, 1, 2)
