"""Pyramid pooling: means over grids of a few cells, concatenated with the features (Zhao et al. 2017).

Source: https://arxiv.org/abs/1612.01105, section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.nn.parts.convolution import convolve, resize


class PPM(nn.Module):
    """Pool to ``bins`` x ``bins`` cells, convolve 1x1, resize, and concatenate with the input.

    Attributes:
        channels: output channels.
    """

    def __init__(
        self, channels: int, width: int, bins: Sequence[int] = (1, 2, 3, 6), *, align_corners: bool = True
    ) -> None:
        super().__init__()
        self.bins = tuple(bins)
        self.align_corners = align_corners
        self.channels = channels + len(self.bins) * width
        self.levels = nn.ModuleList(convolve(channels, width, 1) for _ in self.bins)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, h, w) to (B, channels + len(bins) * width, h, w)."""
        raised = [
            resize(level(functional.adaptive_avg_pool2d(x, side)), x, align_corners=self.align_corners)
            for level, side in zip(self.levels, self.bins, strict=True)
        ]
        return torch.cat([x, *raised], dim=1)
