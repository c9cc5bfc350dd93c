"""FCN on a dilated ResNet, as torchvision has it (and mmsegmentation, with ``head="concat"``).

Source: Long, Shelhamer, Darrell 2015, https://arxiv.org/abs/1411.4038; dilation after Yu and Koltun 2016,
https://arxiv.org/abs/1511.07122.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

from geoseg.errors import ModelError
from geoseg.nn.padding import Padded
from geoseg.nn.parts.backbones import resnet, widths
from geoseg.nn.parts.heads import ConcatHead, fcn_head
from geoseg.nn.parts.segmenter import Segmenter, Side


def build(
    in_channels: int,
    classes: int,
    *,
    backbone: str = "resnet50",
    output_stride: int = 8,
    head: Literal["plain", "concat"] = "plain",
    auxiliary: bool = True,
    align_corners: bool = False,
) -> Padded:
    """Build an FCN on a ResNet.

    Args:
        in_channels: input bands.
        classes: output channels.
        backbone: a timm ResNet.
        output_stride: 8, 16 or 32.
        head: ``plain`` (torchvision) or ``concat`` (mmsegmentation, with ``backbone="resnet50c"``).
        auxiliary: a second head on the third stage, for training; its loss weighs 0.5 (``concat``: 0.4).
        align_corners: how the logits are resized.

    Raises:
        ModelError: no such backbone, output stride or head.
    """
    if head not in ("plain", "concat"):
        raise ModelError(f"network 'fcn' has the heads plain and concat, not {head!r}")
    body = resnet(backbone, in_channels, output_stride=output_stride)
    *_, third, fourth = widths(body)
    main: nn.Module = (ConcatHead if head == "concat" else fcn_head)(fourth, fourth // 4, classes)
    mmseg = head == "concat"
    side = Side(fcn_head(third, third // 4, classes, channelwise_dropout=mmseg), -2, 0.4 if mmseg else 0.5)
    sides = [side] if auxiliary else []
    return Padded(Segmenter(body, main, sides=sides, align_corners=align_corners), stride=1)
