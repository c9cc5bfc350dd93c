"""Xception39, the light body that BiSeNet was published with (Yu et al. 2018, https://arxiv.org/abs/1808.00897).

As ycszen/TorchSeg has it: three stages of blocks of three separable convolutions, without a norm between their parts.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Final

from torch import Tensor, nn
from torch.nn import functional

from geoseg.nn.parts.convolution import convolve
from geoseg.nn.parts.mobilenet import PerStage

NAME: Final = "xception39_torchseg"
_STEM: Final = 8
_BLOCKS: Final = (4, 8, 4)
_WIDTHS: Final = (16, 32, 64)
"""Channels within the blocks of the stages; four times as many leave them."""
_EXPANSION: Final = 4


class _Separable(nn.Module):
    def __init__(self, before: int, after: int, *, stride: int = 1, relu: bool) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(before, before, 3, stride=stride, padding=1, groups=before, bias=False)
        self.pointwise = convolve(before, after, 1, relu=relu)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.pointwise(self.depthwise(x))
        return answer


class _Block(nn.Module):
    """Three separable convolutions around a shortcut, which the first block of a stage convolves too."""

    def __init__(self, before: int, width: int, *, first: bool) -> None:
        super().__init__()
        after, stride = _EXPANSION * width, 2 if first else 1
        self.shortcut = _Separable(before, after, stride=stride, relu=False) if first else nn.Identity()
        self.residual = nn.Sequential(
            _Separable(before, width, stride=stride, relu=True),
            _Separable(width, width, relu=True),
            _Separable(width, after, relu=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.shortcut(x) + self.residual(x))


class Xception39(nn.Module):
    """The body, whose maps are at strides 8, 16 and 32.

    Attributes:
        feature_info: channels and strides of the maps, as timm's backbones tell them.
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, _STEM, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(_STEM),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.stages = nn.ModuleList()
        before = _STEM
        for blocks, width in zip(_BLOCKS, _WIDTHS, strict=True):
            after = _EXPANSION * width
            stage = (_Block(after if index else before, width, first=index == 0) for index in range(blocks))
            self.stages.append(nn.Sequential(*stage))
            before = after
        channels = [_EXPANSION * width for width in _WIDTHS]
        self.feature_info = SimpleNamespace(channels=PerStage(channels), reduction=PerStage([8, 16, 32]))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map bands to the feature maps, finest first."""
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps
