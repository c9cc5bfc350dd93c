"""RefineNet (Lin et al. 2017, https://arxiv.org/abs/1611.06612): four cascaded refinements of a ResNet's stages."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from geoseg.nn.padding import Padded
from geoseg.nn.parts.backbones import ResNetForm, resnet, widths
from geoseg.nn.parts.convolution import resize
from geoseg.nn.parts.rcu import CRP, RCU
from geoseg.nn.parts.segmenter import Segmenter


def _convolution(before: int, after: int, size: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, size, padding=size // 2, bias=False)


class _Refinement(nn.Module):
    """Adapt a stage, add the coarser answer, pool in a chain, refine."""

    def __init__(self, channels: tuple[int, int, int], *, coarsest: bool, dropout: float, light: bool) -> None:
        """Make the layers; ``channels`` are those of the stage, within and of the answer, 0 for as within."""
        super().__init__()
        stage, width, after = channels
        size = 1 if light else 3
        self.narrow = nn.Sequential(nn.Dropout(dropout), _convolution(stage, width, size))
        self.adapt = nn.Sequential(*(RCU(width) for _ in range(0 if light else 2)))
        self.join = nn.Identity() if coarsest else _convolution(width, width, size)
        self.pool = CRP(width, size=size)
        self.refine = nn.Sequential(*(RCU(width) for _ in range(0 if light else 3)))
        self.hand_on = nn.Identity() if after == 0 else _convolution(width, after, size)

    def forward(self, stage: Tensor, coarser: Tensor | None) -> Tensor:
        x = self.join(self.adapt(self.narrow(stage)))
        if coarser is not None:
            x = x + resize(coarser, x, align_corners=True)
        answer: Tensor = self.hand_on(self.refine(self.pool(x)))
        return answer


class _Cascade(nn.Module):
    """Neck that refines from the coarsest stage down to the finest."""

    def __init__(self, stages: Sequence[int], width: int, *, light: bool) -> None:
        super().__init__()
        self.levels = nn.ModuleList()
        for level, stage in enumerate(reversed(stages)):
            coarsest, finest = level == 0, level == len(stages) - 1
            wide = 2 * width if coarsest else width
            # the two coarsest stages are dropped from, as is the last answer
            dropout = 0.5 if level < 2 else 0.0
            channels = stage, wide, 0 if finest else width
            self.levels.append(_Refinement(channels, coarsest=coarsest, dropout=dropout, light=light))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        answer: Tensor | None = None
        for level, stage in zip(self.levels, reversed(features), strict=True):
            answer = level(stage, answer)
        return [] if answer is None else [answer]


def build(
    in_channels: int, classes: int, *, backbone: str = "resnet101", width: int = 256, light: bool = False
) -> Padded:
    """Build a RefineNet.

    Args:
        in_channels: input bands.
        classes: output channels.
        backbone: a timm ResNet.
        width: channels of the refinements; the coarsest has twice as many.
        light: 1x1 convolutions, and no residual units (Nekrasov, Shen, Reid 2018, https://arxiv.org/abs/1810.03272).

    Raises:
        ModelError: no such backbone.
    """
    body = resnet(backbone, in_channels, ResNetForm(output_stride=32))
    neck = _Cascade(widths(body), width, light=light)
    head = nn.Sequential(nn.Dropout(0.0 if light else 0.5), nn.Conv2d(width, classes, 3, padding=1))
    return Padded(Segmenter(body, head, neck=neck, align_corners=not light), stride=1)
