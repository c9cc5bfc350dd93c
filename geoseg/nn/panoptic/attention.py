"""Attention of the background to the foreground: by proposals, by masks, and a reweighting of channels.

Source: Li et al. 2019, Attention-guided Unified Network for Panoptic Segmentation, https://arxiv.org/abs/1812.03904,
section 3.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align


def complemented(features: Tensor, attention: Tensor) -> Tensor:
    """Lay weight on what is no foreground: ``features * (1 - sigmoid(attention)) + features``."""
    return features * (1 - attention.sigmoid()) + features


class BackgroundReweighting(nn.Module):
    """Weighs channels by what the whole image holds, so that background is selected (like squeeze and excitation)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        groups = 32 if channels % 32 == 0 else 1
        self.excite = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.GroupNorm(groups, channels), nn.Sigmoid())

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, channels, y, x) to the same shape."""
        weighed: Tensor = features * self.excite(features.mean((2, 3), keepdim=True))
        return weighed


class ProposalAttention(nn.Module):
    """Proposal attention module of one level: the features of the proposals' head tell where foreground is."""

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.attend = nn.Sequential(nn.Conv2d(width, channels, 1), nn.ReLU(), nn.Conv2d(channels, channels, 1))
        self.reweigh = BackgroundReweighting(channels)

    def forward(self, features: Tensor, proposals: Tensor) -> Tensor:
        """Attend to the background.

        Args:
            features: (B, channels, y, x) of the background branch.
            proposals: (B, width, y, x), what the proposals' head has seen.
        """
        answer: Tensor = self.reweigh(complemented(features, self.attend(proposals)))
        return answer


class MaskAttention(nn.Module):
    """Mask attention module: the masks of objects, laid where they are, tell where foreground is."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attend = nn.Sequential(nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, channels, 1))
        self.reweigh = BackgroundReweighting(channels)

    def forward(self, features: Tensor, masks: Tensor) -> Tensor:
        """Attend to the background.

        Args:
            features: (B, channels, y, x) of the background branch.
            masks: (B, 1, y, x), from ``roi_upsample``.
        """
        answer: Tensor = self.reweigh(complemented(features, self.attend(masks)))
        return answer


class _Adjoint(torch.autograd.Function):
    """Adjoint of RoIAlign, and RoIAlign as its derivative."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, rois: Tensor, scale: float, size: tuple[int, int, int, int]) -> Tensor:
        ctx.save_for_backward(rois)
        ctx.scale, ctx.cells = scale, values.shape[-1]
        batch, channels, rows, cols = size
        out: Tensor = torch.ops.torchvision._roi_align_backward(  # noqa: SLF001 - its only name
            values.contiguous(), rois, scale, values.shape[-2], values.shape[-1], batch, channels, rows, cols, 2, True
        )
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        (rois,) = ctx.saved_tensors
        return roi_align(grad.contiguous(), rois, ctx.cells, ctx.scale, 2, aligned=True), None, None, None


def roi_upsample(masks: Tensor, rois: Tensor, scale: float, size: tuple[int, int, int]) -> Tensor:
    """Lay masks of regions onto the image (RoIUpsample): the adjoint of RoIAlign, normalised by its weights.

    Args:
        masks: (n, 1, cells, cells) values of each region's bins.
        rois: (n, 5) index of the image in the batch, and x0, y0, x1, y1 in its pixels.
        scale: cells of the map a pixel of the image.
        size: images, rows and columns of the map.

    Returns:
        (images, 1, rows, cols): the mean of what the regions say, 0 where there is none.
    """
    batch, rows, cols = size
    if not len(rois):
        return masks.new_zeros((batch, 1, rows, cols))
    shape = (batch, 1, rows, cols)
    laid: Tensor = _Adjoint.apply(masks.float(), rois, scale, shape)
    weights: Tensor = _Adjoint.apply(torch.ones_like(masks, dtype=torch.float32), rois, scale, shape)
    return torch.where(weights > 1e-6, laid / weights.clamp(min=1e-6), 0.0)
