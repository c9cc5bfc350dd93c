"""ParseNet (Liu, Rabinovich, Berg 2015, https://arxiv.org/abs/1506.04579): features with their image mean.

The mean of the features is spread over all pixels; both are scaled to length one and by a learnt factor for each
channel before they are joined, since their lengths differ much. The trunk is DeepLab V1's LargeFOV.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.nn.padding import Padded
from geoseg.nn.parts.large_fov import LargeFOV
from geoseg.nn.parts.segmenter import Segmenter

_SCALE_AT_START = 10.0


class L2Norm(nn.Module):
    """Scale each pixel's features to length one, then each channel by a learnt factor (section 3.2)."""

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((channels,), scale))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, h, w) to the same shape."""
        return functional.normalize(x, dim=1, eps=1e-10) * self.scale[:, None, None]


class Context(nn.Module):
    """Features concatenated with their mean over the image, both normalised; replaces the last feature map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.local_norm = L2Norm(channels, _SCALE_AT_START)
        self.global_norm = L2Norm(channels, _SCALE_AT_START)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Map the last of the features (B, C, h, w) to (B, 2 C, h, w)."""
        local = features[-1]
        mean = self.global_norm(local.mean((2, 3), keepdim=True)).expand_as(local)
        return [torch.cat([self.local_norm(local), mean], dim=1)]


def build(in_channels: int, classes: int, *, width: int = 64, hidden: int = 1024) -> Padded:
    """Build a ParseNet.

    Args:
        in_channels: input bands.
        classes: output channels.
        width: channels of the first block; VGG16 has 64.
        hidden: channels of the layers that were fully connected.
    """
    head = nn.Conv2d(2 * hidden, classes, 1)
    nn.init.normal_(head.weight, std=0.01)
    trunk = LargeFOV(in_channels, width, hidden)
    return Padded(Segmenter(trunk, head, neck=Context(hidden), align_corners=True), stride=1)
