"""DeepLab V1, LargeFOV (Chen et al. 2015, https://arxiv.org/abs/1412.7062), before its dense CRF."""

from __future__ import annotations

from torch import nn

from geoseg.nn.padding import Padded
from geoseg.nn.parts.large_fov import LargeFOV
from geoseg.nn.parts.segmenter import Segmenter


def build(in_channels: int, classes: int, *, width: int = 64, hidden: int = 1024) -> Padded:
    """Build a DeepLab V1 of the LargeFOV kind.

    Args:
        in_channels: input bands.
        classes: output channels.
        width: channels of the first block; VGG16 has 64.
        hidden: channels of the layers that were fully connected.
    """
    head = nn.Conv2d(hidden, classes, 1)
    nn.init.normal_(head.weight, std=0.01)
    return Padded(Segmenter(LargeFOV(in_channels, width, hidden), head, align_corners=True), stride=1)
