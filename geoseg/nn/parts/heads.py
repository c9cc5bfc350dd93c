"""Heads of a few convolutions, as FCN has one and most networks have as auxiliary heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from geoseg.nn.parts.convolution import convolve


def fcn_head(
    channels: int, width: int, classes: int, *, channelwise_dropout: bool = False, rate: int = 1
) -> nn.Sequential:
    """Build a 3x3 convolution, dropout of 0.1 and the classifier.

    Args:
        channels: of the feature map.
        width: between the two convolutions.
        classes: output channels.
        channelwise_dropout: whether whole channels are dropped rather than single values.
        rate: of the first convolution.
    """
    dropout = nn.Dropout2d(0.1) if channelwise_dropout else nn.Dropout(0.1)
    return nn.Sequential(convolve(channels, width, 3, dilation=rate), dropout, nn.Conv2d(width, classes, 1))


class ConcatHead(nn.Module):
    """mmsegmentation's FCN head: two 3x3 convolutions, a third over their output and input, the classifier."""

    def __init__(self, channels: int, width: int, classes: int, *, rate: int = 1) -> None:
        """Make the layers; ``rate`` is of the first two convolutions."""
        super().__init__()
        self.convolutions = nn.Sequential(
            convolve(channels, width, 3, dilation=rate), convolve(width, width, 3, dilation=rate)
        )
        self.merge = convolve(channels + width, width, 3)
        self.classify = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(width, classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map features (B, channels, h, w) to logits (B, classes, h, w)."""
        merged: Tensor = self.classify(self.merge(torch.cat([x, self.convolutions(x)], dim=1)))
        return merged
