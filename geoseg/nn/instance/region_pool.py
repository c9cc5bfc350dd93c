"""RoIAlign over a pyramid (He et al. 2017, https://arxiv.org/abs/1703.06870), with the differences of its lineages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torchvision.ops import MultiScaleRoIAlign, roi_align
from torchvision.ops.poolers import LevelMapper

LEVELS = ("0", "1", "2", "3")
STRIDES = (4, 8, 16, 32)


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
        self.mapper = LevelMapper(2, 5)

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
        level = self.mapper(list(boxes))
        pooled = maps[0].new_zeros((len(regions), maps[0].shape[1], *self.output_size))
        for index, (one, stride) in enumerate(zip(maps, STRIDES, strict=True)):
            rows = torch.nonzero(level == index)[:, 0]
            pooled[rows] = self._pool(one, regions[rows], stride).to(pooled.dtype)
        return pooled

    def blank(self, regions: int, like: Tensor) -> Tensor:
        """Features of so many regions of zeros, as ``forward`` shapes them."""
        shape = (regions, like.shape[1], *self.output_size)
        return like.new_zeros((len(LEVELS), *shape) if self.every_level else shape)

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
