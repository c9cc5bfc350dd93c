"""VGG16 with a large field of view: the trunk of DeepLab V1 and of ParseNet.

The last two pools keep the size, the last block has rate 2, and a 3x3 convolution of rate 12 stands for the first
fully connected layer (Chen et al. 2015, https://arxiv.org/abs/1412.7062, section 4 of its last version).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from geoseg.nn.parts.vgg import kaiming, vgg_blocks, vgg_widths

_POOL_STRIDES = (2, 2, 2, 1, 1)


class LargeFOV(nn.Module):
    """Map (B, C, H, W) to features (B, hidden, H / 8, W / 8), rounded as Caffe rounds."""

    def __init__(self, in_channels: int, width: int, hidden: int) -> None:
        super().__init__()
        self.blocks = vgg_blocks(in_channels, width, last_dilation=2)
        self.fc6 = nn.Conv2d(vgg_widths(width)[-1], hidden, 3, padding=12, dilation=12)
        self.fc7 = nn.Conv2d(hidden, hidden, 1)
        self.drop = nn.Dropout(0.5)
        kaiming(self.fc6)
        kaiming(self.fc7)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (B, C, H, W) to a list of one, the features (B, hidden, h, w)."""
        for block, stride in zip(self.blocks, _POOL_STRIDES, strict=True):
            x = functional.max_pool2d(block(x), 3, stride=stride, padding=1, ceil_mode=True)
        x = functional.avg_pool2d(x, 3, stride=1, padding=1)
        x = self.drop(functional.relu(self.fc6(x), inplace=True))
        return [self.drop(functional.relu(self.fc7(x), inplace=True))]
