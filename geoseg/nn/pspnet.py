"""PSPNet (Zhao et al. 2017, https://arxiv.org/abs/1612.01105): context from pyramids of pooled means.

As its authors build it (hszhao/semseg): deep stem, the same rate for all blocks of a dilated stage, corners aligned.
``backbone="resnet50c", first_block="prev", align_corners=False`` is mmsegmentation's.
"""

from __future__ import annotations

from torch import nn

from geoseg.nn.padding import Padded
from geoseg.nn.parts.backbones import FirstBlock, resnet, widths
from geoseg.nn.parts.heads import fcn_head
from geoseg.nn.parts.ppm import PPM
from geoseg.nn.parts.segmenter import Segmenter, Side


def psp_head(channels: int, classes: int, *, align_corners: bool) -> nn.Sequential:
    """Build the pyramid pooling, a 3x3 convolution over it and the classifier."""
    pyramid = PPM(channels, channels // 4, align_corners=align_corners)
    return nn.Sequential(pyramid, fcn_head(pyramid.channels, channels // 4, classes, channelwise_dropout=True))


def build(
    in_channels: int,
    classes: int,
    *,
    backbone: str = "resnet50s",
    output_stride: int = 8,
    first_block: FirstBlock = "same",
    auxiliary: bool = True,
    align_corners: bool = True,
) -> Padded:
    """Build a PSPNet.

    Args:
        in_channels: input bands.
        classes: output channels.
        backbone: a timm ResNet.
        output_stride: 8, 16 or 32.
        first_block: rate of the first block of a dilated stage: ``same`` as the others or that of the stage before.
        auxiliary: a second head on the third stage, for training; its loss weighs 0.4.
        align_corners: how pooled means and logits are resized.

    Raises:
        ModelError: no such backbone or output stride.
    """
    body = resnet(backbone, in_channels, output_stride=output_stride, first_block=first_block)
    *_, third, fourth = widths(body)
    head = psp_head(fourth, classes, align_corners=align_corners)
    side = Side(fcn_head(third, third // 4, classes, channelwise_dropout=True), -2, 0.4)
    sides = [side] if auxiliary else []
    return Padded(Segmenter(body, head, sides=sides, align_corners=align_corners), stride=1)
