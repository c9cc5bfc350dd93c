"""Convolution, batch norm and ReLU as one block, the separable form of it, and bilinear resizing."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


def convolve(
    before: int, after: int, size: int, *, dilation: int = 1, groups: int = 1, bias: bool = False, relu: bool = True
) -> nn.Sequential:
    """Build a convolution that keeps the size of its input, a batch norm and a ReLU.

    Args:
        before: input channels.
        after: output channels.
        size: side of the kernel, odd.
        dilation: of the kernel.
        groups: of channels.
        bias: whether the convolution has one, which the norm makes idle; some published weights do.
        relu: whether a ReLU ends the block.
    """
    padding = dilation * (size // 2)
    layers: list[nn.Module] = [
        nn.Conv2d(before, after, size, padding=padding, dilation=dilation, groups=groups, bias=bias),
        nn.BatchNorm2d(after),
    ]
    if relu:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def separable(before: int, after: int, *, dilation: int = 1) -> nn.Sequential:
    """Build a 3x3 depthwise and a 1x1 convolution, each with norm and ReLU (Chen et al. 2018)."""
    return nn.Sequential(convolve(before, before, 3, dilation=dilation, groups=before), convolve(before, after, 1))


def resize(x: Tensor, like: Tensor, *, align_corners: bool = False) -> Tensor:
    """Resize (B, C, h, w) bilinearly to the height and width of ``like``."""
    if x.shape[-2:] == like.shape[-2:]:
        return x
    return functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=align_corners)
