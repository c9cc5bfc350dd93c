"""The thirteen convolutions of VGG16 (Simonyan and Zisserman 2015, https://arxiv.org/abs/1409.1556), by blocks."""

from __future__ import annotations

from torch import nn

DEPTHS = (2, 2, 3, 3, 3)


def vgg_widths(width: int) -> tuple[int, int, int, int, int]:
    """Channels of the five blocks; VGG16 has ``width`` 64."""
    return width, 2 * width, 4 * width, 8 * width, 8 * width


def vgg_block(before: int, after: int, depth: int, *, dilation: int = 1, norm: bool = False) -> nn.Sequential:
    """Build 3x3 convolutions with biases, each followed by a ReLU, and by a batch norm before it on request."""
    layers: list[nn.Module] = []
    for index in range(depth):
        layer = nn.Conv2d(after if index else before, after, 3, padding=dilation, dilation=dilation)
        kaiming(layer)
        layers.append(layer)
        if norm:
            layers.append(nn.BatchNorm2d(after))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def vgg_blocks(in_channels: int, width: int, *, norm: bool = False, last_dilation: int = 1) -> nn.ModuleList:
    """Build the five blocks, without the pools between them."""
    blocks = nn.ModuleList()
    before = in_channels
    for level, (after, depth) in enumerate(zip(vgg_widths(width), DEPTHS, strict=True)):
        blocks.append(vgg_block(before, after, depth, norm=norm, dilation=last_dilation if level == 4 else 1))
        before = after
    return blocks


def kaiming(layer: nn.Conv2d) -> None:
    """Start a convolution before a ReLU such that the signal keeps its size (He et al. 2015); biases at zero."""
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
