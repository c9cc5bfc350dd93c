"""Dilated residual network D-54 (Yu, Koltun, Funkhouser 2017, https://arxiv.org/abs/1705.09914).

Form D ends in two plain convolutions of falling rates, which take away the grid that dilation leaves. As
jfzhang95/pytorch-deeplab-xception has it, with maps after its fourth and its last stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Final

from timm.models.resnet import Bottleneck
from torch import Tensor, nn

from geoseg.errors import ModelError
from geoseg.nn.parts.mobilenet import PerStage

NAME: Final = "drn_d_54"
_STRIDE: Final = 8
_STAGES: Final = ((64, 3, 2, 1), (128, 4, 2, 1), (256, 6, 1, 2), (512, 3, 1, 4))
"""Channels, blocks, stride and rate of the stages of bottlenecks."""
_EXPANSION: Final = 4
_FINE: Final = 3
"""Stage whose output is the map at stride 4."""


def _plain(before: int, after: int, size: int, *, stride: int = 1, rate: int = 1) -> nn.Sequential:
    padding = rate * (size // 2)
    return nn.Sequential(
        nn.Conv2d(before, after, size, stride=stride, padding=padding, dilation=rate, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


def _stage(before: int, width: int, count: int, *, stride: int, rate: int) -> nn.Sequential:
    after = width * _EXPANSION
    shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride=stride, bias=False), nn.BatchNorm2d(after))
    blocks: list[nn.Module] = [Bottleneck(before, width, stride, shortcut, dilation=rate, first_dilation=rate)]
    blocks += [Bottleneck(after, width, dilation=rate, first_dilation=rate) for _ in range(count - 1)]
    return nn.Sequential(*blocks)


class DRN(nn.Module):
    """The body, whose maps are those at stride 4, of 256 channels, and the last at stride 8, of 512.

    Attributes:
        feature_info: channels and strides of the returned maps, as timm's backbones tell them.
    """

    def __init__(self, in_channels: int, out_indices: Sequence[int]) -> None:
        super().__init__()
        stages, before = [_plain(in_channels, 16, 7), _plain(16, 16, 3), _plain(16, 32, 3, stride=2)], 32
        for width, count, stride, rate in _STAGES:
            stages.append(_stage(before, width, count, stride=stride, rate=rate))
            before = width * _EXPANSION
        self.stages = nn.ModuleList((*stages, _plain(before, 512, 3, rate=2), _plain(512, 512, 3)))
        self._returned = tuple(out_indices)
        channels, reductions = (256, 512), (4, _STRIDE)
        self.feature_info = SimpleNamespace(
            channels=PerStage([channels[i] for i in out_indices]),
            reduction=PerStage([reductions[i] for i in out_indices]),
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map bands to the feature maps, finest first."""
        maps: list[Tensor] = []
        for place, stage in enumerate(self.stages):
            x = stage(x)
            if place in (_FINE, len(self.stages) - 1):
                maps.append(x)
        return [maps[index] for index in self._returned]


def drn(in_channels: int, *, output_stride: int = _STRIDE, out_indices: Sequence[int] = (0, 1)) -> DRN:
    """Build a DRN-D-54.

    Args:
        in_channels: input bands.
        output_stride: 8.
        out_indices: which of the two feature maps are returned.

    Raises:
        ModelError: another output stride.
    """
    if output_stride != _STRIDE:
        raise ModelError(f"backbone {NAME!r} takes output_stride 8, not {output_stride}")
    return DRN(in_channels, out_indices)
