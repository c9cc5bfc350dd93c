"""Atrous spatial pyramid pooling: parallel convolutions of different rates, and the whole image's mean.

Source: Chen et al. 2017, https://arxiv.org/abs/1706.05587 (concatenated); Chen et al. 2016,
https://arxiv.org/abs/1606.00915 (summed).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.nn.parts.convolution import convolve, resize, separable


class ASPP(nn.Module):
    """A 1x1 convolution, one 3x3 convolution for each rate and the image's mean, side by side, merged by a convolution.

    Attributes:
        width: output channels.
    """

    def __init__(
        self, channels: int, width: int, rates: Sequence[int], *, light: bool = False, mmseg: bool = False
    ) -> None:
        """Make the branches.

        Args:
            channels: input channels.
            width: channels of each branch and of the output.
            rates: of the 3x3 convolutions.
            light: separable convolutions in place of full ones.
            mmseg: mmsegmentation's merge: by a 3x3 convolution rather than a 1x1, the mean first rather than last.
        """
        super().__init__()
        self.width = width
        self.pooled_first = mmseg
        wide = separable if light else _full
        self.branches = nn.ModuleList([convolve(channels, width, 1)])
        self.branches.extend(wide(channels, width, dilation=rate) for rate in rates)
        self.image_pool = convolve(channels, width, 1)
        self.merge = convolve((2 + len(rates)) * width, width, 3 if mmseg else 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, h, w) to (B, width, h, w)."""
        pooled = resize(self.image_pool(functional.adaptive_avg_pool2d(x, 1)), x)
        answers = [branch(x) for branch in self.branches]
        merged: Tensor = self.merge(torch.cat([pooled, *answers] if self.pooled_first else [*answers, pooled], dim=1))
        return merged


def _full(before: int, after: int, *, dilation: int) -> nn.Sequential:
    return convolve(before, after, 3, dilation=dilation)


class SummedASPP(nn.Module):
    """Classifiers of different rates whose logits are summed, as in DeepLab V2."""

    def __init__(self, channels: int, classes: int, rates: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Conv2d(channels, classes, 3, padding=rate, dilation=rate) for rate in rates)
        for weight in self.branches.parameters():
            nn.init.normal_(weight, std=0.01 if weight.ndim > 1 else 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Map features (B, channels, h, w) to logits (B, classes, h, w)."""
        return torch.stack([branch(x) for branch in self.branches]).sum(0)
