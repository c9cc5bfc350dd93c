"""Pyramid pooling: means over grids of a few cells, concatenated with the features (Zhao et al. 2017).

Source: https://arxiv.org/abs/1612.01105, section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.nn.parts.convolution import convolve, resize

Pooling = Literal["adaptive", "strided"]


class PPM(nn.Module):
    """Pool to ``bins`` x ``bins`` cells, convolve 1x1, resize, and concatenate with the input.

    With ``pooling="strided"`` a cell has as many whole pixels as fit so often, as in Caffe: where they do not divide
    the map there are more cells than ``bins``, or the last rows and columns are in none.

    Attributes:
        channels: output channels.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        bins: Sequence[int] = (1, 2, 3, 6),
        *,
        align_corners: bool = True,
        pooling: Pooling = "adaptive",
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.bins = tuple(bins)
        self.align_corners = align_corners
        self.channels = channels + len(self.bins) * width
        self.levels = nn.ModuleList(convolve(channels, width, 1) for _ in self.bins)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, h, w) to (B, channels + len(bins) * width, h, w)."""
        raised = [
            resize(level(self._means(x, side)), x, align_corners=self.align_corners)
            for level, side in zip(self.levels, self.bins, strict=True)
        ]
        return torch.cat([x, *raised], dim=1)

    def _means(self, x: Tensor, side: int) -> Tensor:
        if self.pooling == "adaptive":
            return functional.adaptive_avg_pool2d(x, side)
        rows, cols = (_strided_means(size, side, x) for size in x.shape[-2:])
        return rows @ x @ cols.transpose(0, 1)


def _strided_means(size: int, cells: int, like: Tensor) -> Tensor:
    """Weights (cell, pixel) of means; runtimes convert an average pool of a fixed size alone."""
    step = max(1, size // cells)
    cell = torch.arange(size, device=like.device) // step
    weights = cell == torch.arange(size // step, device=like.device)[:, None]
    return weights.to(like.dtype) / step
