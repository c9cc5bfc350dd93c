"""DeepLab V3 (Chen et al. 2017, https://arxiv.org/abs/1706.05587): parallel rates and the image's mean.

As torchvision builds it: no multi-grid, rates 12, 24, 36 at output stride 8. ``form="mmseg"`` is mmsegmentation's:
512 channels, merged by a 3x3 convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import nn

from geoseg.errors import ModelError
from geoseg.nn.padding import Padded
from geoseg.nn.parts.aspp import ASPP
from geoseg.nn.parts.backbones import dilate, resnet, widths
from geoseg.nn.parts.convolution import convolve
from geoseg.nn.parts.heads import fcn_head
from geoseg.nn.parts.segmenter import Segmenter, Side

RATES = {8: (12, 24, 36), 16: (6, 12, 18)}


def torchvision_head(channels: int, classes: int, rates: Sequence[int]) -> nn.Sequential:
    """Build the ASPP of 256 channels, a 3x3 convolution and the classifier."""
    return nn.Sequential(ASPP(channels, 256, rates), nn.Dropout(0.5), convolve(256, 256, 3), nn.Conv2d(256, classes, 1))


def mmseg_head(channels: int, classes: int, rates: Sequence[int]) -> nn.Sequential:
    """Build the ASPP of 512 channels that a 3x3 convolution merges, and the classifier."""
    return nn.Sequential(ASPP(channels, 512, rates, mmseg=True), nn.Dropout2d(0.1), nn.Conv2d(512, classes, 1))


def build(  # noqa: PLR0913 - a registry's options are keywords
    in_channels: int,
    classes: int,
    *,
    backbone: str = "resnet50",
    output_stride: int = 8,
    multi_grid: Sequence[int] = (1, 1, 1),
    form: Literal["torchvision", "mmseg"] = "torchvision",
    auxiliary: bool = True,
    align_corners: bool = False,
) -> Padded:
    """Build a DeepLab V3.

    Args:
        in_channels: input bands.
        classes: output channels.
        backbone: a timm ResNet; mmsegmentation's is ``resnet50c``.
        output_stride: 8 (rates 12, 24, 36) or 16 (rates 6, 12, 18).
        multi_grid: factors on the rates of the last stage's blocks; the paper ends at 1, 2, 4. All ones leave
            torchvision's rates, whose first block keeps the rate of the stage before.
        form: ``torchvision`` or ``mmseg``.
        auxiliary: a second head on the third stage, for training; its loss weighs 0.5 (mmsegmentation 0.4).
        align_corners: how the logits are resized; mmsegmentation's models of 769 x 769 pixels align them.

    Raises:
        ModelError: no such backbone, output stride or form.
    """
    if output_stride not in RATES or form not in ("torchvision", "mmseg"):
        raise ModelError(
            f"network 'deeplabv3' takes output_stride 8 or 16 and form torchvision or mmseg, "
            f"not {output_stride}, {form!r}"
        )
    body = resnet(backbone, in_channels, output_stride=output_stride)
    if any(factor != 1 for factor in multi_grid):
        dilate(body, {"layer4": [factor * 32 // output_stride for factor in multi_grid]})
    *_, third, fourth = widths(body)
    head = (torchvision_head if form == "torchvision" else mmseg_head)(fourth, classes, RATES[output_stride])
    mmseg = form == "mmseg"
    side = Side(fcn_head(third, third // 4, classes, channelwise_dropout=mmseg), -2, 0.4 if mmseg else 0.5)
    sides = [side] if auxiliary else []
    return Padded(Segmenter(body, head, sides=sides, align_corners=align_corners), stride=1)
