"""FastFCN (Wu et al. 2019, https://arxiv.org/abs/1903.11816): a head that wants dilation, without dilation.

``form="mmseg", backbone="resnet50c"`` is mmsegmentation's: its own heads, corners not aligned, and a backbone that is
dilated although it keeps its strides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn

from geoseg.errors import ModelError
from geoseg.nn.deeplabv3 import RATES as ASPP_RATES
from geoseg.nn.deeplabv3 import mmseg_head, torchvision_head
from geoseg.nn.padding import Padded
from geoseg.nn.parts.backbones import ResNetForm, dilate, resnet, widths
from geoseg.nn.parts.encoding import EncHead
from geoseg.nn.parts.heads import fcn_head
from geoseg.nn.parts.jpu import JPU, RATES
from geoseg.nn.parts.segmenter import AuxiliaryHead, Segmenter
from geoseg.nn.pspnet import BINS, psp_head

Head = Literal["fcn", "psp", "deeplabv3", "encnet"]


Form = Literal["fastfcn", "mmseg"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _HeadForm:
    mmseg: bool
    align_corners: bool
    width: int | None
    rates: Sequence[int]
    bins: Sequence[int]


def _head(kind: Head, channels: int, classes: int, form: _HeadForm) -> nn.Module:
    width = form.width or channels // 4
    if kind == "fcn":
        return fcn_head(channels, width, classes, channelwise_dropout=True)
    if kind == "psp":
        return psp_head(channels, classes, align_corners=form.align_corners, width=width, bins=form.bins)
    if kind == "deeplabv3":
        make, usual = (mmseg_head, 512) if form.mmseg else (torchvision_head, 256)
        return make(channels, classes, form.rates, form.width or usual)
    return EncHead(channels, width, classes, narrow_px=3 if form.mmseg else 1)


def build(  # noqa: PLR0913 - a registry's options are keywords
    in_channels: int,
    classes: int,
    *,
    backbone: str = "resnet50s",
    head: Head = "encnet",
    width: int = 512,
    head_width: int | None = None,
    neck_rates: Sequence[int] = RATES,
    rates: Sequence[int] = ASPP_RATES[8],
    bins: Sequence[int] = BINS,
    block_rates: Sequence[Sequence[int]] | None = None,
    dilate_second: bool = True,
    form: Form = "fastfcn",
    auxiliary: bool = True,
    auxiliary_width: int | None = None,
    align_corners: bool | None = None,
    align_neck: bool | None = None,
) -> Padded:
    """Build a FastFCN.

    Args:
        in_channels: input bands.
        classes: output channels.
        backbone: a timm ResNet.
        head: ``fcn``, ``psp``, ``deeplabv3`` or ``encnet``.
        width: channels of each branch of the joint pyramid upsampling.
        head_width: channels of the head; a quarter of the neck's, of ``deeplabv3`` 256 (mmsegmentation: 512), unless
            given.
        neck_rates: of those branches.
        rates: of the parallel convolutions of ``deeplabv3``.
        bins: cells on each side of the levels of ``psp``.
        block_rates: see ``geoseg.nn.parts.backbones.ResNetForm``; all 1 for ``fastfcn``, 1, 2 and 4 from the third
            stage on for ``mmseg``, unless given.
        dilate_second: see there.
        form: ``fastfcn`` or ``mmseg``.
        auxiliary: a second head on the third stage, for training; its loss weighs 0.2 (mmsegmentation 0.4).
        auxiliary_width: channels before its classifier; a quarter of those of the third stage unless given.
        align_corners: how features and logits are resized; aligned for ``fastfcn``, not for ``mmseg``, unless given.
        align_neck: how the neck's features are resized; likewise.

    Raises:
        ModelError: no such backbone, head or form.
    """
    if head not in get_args(Head) or form not in get_args(Form):
        raise ModelError(
            f"network 'fastfcn' has the heads {', '.join(get_args(Head))} and the forms {', '.join(get_args(Form))}, "
            f"not {head!r}, {form!r}"
        )
    mmseg = form == "mmseg"
    body = resnet(
        backbone, in_channels, ResNetForm(output_stride=32, block_rates=block_rates, dilate_second=dilate_second)
    )
    if mmseg and block_rates is None:
        dilate(body, {"layer3": (1, *[2] * (len(body.layer3) - 1)), "layer4": (2, *[4] * (len(body.layer4) - 1))})
    aligned = not mmseg if align_corners is None else align_corners
    stages = widths(body)
    neck = JPU(stages[-3:], width, neck_rates, align_corners=not mmseg if align_neck is None else align_neck)
    narrow = auxiliary_width or stages[-2] // 4
    side = AuxiliaryHead(fcn_head(stages[-2], narrow, classes, channelwise_dropout=True), -2, 0.4 if mmseg else 0.2)
    main = _head(
        head,
        neck.channels,
        classes,
        _HeadForm(mmseg=mmseg, align_corners=aligned, width=head_width, rates=rates, bins=bins),
    )
    segmenter = Segmenter(body, main, neck=neck, sides=[side] if auxiliary else [], align_corners=aligned)
    return Padded(segmenter, stride=1)
