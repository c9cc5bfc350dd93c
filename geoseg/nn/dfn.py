"""DFN (Yu et al. 2018, https://arxiv.org/abs/1804.09337): a smooth network for interiors and a border network.

The smooth network goes from the coarsest stage to the finest and classifies at each; the border network, for training
only, from the finest to the coarsest.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.nn.padding import Padded
from geoseg.nn.parts.auxiliary import Auxiliary
from geoseg.nn.parts.backbones import ResNetForm, resnet, widths
from geoseg.nn.parts.convolution import convolve, resize

_BORDER_WIDTH = 21
_BORDER_WEIGHT = 0.1


class _RRB(nn.Module):
    """Refinement residual block: a 1x1 convolution, and two 3x3 ones added to it."""

    def __init__(self, before: int, after: int, *, relu: bool = True) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(before, after, 1, bias=False)
        self.refine = nn.Sequential(convolve(after, after, 3), nn.Conv2d(after, after, 3, padding=1, bias=False))
        self.last = nn.ReLU() if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = self.narrow(x)
        answer: Tensor = self.last(x + self.refine(x))
        return answer


class _CAB(nn.Module):
    """Channel attention block: the coarser stage chooses among the channels of the finer."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.choose = nn.Sequential(
            nn.Linear(2 * channels, channels), nn.ReLU(inplace=True), nn.Linear(channels, channels), nn.Sigmoid()
        )

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        means = torch.cat([fine, coarse], dim=1).mean((2, 3))
        chosen: Tensor = fine * self.choose(means)[:, :, None, None] + coarse
        return chosen


def _head(before: int, classes: int) -> nn.Sequential:
    return nn.Sequential(_RRB(before, 9 * classes, relu=False), nn.Conv2d(9 * classes, classes, 1))


class _DFN(nn.Module):
    def __init__(self, backbone: nn.Module, stages: Sequence[int], classes: int, width: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.whole = convolve(stages[-1], width, 1)
        self.before = nn.ModuleList(_RRB(stage, width) for stage in reversed(stages))
        self.choose = nn.ModuleList(_CAB(width) for _ in stages)
        self.after = nn.ModuleList(_RRB(width, width) for _ in stages)
        self.heads = nn.ModuleList(_head(width, classes) for _ in stages)
        self.border_before = nn.ModuleList(_RRB(stage, _BORDER_WIDTH) for stage in stages)
        # the published weights have one for the first stage too, which nothing uses
        self.border_after = nn.ModuleList(_RRB(_BORDER_WIDTH, _BORDER_WIDTH) for _ in stages)
        self.border_heads = nn.ModuleList(_head(_BORDER_WIDTH, 1) for _ in stages)

    def _smooth(self, stages: list[Tensor]) -> list[Tensor]:
        """Features of every stage, coarsest first."""
        below = resize(self.whole(functional.adaptive_avg_pool2d(stages[-1], 1)), stages[-1], align_corners=True)
        found: list[Tensor] = []
        for stage, before, choose, after in zip(reversed(stages), self.before, self.choose, self.after, strict=True):
            below = after(choose(before(stage), resize(below, stage, align_corners=True)))
            found.append(below)
        return found

    def _borders(self, stages: list[Tensor]) -> list[Tensor]:
        """Logits of borders after every stage, finest first, at the finest stage's size."""
        total = self.border_before[0](stages[0])
        found = [self.border_heads[0](total)]
        for stage, before, after, head in zip(
            stages[1:], self.border_before[1:], self.border_after[1:], self.border_heads[1:], strict=True
        ):
            total = after(total + resize(before(stage), total, align_corners=True))
            found.append(head(total))
        return found

    def forward(self, x: Tensor) -> Tensor:
        return resize(self.heads[-1](self._smooth(self.backbone(x))[-1]), x, align_corners=True)

    def forward_all(self, x: Tensor) -> tuple[Tensor, tuple[Auxiliary, ...]]:
        stages = self.backbone(x)
        found = [head(features) for head, features in zip(self.heads, self._smooth(stages), strict=True)]
        *coarse, logits = [resize(one, x, align_corners=True) for one in found]
        inner = [Auxiliary(one, 1.0) for one in coarse]
        borders = [resize(one, x, align_corners=True) for one in self._borders(stages)]
        return logits, (*inner, *(Auxiliary(one, _BORDER_WEIGHT, "border") for one in borders))


def build(in_channels: int, classes: int, *, backbone: str = "resnet101s", width: int = 512) -> Padded:
    """Build a DFN.

    Args:
        in_channels: input bands.
        classes: output channels.
        backbone: a timm ResNet.
        width: channels of the smooth network.

    Raises:
        ModelError: no such backbone.
    """
    body = resnet(backbone, in_channels, ResNetForm(output_stride=32))
    return Padded(_DFN(body, widths(body), classes, width), stride=32)
