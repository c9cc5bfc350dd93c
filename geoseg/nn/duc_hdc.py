"""DUC and HDC (Wang et al. 2018, https://arxiv.org/abs/1702.08502): rates that leave no gaps.

Hybrid dilated convolution gives the blocks of a stage rates without a common divisor; dense upsampling convolution
classifies all pixels of a cell at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from geoseg.errors import ModelError
from geoseg.nn.padding import Padded
from geoseg.nn.parts.backbones import ResNetForm, dilate, resnet, widths
from geoseg.nn.parts.convolution import convolve
from geoseg.nn.parts.segmenter import Segmenter

_STRIDE = 8


def build(
    in_channels: int,
    classes: int,
    *,
    backbone: str = "resnet101",
    third_rates: Sequence[int] = (1, 2, 5, 9),
    fourth_rates: Sequence[int] = (5, 9, 17),
) -> Padded:
    """Build a DUC-HDC.

    Args:
        in_channels: input bands.
        classes: output channels.
        backbone: a timm ResNet.
        third_rates: of the blocks of the third stage, again and again.
        fourth_rates: of the blocks of the fourth stage. ``(2,)`` and ``(4,)`` for both leave DUC alone.

    Raises:
        ModelError: no such backbone, or a stage without a rate.
    """
    if not (third_rates and fourth_rates):
        raise ModelError("network 'duc_hdc' needs at least one rate for each stage")
    body = resnet(backbone, in_channels, ResNetForm(output_stride=_STRIDE))
    dilate(body, {"layer3": third_rates, "layer4": fourth_rates})
    # the published network has norm and ReLU after its classifier
    dense = convolve(widths(body)[-1], classes * _STRIDE**2, 3, bias=True)
    return Padded(Segmenter(body, nn.Sequential(dense, nn.PixelShuffle(_STRIDE))), stride=_STRIDE)
