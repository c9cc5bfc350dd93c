"""Aligned Xception (Chen et al. 2018, https://arxiv.org/abs/1802.02611) of jfzhang95/pytorch-deeplab-xception.

timm's ``xception65`` has other norms and activations in its blocks. Here a block applies a ReLU to its input,
before its shortcut too.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Final

from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import ModelError
from geoseg.nn.parts.mobilenet import PerStage

NAME: Final = "xception_jfzhang"
_MIDDLE: Final = 16
_RATES: Final = {16: (1, 1, 2), 8: (2, 2, 4)}
"""Output stride to the rates of the middle blocks, of the last one and of the convolutions after it."""


def _separable(before: int, after: int, *, stride: int = 1, rate: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, before, 3, stride=stride, padding=rate, dilation=rate, groups=before, bias=False),
        nn.BatchNorm2d(before),
        nn.Conv2d(before, after, 1, bias=False),
        nn.BatchNorm2d(after),
    )


class _Block(nn.Module):
    """Three separable convolutions, a ReLU before each, and a shortcut."""

    def __init__(self, widths: tuple[int, int, int, int], *, stride: int, rate: int) -> None:
        super().__init__()
        before, after = widths[0], widths[-1]
        last_rate = rate if widths[0] == widths[3] else 1
        steps = ((1, rate), (1, rate), (stride, last_rate))
        self.units = nn.ModuleList(
            _separable(widths[i], widths[i + 1], stride=step, rate=each) for i, (step, each) in enumerate(steps)
        )
        shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride=stride, bias=False), nn.BatchNorm2d(after))
        self.skip = nn.Identity() if before == after and stride == 1 else shortcut

    def forward(self, x: Tensor) -> Tensor:
        x = inner = functional.relu(x)
        for place, unit in enumerate(self.units):
            inner = unit(functional.relu(inner) if place else inner)
        shortcut: Tensor = self.skip(x)
        return inner + shortcut


class Xception(nn.Module):
    """The body, whose maps are those at stride 4, of 128 channels, and the last, of 2048.

    Attributes:
        feature_info: channels and strides of the returned maps, as timm's backbones tell them.
    """

    def __init__(self, in_channels: int, output_stride: int, out_indices: Sequence[int]) -> None:
        super().__init__()
        middle, last, tail = _RATES[output_stride]
        third = 2 if output_stride == 16 else 1
        self.stem = nn.Sequential(
            nn.Sequential(nn.Conv2d(in_channels, 32, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(32)),
            nn.Sequential(nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64)),
        )
        self.blocks = nn.ModuleList(
            (
                _Block((64, 128, 128, 128), stride=2, rate=1),
                _Block((128, 256, 256, 256), stride=2, rate=1),
                _Block((256, 728, 728, 728), stride=third, rate=1),
                *(_Block((728,) * 4, stride=1, rate=middle) for _ in range(_MIDDLE)),
                _Block((728, 728, 1024, 1024), stride=1, rate=last),
            )
        )
        self.tail = nn.ModuleList(
            _separable(before, after, rate=tail) for before, after in ((1024, 1536), (1536, 1536), (1536, 2048))
        )
        self._returned = tuple(out_indices)
        channels, reductions = (128, 2048), (4, output_stride)
        self.feature_info = SimpleNamespace(
            channels=PerStage([channels[i] for i in out_indices]),
            reduction=PerStage([reductions[i] for i in out_indices]),
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map bands to the feature maps, finest first."""
        first, *others = self.blocks
        fine = functional.relu(first(self.stem(x)))
        x = fine
        for block in others:
            x = block(x)
        x = functional.relu(x)
        for unit in self.tail:
            x = functional.relu(unit(x))
        return [(fine, x)[index] for index in self._returned]


def xception(in_channels: int, *, output_stride: int = 16, out_indices: Sequence[int] = (0, 1)) -> Xception:
    """Build an aligned Xception.

    Args:
        in_channels: input bands.
        output_stride: 8 or 16.
        out_indices: which of the two feature maps are returned.

    Raises:
        ModelError: no such output stride.
    """
    if output_stride not in _RATES:
        raise ModelError(f"backbone {NAME!r} takes output_stride 8 or 16, not {output_stride}")
    return Xception(in_channels, output_stride, out_indices)
