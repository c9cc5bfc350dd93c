"""FastFCN (Wu et al. 2019, https://arxiv.org/abs/1903.11816): a head that wants dilation, without dilation.

``form="mmseg", backbone="resnet50c"`` is mmsegmentation's: its own heads, corners not aligned, and a backbone that is
dilated although it keeps its strides.
"""

from __future__ import annotations

from typing import Literal, get_args

from torch import nn

from geoseg.errors import ModelError
from geoseg.nn.deeplabv3 import RATES, mmseg_head, torchvision_head
from geoseg.nn.padding import Padded
from geoseg.nn.parts.backbones import dilate, resnet, widths
from geoseg.nn.parts.encoding import EncHead
from geoseg.nn.parts.heads import fcn_head
from geoseg.nn.parts.jpu import JPU
from geoseg.nn.parts.segmenter import Segmenter, Side
from geoseg.nn.pspnet import psp_head

Head = Literal["fcn", "psp", "deeplabv3", "encnet"]


Form = Literal["fastfcn", "mmseg"]


def _head(kind: Head, channels: int, classes: int, *, mmseg: bool) -> nn.Module:
    if kind == "fcn":
        return fcn_head(channels, channels // 4, classes, channelwise_dropout=True)
    if kind == "psp":
        return psp_head(channels, classes, align_corners=not mmseg)
    if kind == "deeplabv3":
        return (mmseg_head if mmseg else torchvision_head)(channels, classes, RATES[8])
    return EncHead(channels, channels // 4, classes, narrow_px=3 if mmseg else 1)


def build(
    in_channels: int,
    classes: int,
    *,
    backbone: str = "resnet50s",
    head: Head = "encnet",
    width: int = 512,
    form: Form = "fastfcn",
    auxiliary: bool = True,
) -> Padded:
    """Build a FastFCN.

    Args:
        in_channels: input bands.
        classes: output channels.
        backbone: a timm ResNet.
        head: ``fcn``, ``psp``, ``deeplabv3`` or ``encnet``.
        width: channels of each branch of the joint pyramid upsampling.
        form: ``fastfcn`` or ``mmseg``.
        auxiliary: a second head on the third stage, for training; its loss weighs 0.2 (mmsegmentation 0.4).

    Raises:
        ModelError: no such backbone, head or form.
    """
    if head not in get_args(Head) or form not in get_args(Form):
        raise ModelError(
            f"network 'fastfcn' has the heads {', '.join(get_args(Head))} and the forms {', '.join(get_args(Form))}, "
            f"not {head!r}, {form!r}"
        )
    body = resnet(backbone, in_channels, output_stride=32)
    mmseg = form == "mmseg"
    if mmseg:
        dilate(body, {"layer3": (1, *[2] * (len(body.layer3) - 1)), "layer4": (2, *[4] * (len(body.layer4) - 1))})
    stages = widths(body)
    neck = JPU(stages[-3:], width, align_corners=not mmseg)
    side = Side(fcn_head(stages[-2], stages[-2] // 4, classes, channelwise_dropout=True), -2, 0.4 if mmseg else 0.2)
    main = _head(head, neck.channels, classes, mmseg=mmseg)
    segmenter = Segmenter(body, main, neck=neck, sides=[side] if auxiliary else [], align_corners=not mmseg)
    return Padded(segmenter, stride=1)
