"""FCN on a ResNet: dilated as torchvision has it (and mmsegmentation, with ``head="concat"``), or with skips.

Source: Long, Shelhamer, Darrell 2015, https://arxiv.org/abs/1411.4038; dilation after Yu and Koltun 2016,
https://arxiv.org/abs/1511.07122.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor, nn

from geoseg.errors import ModelError
from geoseg.nn.padding import Padded
from geoseg.nn.parts.backbones import FirstBlock, ResNetForm, resnet, widths
from geoseg.nn.parts.convolution import resize
from geoseg.nn.parts.heads import ConcatHead, fcn_head
from geoseg.nn.parts.segmenter import AuxiliaryHead, Segmenter

Head = Literal["plain", "concat", "scores"]
Rise = Literal["bilinear", "transpose"]


class _Scores(nn.Module):
    """Classifiers of several stages, the coarser answer raised to the finer stage and added."""

    def __init__(self, channels: Sequence[int], classes: int, rise: Rise, *, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.stages = nn.ModuleList(nn.Conv2d(width, classes, 1) for width in channels)
        self.rise = nn.ModuleList(
            nn.ConvTranspose2d(classes, classes, 3, stride=2, padding=1) if rise == "transpose" else nn.Identity()
            for _ in channels[1:]
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Map feature maps, finest first, to a list of the logits."""
        coarsest, *finer = list(reversed(maps))[: len(self.stages)]
        first, *others = self.stages
        total: Tensor = first(coarsest)
        for classify, rise, x in zip(others, self.rise, finer, strict=True):
            own = classify(x)
            total = resize(rise(total), own, align_corners=self.align_corners) + own
        return [total]


def build(  # noqa: PLR0913 - a registry's options are keywords
    in_channels: int,
    classes: int,
    *,
    backbone: str = "resnet50",
    output_stride: int = 8,
    head: Head = "plain",
    head_rate: int = 1,
    scored_stages: int = 1,
    rise: Rise = "bilinear",
    width: int | None = None,
    auxiliary: bool = True,
    auxiliary_width: int | None = None,
    first_block: FirstBlock = "prev",
    block_rates: Sequence[Sequence[int]] | None = None,
    dilate_second: bool = True,
    align_corners: bool = False,
) -> Padded:
    """Build an FCN on a ResNet.

    Args:
        in_channels: input bands.
        classes: output channels.
        backbone: a timm ResNet.
        output_stride: 8, 16 or 32.
        head: ``plain`` (torchvision), ``concat`` (mmsegmentation, with ``backbone="resnet50c"``) or ``scores``: a
            classifier on each of the ``scored_stages``, whose answers are added, without an auxiliary head.
        head_rate: of the convolutions of the heads; mmsegmentation's ``d6`` models have 6.
        scored_stages: last stages with a classifier, where ``head`` is ``scores``: 1, 2 or 3 are FCN-32s, -16s and -8s
            at output stride 32.
        rise: how those answers are raised: ``bilinear``, or ``transpose``, by a learnt transposed convolution first.
        width: channels before the classifier; a quarter of those of the last stage unless given.
        auxiliary: a second head on the third stage, for training; its loss weighs 0.5 (``concat``: 0.4).
        auxiliary_width: channels before its classifier; a quarter of those of the third stage unless given.
        first_block: see ``geoseg.nn.parts.backbones.ResNetForm``.
        block_rates: see there.
        dilate_second: see there.
        align_corners: how the logits are resized.

    Raises:
        ModelError: no such backbone, output stride, head or rise.
    """
    if rise not in get_args(Rise):
        raise ModelError(f"network 'fcn' has the rises {' and '.join(get_args(Rise))}, not {rise!r}")
    if head not in get_args(Head) or not 1 <= scored_stages <= 4:
        raise ModelError(
            f"network 'fcn' has the heads {', '.join(get_args(Head))} and 1 to 4 scored_stages, "
            f"not {head!r}, {scored_stages}"
        )
    form = ResNetForm(
        output_stride=output_stride, first_block=first_block, block_rates=block_rates, dilate_second=dilate_second
    )
    body = resnet(backbone, in_channels, form)
    *_, third, fourth = channels = widths(body)
    if head == "scores":
        scores = _Scores(channels[::-1][:scored_stages], classes, rise, align_corners=align_corners)
        return Padded(Segmenter(body, nn.Identity(), neck=scores, align_corners=align_corners), stride=1)
    main: nn.Module = (ConcatHead if head == "concat" else fcn_head)(
        fourth, width or fourth // 4, classes, rate=head_rate
    )
    mmseg = head == "concat"
    narrow = auxiliary_width or third // 4
    auxiliary_head = fcn_head(third, narrow, classes, channelwise_dropout=mmseg, rate=head_rate)
    side = AuxiliaryHead(auxiliary_head, -2, 0.4 if mmseg else 0.5)
    sides = [side] if auxiliary else []
    return Padded(Segmenter(body, main, sides=sides, align_corners=align_corners), stride=1)
