"""Backbones from timm, with the differences between the published code bases as options.

ResNets of different origin share their weights' shapes but not their forward pass. What differs: the rate of the first
block of a dilated stage, the place of the stride, the stem (timm's names tell it: ``resnet50`` has one 7x7 convolution,
``resnet50c`` three 3x3 ones of 32, 32, 64 channels, ``resnet50s`` of 64, 64, 128) and the rounding of the first pool.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Literal, get_args

import timm
from torch import Tensor, nn

from geoseg.errors import ModelError
from geoseg.nn.parts.convolution import resize
from geoseg.nn.parts.drn import NAME as DRN
from geoseg.nn.parts.drn import drn
from geoseg.nn.parts.mobilenet import FORMS as MOBILENETS
from geoseg.nn.parts.mobilenet import mobilenet_v2
from geoseg.nn.parts.xception import NAME as XCEPTION
from geoseg.nn.parts.xception import xception

_DEEP_STEMS = {
    f"resnet{depth}{letter}": (f"resnet{depth}", width)
    for depth in (18, 34)
    for letter, width in (("c", 32), ("s", 64))
}
"""Names that timm gives to deeper ResNets alone, and what they stand for: the ResNet and the width of its stem."""

_OF_TWO_MAPS: Mapping[str, Callable[..., nn.Module]] = {XCEPTION: xception, DRN: drn}
"""Backbones for a DeepLab V3+ alone: they return a map at stride 4 and the last."""

FirstBlock = Literal["prev", "same"]
_DILATED: dict[int, tuple[tuple[int, int], ...]] = {8: ((3, 2), (4, 4)), 16: ((4, 2),), 32: ()}
"""Output stride to the stages that are dilated, and their rates."""

HRNetForm = Literal["authors", "mmseg"]
MultiGrid = Literal["factors", "rates"]
"""``factors`` multiply the last stage's own rate (Chen et al. 2017: 2, 4, 8 of 1, 2, 4 at output stride 16); ``rates``
are taken as they are (mmsegmentation: 1, 2, 4)."""


def features(name: str, in_channels: int, **options: Any) -> Any:
    """Build a timm model that returns its feature maps, finest first.

    Args:
        name: a timm model, ``resnet18c`` and the like, a MobileNetV2 of ``geoseg.nn.parts.mobilenet``,
            ``xception_jfzhang`` or ``drn_d_54``.
        in_channels: input bands.
        options: of ``timm.create_model``.

    Raises:
        ModelError: timm has no such model, it gives no feature maps, or it cannot be dilated.
    """
    if name in MOBILENETS:
        return mobilenet_v2(name, in_channels, **options)
    if name in _OF_TWO_MAPS:
        return _OF_TWO_MAPS[name](in_channels, **options)
    if name in _DEEP_STEMS:
        name, width = _DEEP_STEMS[name]
        options |= {"stem_type": "deep", "stem_width": width}
    try:
        with warnings.catch_warnings():
            # on the meta device, where parameters are counted, initialising does nothing, and timm's says so
            warnings.filterwarnings("ignore", message=".*no-op.*")
            return timm.create_model(name, pretrained=False, features_only=True, in_chans=in_channels, **options)
    except (RuntimeError, NotImplementedError, AttributeError, TypeError, ValueError, AssertionError) as error:
        raise ModelError(f"timm's {name!r} cannot be a backbone here: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNetForm:
    """The strides and rates of a ResNet, which its weights do not show.

    Attributes:
        output_stride: 8, 16 or 32; what the strides would halve further, dilation widens instead.
        first_block: rate of the first block of a dilated stage. ``prev`` keeps the rate of the stage before
            (torchvision, timm, mmsegmentation), ``same`` takes the stage's own (hszhao/semseg, the Caffe models).
        block_rates: rates of the blocks of the four stages, each repeated as often as its stage is long, in place of
            those that the output stride asks for.
        dilate_second: whether the second 3x3 convolution of a basic block (ResNet-18 and 34) is dilated like the first,
            as in timm; mmsegmentation dilates the first alone.
        caffe: the stride in the first 1x1 convolution of a block, and a first pool that rounds up, as in the
            models that come from Caffe.
    """

    output_stride: int = 8
    first_block: FirstBlock = "prev"
    block_rates: Sequence[Sequence[int]] | None = None
    dilate_second: bool = True
    caffe: bool = False

    def check(self, name: str) -> None:
        """Refuse what no ResNet has.

        Raises:
            ModelError: an output stride, first block or number of stages that there is not.
        """
        if self.output_stride not in (8, 16, 32):
            raise ModelError(f"backbone {name!r} takes output_stride 8, 16 or 32, not {self.output_stride}")
        if self.first_block not in get_args(FirstBlock):
            raise ModelError(f"backbone {name!r} takes first_block prev or same, not {self.first_block!r}")
        rates = self.block_rates
        if rates is not None and (len(rates) != 4 or any(not stage or min(stage) < 1 for stage in rates)):
            raise ModelError(f"backbone {name!r} takes block_rates of four stages, each at least 1, not {rates}")


def resnet(name: str, in_channels: int, form: ResNetForm | None = None) -> Any:
    """Build a ResNet that returns the outputs of its four stages.

    Args:
        name: a timm ResNet, or a MobileNetV2 of ``geoseg.nn.parts.mobilenet``.
        in_channels: input bands.
        form: its strides and rates; as torchvision's, at output stride 8, unless given.

    Raises:
        ModelError: no such ResNet, output stride or first block.
    """
    form = form or ResNetForm()
    form.check(name)
    if name in _OF_TWO_MAPS:
        raise ModelError(f"backbone {name!r} has two feature maps, for DeepLab V3+ alone: choose a ResNet")
    if name in MOBILENETS:
        if form != ResNetForm(output_stride=form.output_stride):
            raise ModelError(f"backbone {name!r}: rates and strides of blocks are for a ResNet; leave them out")
        return mobilenet_v2(name, in_channels, output_stride=form.output_stride)
    body = features(name, in_channels, output_stride=form.output_stride, out_indices=(1, 2, 3, 4))
    shape_resnet(name, body, form)
    return body


def shape_resnet(name: str, body: Any, form: ResNetForm) -> None:
    """Give a ResNet of timm, built with the form's output stride, the rest of the form.

    Raises:
        ModelError: it is no ResNet.
    """
    form.check(name)
    if not hasattr(body, "layer4"):
        raise ModelError(f"backbone {name!r}: choose a ResNet")
    rates: dict[str, Sequence[int]] = {}
    if form.block_rates is not None:
        rates = {f"layer{stage}": each for stage, each in enumerate(form.block_rates, start=1)}
    elif form.first_block == "same":
        rates = {f"layer{stage}": (rate,) for stage, rate in _DILATED[form.output_stride]}
    dilate(body, rates)
    if not form.dilate_second:
        for block in body.modules():
            if hasattr(block, "conv2") and not hasattr(block, "conv3"):
                block.conv2.dilation = block.conv2.padding = (1, 1)
    if form.caffe:
        _move_strides(body)
        body.maxpool.ceil_mode = True


def dilate(body: Any, rates: Mapping[str, Sequence[int]]) -> None:
    """Give the blocks of a ResNet's stages rates of their own.

    Args:
        body: a ResNet of timm.
        rates: stage name to the rates of its blocks, repeated as often as the stage is long.

    Raises:
        ModelError: its blocks have other layers than a ResNet's.
    """
    for stage, stage_rates in rates.items():
        for block, rate in zip(getattr(body, stage), cycle(stage_rates), strict=False):
            layers = (block.conv2,) if hasattr(block, "conv3") else (block.conv1, block.conv2)
            for layer in layers:
                layer.dilation = layer.padding = (rate, rate)


def apply_multi_grid(body: Any, grid: Sequence[int], form: MultiGrid, output_stride: int) -> None:
    """Give the blocks of the last stage of a ResNet different rates.

    Args:
        body: a ResNet of timm.
        grid: one number a block, repeated as often as the stage is long.
        form: whether the numbers are factors on the stage's rate or the rates themselves. Factors that are all 1
            leave the stage as it is.
        output_stride: of the ResNet.

    Raises:
        ModelError: no such form, or no number.
    """
    if form not in get_args(MultiGrid) or not grid:
        raise ModelError(f"a multi-grid takes numbers and the form factors or rates, not {grid}, {form!r}")
    if form == "rates":
        dilate(body, {"layer4": grid})
    elif any(factor != 1 for factor in grid):
        dilate(body, {"layer4": [factor * 32 // output_stride for factor in grid]})


def _move_strides(body: Any) -> None:
    for block in body.modules():
        if hasattr(block, "conv3") and hasattr(block, "downsample"):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride


def hrnet(name: str, in_channels: int, *, form: HRNetForm = "authors", align_corners: bool = False) -> Any:
    """Build an HRNet that returns its raw branches and fuses them bilinearly, as the published segmentation network.

    timm's own returns classification heads on the branches, fuses by nearest neighbour, and takes only multiples of 32.

    Args:
        name: a timm HRNet.
        in_channels: input bands.
        form: ``authors`` resizes a branch to the size of the finer one that it joins; ``mmseg`` raises it by a whole
            factor first, and never aligns corners. At multiples of 32 pixels they are the same but for the corners.
        align_corners: how the authors' branches are resized.

    Raises:
        ModelError: no such HRNet or form.
    """
    if form not in get_args(HRNetForm):
        raise ModelError(f"an HRNet has the forms {' and '.join(get_args(HRNetForm))}, not {form!r}")
    body = features(name, in_channels, feature_location="", out_indices=(1, 2, 3, 4))
    for stage in (body.stage2, body.stage3, body.stage4):
        for place, module in enumerate(stage):
            stage[place] = _Fusion(module, form=form, align_corners=align_corners and form == "authors")
    return body


class _Fusion(nn.Module):
    """A module of HRNet that resizes each coarser branch to the size of the finer one that it joins."""

    def __init__(self, module: Any, *, form: HRNetForm, align_corners: bool) -> None:
        super().__init__()
        self.branches = module.branches
        self.fuse_layers = module.fuse_layers
        self.fuse_act = module.fuse_act
        self.align_corners = align_corners
        for layer in self.fuse_layers.modules():
            if isinstance(layer, nn.Sequential) and isinstance(layer[-1], nn.Upsample):
                layer[-1].mode, layer[-1].align_corners = "bilinear", False
                if form == "authors":
                    layer[-1] = nn.Identity()

    def forward(self, x: list[Tensor]) -> list[Tensor]:
        """Map the branches, finest first, to as many of the same sizes."""
        x = [branch(one) for branch, one in zip(self.branches, x, strict=True)]
        if len(x) == 1:
            return x
        fused = []
        for own, layers in zip(x, self.fuse_layers, strict=True):
            total: Tensor | None = None
            for layer, one in zip(layers, x, strict=True):
                joining = resize(layer(one), own, align_corners=self.align_corners)
                total = joining if total is None else total + joining
            fused.append(self.fuse_act(total))
        return fused


def widths(body: Any) -> list[int]:
    """Channels of a backbone's feature maps, finest first."""
    channels: list[int] = body.feature_info.channels()
    return channels
