"""MobileNetV2 (Sandler et al. 2018, https://arxiv.org/abs/1801.04381) in the forms of the published DeepLabs.

Their weights have the same shapes and their forward passes differ: in what is padded, and in the rates of blocks whose
stride was taken away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Final

from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import ModelError

_GROUPS: Final = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
"""Expansion, channels and number of blocks of each group."""
_STRIDES: Final = (1, 2, 2, 2, 1, 2, 1)
_STEM_PX: Final = 3
_ENDS: Final = (1, 2, 4, 6)
"""Groups whose outputs are the feature maps: 24, 32, 96 and 320 channels."""

Rates = Sequence[tuple[int, int]]
"""Rate of the first block of each group, and that of the others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileNetForm:
    """Differences between the implementations.

    Attributes:
        pad_stem: the first convolution is padded.
        pad_first: a block is padded before its expansion, so that the padding passes through norm and ReLU.
        rates: output stride to the rates of the groups.
    """

    pad_stem: bool
    pad_first: bool
    rates: Mapping[int, Rates]


FORMS: Final[Mapping[str, MobileNetForm]] = MappingProxyType(
    {
        "mobilenet_v2_mmseg": MobileNetForm(
            pad_stem=True,
            pad_first=False,
            rates={
                8: ((1, 1), (1, 1), (1, 1), (2, 1), (2, 1), (4, 1), (4, 1)),
                16: ((1, 1), (1, 1), (1, 1), (1, 1), (1, 1), (2, 1), (2, 1)),
            },
        ),
        "mobilenet_v2_vainf": MobileNetForm(
            pad_stem=False,
            pad_first=True,
            rates={
                8: ((1, 1), (1, 1), (1, 1), (1, 2), (2, 2), (2, 4), (4, 4)),
                16: ((1, 1), (1, 1), (1, 1), (1, 1), (1, 1), (1, 2), (2, 2)),
            },
        ),
        "mobilenet_v2_jfzhang": MobileNetForm(
            pad_stem=True,
            pad_first=True,
            rates={
                8: ((1, 1), (1, 1), (1, 1), (1, 1), (2, 2), (2, 2), (4, 4)),
                16: ((1, 1), (1, 1), (1, 1), (1, 1), (1, 1), (1, 1), (2, 2)),
            },
        ),
    }
)
"""Name of the backbone to its form: mmsegmentation's, VainF's and jfzhang95's."""


class MobileNetV2(nn.Module):
    """The body up to its last inverted residual.

    Args:
        in_channels: input bands.
        form: how it is padded and dilated.
        output_stride: 8 or 16.
        out_indices: which of the four feature maps are returned.

    Attributes:
        feature_info: channels and strides of the returned maps, as timm's backbones tell them.
    """

    def __init__(self, in_channels: int, form: MobileNetForm, output_stride: int, out_indices: Sequence[int]) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, 32, 3, stride=2, padding=int(form.pad_stem), bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU6(inplace=True),
        )
        before, stride = 32, 2
        self.groups = nn.ModuleList()
        strides = []
        for (expansion, after, count), usual, rates in zip(_GROUPS, _STRIDES, form.rates[output_stride], strict=True):
            own = 1 if stride == output_stride else usual
            stride *= own
            strides.append(stride)
            blocks = [_Block((before, after), expansion, own, rates[0], pad_first=form.pad_first)]
            blocks += [
                _Block((after, after), expansion, 1, rates[1], pad_first=form.pad_first) for _ in range(count - 1)
            ]
            self.groups.append(nn.Sequential(*blocks))
            before = after
        self._returned = [_ENDS[index] for index in out_indices]
        channels = [_GROUPS[group][1] for group in self._returned]
        reductions = [strides[group] for group in self._returned]
        self.feature_info = SimpleNamespace(channels=PerStage(channels), reduction=PerStage(reductions))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map bands to the feature maps, finest first."""
        least = _STEM_PX if self.stem[0].padding == (0, 0) else 1  # an unpadded kernel needs as many pixels
        x = self.stem(functional.pad(x, (0, max(0, least - x.shape[-1]), 0, max(0, least - x.shape[-2]))))
        maps = []
        for place, group in enumerate(self.groups):
            x = group(x)
            if place in self._returned:
                maps.append(x)
        return maps


class PerStage:
    """A callable that returns a list; unlike a lambda it can be copied and pickled."""

    def __init__(self, values: list[int]) -> None:
        self.values = values

    def __call__(self) -> list[int]:
        """Return the values."""
        return self.values


class _Block(nn.Module):
    """An inverted residual."""

    def __init__(self, channels: tuple[int, int], expansion: int, stride: int, rate: int, *, pad_first: bool) -> None:
        super().__init__()
        before, after = channels
        wide = before * expansion
        self.expand = (
            nn.Sequential(nn.Conv2d(before, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(inplace=True))
            if expansion != 1
            else nn.Identity()
        )
        padding = 0 if pad_first else rate
        self.filter = nn.Sequential(
            nn.Conv2d(wide, wide, 3, stride=stride, padding=padding, dilation=rate, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(inplace=True),
        )
        self.project = nn.Sequential(nn.Conv2d(wide, after, 1, bias=False), nn.BatchNorm2d(after))
        self.margin = rate if pad_first else 0
        self.shortcut = stride == 1 and before == after

    def forward(self, x: Tensor) -> Tensor:
        padded = functional.pad(x, (self.margin,) * 4) if self.margin else x
        answer: Tensor = self.project(self.filter(self.expand(padded)))
        return x + answer if self.shortcut else answer


def mobilenet_v2(
    name: str, in_channels: int, *, output_stride: int = 16, out_indices: Sequence[int] = (0, 1, 2, 3)
) -> MobileNetV2:
    """Build a MobileNetV2.

    Args:
        name: a key of ``FORMS``.
        in_channels: input bands.
        output_stride: 8 or 16.
        out_indices: which of the four feature maps (24, 32, 96 and 320 channels) are returned.

    Raises:
        ModelError: no such form or output stride.
    """
    if name not in FORMS or output_stride not in FORMS[name].rates:
        raise ModelError(f"backbone {name!r} takes output_stride 8 or 16, not {output_stride}")
    return MobileNetV2(in_channels, FORMS[name], output_stride, out_indices)
