"""PSPNet (Zhao et al. 2017, https://arxiv.org/abs/1612.01105): context from pyramids of pooled means.

As its authors build it (hszhao/semseg): deep stem, the same rate for all blocks of a dilated stage, corners aligned.
``backbone="resnet50c", first_block="prev", align_corners=False`` is mmsegmentation's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from torch import nn

from geoseg.errors import ModelError
from geoseg.nn.padding import Padded
from geoseg.nn.parts.backbones import FirstBlock, ResNetForm, resnet, widths
from geoseg.nn.parts.heads import fcn_head
from geoseg.nn.parts.ppm import PPM, Pooling
from geoseg.nn.parts.segmenter import AuxiliaryHead, Segmenter

BINS = (1, 2, 3, 6)


def psp_head(
    channels: int,
    classes: int,
    *,
    align_corners: bool,
    width: int | None = None,
    bins: Sequence[int] = BINS,
    pooling: Pooling = "adaptive",
) -> nn.Sequential:
    """Build the pyramid pooling, a 3x3 convolution over it and the classifier.

    Args:
        channels: of the feature map.
        classes: output channels.
        align_corners: how pooled means are resized.
        width: channels of each level and before the classifier; a quarter of ``channels`` unless given.
        bins: cells on each side of the levels.
        pooling: see ``geoseg.nn.parts.ppm.PPM``.
    """
    width = width or channels // 4
    pyramid = PPM(channels, width, bins, align_corners=align_corners, pooling=pooling)
    return nn.Sequential(pyramid, fcn_head(pyramid.channels, width, classes, channelwise_dropout=True))


def build(  # noqa: PLR0913 - a registry's options are keywords
    in_channels: int,
    classes: int,
    *,
    backbone: str = "resnet50s",
    output_stride: int = 8,
    first_block: FirstBlock = "same",
    block_rates: Sequence[Sequence[int]] | None = None,
    dilate_second: bool = True,
    width: int | None = None,
    bins: Sequence[int] = BINS,
    pooling: Pooling = "adaptive",
    auxiliary: bool = True,
    auxiliary_width: int | None = None,
    align_corners: bool = True,
) -> Padded:
    """Build a PSPNet.

    Args:
        in_channels: input bands.
        classes: output channels.
        backbone: a timm ResNet.
        output_stride: 8, 16 or 32.
        first_block: rate of the first block of a dilated stage: ``same`` as the others or that of the stage before.
        block_rates: see ``geoseg.nn.parts.backbones.ResNetForm``.
        dilate_second: see there.
        width: channels of each level of the pyramid and before the classifier; a quarter of those of the last stage
            unless given.
        bins: cells on each side of the pyramid's levels.
        pooling: ``adaptive``: as many cells as ``bins`` in a map of any size; ``strided``: cells of whole pixels, as in
            meetps/pytorch-semseg and in Caffe.
        auxiliary: a second head on the third stage, for training; its loss weighs 0.4.
        auxiliary_width: channels before its classifier; a quarter of those of the third stage unless given.
        align_corners: how pooled means and logits are resized.

    Raises:
        ModelError: no such backbone, output stride or pooling.
    """
    if pooling not in get_args(Pooling):
        raise ModelError(f"network 'pspnet' has the poolings {' and '.join(get_args(Pooling))}, not {pooling!r}")
    form = ResNetForm(
        output_stride=output_stride, first_block=first_block, block_rates=block_rates, dilate_second=dilate_second
    )
    body = resnet(backbone, in_channels, form)
    *_, third, fourth = widths(body)
    head = psp_head(fourth, classes, align_corners=align_corners, width=width, bins=bins, pooling=pooling)
    side = AuxiliaryHead(fcn_head(third, auxiliary_width or third // 4, classes, channelwise_dropout=True), -2, 0.4)
    sides = [side] if auxiliary else []
    return Padded(Segmenter(body, head, sides=sides, align_corners=align_corners), stride=1)
