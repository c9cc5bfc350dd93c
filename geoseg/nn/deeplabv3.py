"""DeepLab V3 (Chen et al. 2017, https://arxiv.org/abs/1706.05587): parallel rates and the image's mean.

As torchvision builds it: no multi-grid, rates 12, 24, 36 at output stride 8. ``form="mmseg"`` is mmsegmentation's:
512 channels, merged by a 3x3 convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from torch import nn

from geoseg.errors import ModelError
from geoseg.nn.padding import Padded
from geoseg.nn.parts.aspp import ASPP
from geoseg.nn.parts.backbones import FirstBlock, MultiGrid, ResNetForm, apply_multi_grid, resnet, widths
from geoseg.nn.parts.convolution import convolve
from geoseg.nn.parts.heads import fcn_head
from geoseg.nn.parts.segmenter import AuxiliaryHead, Segmenter

Form = Literal["torchvision", "mmseg", "kazuto"]
RATES = {8: (12, 24, 36), 16: (6, 12, 18)}


def torchvision_head(channels: int, classes: int, rates: Sequence[int], width: int = 256) -> nn.Sequential:
    """Build the ASPP, a 3x3 convolution and the classifier."""
    return nn.Sequential(
        ASPP(channels, width, rates), nn.Dropout(0.5), convolve(width, width, 3), nn.Conv2d(width, classes, 1)
    )


def kazuto_head(channels: int, classes: int, rates: Sequence[int], width: int = 256) -> nn.Sequential:
    """Build the ASPP and the classifier, nothing between them."""
    return nn.Sequential(ASPP(channels, width, rates), nn.Conv2d(width, classes, 1))


def mmseg_head(channels: int, classes: int, rates: Sequence[int], width: int = 512) -> nn.Sequential:
    """Build the ASPP that a 3x3 convolution merges, and the classifier."""
    return nn.Sequential(ASPP(channels, width, rates, mmseg=True), nn.Dropout2d(0.1), nn.Conv2d(width, classes, 1))


def build(  # noqa: PLR0913 - a registry's options are keywords
    in_channels: int,
    classes: int,
    *,
    backbone: str = "resnet50",
    output_stride: int = 8,
    first_block: FirstBlock = "prev",
    block_rates: Sequence[Sequence[int]] | None = None,
    dilate_second: bool = True,
    multi_grid: Sequence[int] = (1, 1, 1),
    multi_grid_form: MultiGrid = "factors",
    rates: Sequence[int] | None = None,
    width: int | None = None,
    form: Form = "torchvision",
    caffe: bool = False,
    auxiliary: bool = True,
    auxiliary_width: int | None = None,
    align_corners: bool = False,
) -> Padded:
    """Build a DeepLab V3.

    Args:
        in_channels: input bands.
        classes: output channels.
        backbone: a timm ResNet; mmsegmentation's is ``resnet50c``.
        output_stride: 8 (rates 12, 24, 36) or 16 (rates 6, 12, 18).
        first_block: see ``geoseg.nn.parts.backbones.ResNetForm``.
        block_rates: see there.
        dilate_second: see there.
        multi_grid: numbers for the last stage's blocks; the paper ends at 1, 2, 4. Factors that are all 1 leave
            torchvision's rates, whose first block keeps the rate of the stage before.
        multi_grid_form: ``factors`` on the stage's rate (the paper: 2, 4, 8 at output stride 16) or the ``rates``
            themselves (mmsegmentation's ``mg124``: 1, 2, 4).
        rates: of the parallel convolutions; as the output stride asks unless given.
        width: channels of the head; 256, for mmsegmentation's form 512, unless given.
        form: ``torchvision``, ``mmseg`` or ``kazuto`` (no convolution between the ASPP and the classifier).
        caffe: see ``ResNetForm``.
        auxiliary: a second head on the third stage, for training; its loss weighs 0.5 (mmsegmentation 0.4).
        auxiliary_width: channels before its classifier; a quarter of those of the third stage unless given.
        align_corners: how the logits are resized; mmsegmentation's models of 769 x 769 pixels align them.

    Raises:
        ModelError: no such backbone, output stride or form.
    """
    if output_stride not in RATES or form not in get_args(Form):
        raise ModelError(
            f"network 'deeplabv3' takes output_stride 8 or 16 and form torchvision, mmseg or kazuto, "
            f"not {output_stride}, {form!r}"
        )
    if rates is not None and not rates:
        raise ModelError("network 'deeplabv3' needs at least one rate")
    shape = ResNetForm(
        output_stride=output_stride,
        first_block=first_block,
        block_rates=block_rates,
        dilate_second=dilate_second,
        caffe=caffe,
    )
    body = resnet(backbone, in_channels, shape)
    apply_multi_grid(body, multi_grid, multi_grid_form, output_stride)
    *_, third, fourth = widths(body)
    mmseg = form == "mmseg"
    make = {"torchvision": torchvision_head, "mmseg": mmseg_head, "kazuto": kazuto_head}[form]
    head = make(fourth, classes, rates or RATES[output_stride], width or (512 if mmseg else 256))
    side = AuxiliaryHead(
        fcn_head(third, auxiliary_width or third // 4, classes, channelwise_dropout=mmseg), -2, 0.4 if mmseg else 0.5
    )
    sides = [side] if auxiliary else []
    return Padded(Segmenter(body, head, sides=sides, align_corners=align_corners), stride=1)
