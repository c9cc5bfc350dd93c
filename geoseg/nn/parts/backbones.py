"""Backbones from timm, with the differences between the published code bases as options.

ResNets of different origin share their weights' shapes but not their forward pass. What differs: the rate of the first
block of a dilated stage, the place of the stride, the stem (timm's names tell it: ``resnet50`` has one 7x7 convolution,
``resnet50c`` three 3x3 ones of 32, 32, 64 channels, ``resnet50s`` of 64, 64, 128) and the rounding of the first pool.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, Literal, get_args

import timm
from torch import nn

from geoseg.errors import ModelError

FirstBlock = Literal["prev", "same"]


def features(name: str, in_channels: int, **options: Any) -> Any:
    """Build a timm model that returns its feature maps, finest first.

    Args:
        name: a timm model.
        in_channels: input bands.
        options: of ``timm.create_model``.

    Raises:
        ModelError: timm has no such model, it gives no feature maps, or it cannot be dilated.
    """
    try:
        with warnings.catch_warnings():
            # on the meta device, where parameters are counted, initialising does nothing, and timm's says so
            warnings.filterwarnings("ignore", message=".*no-op.*")
            return timm.create_model(name, pretrained=False, features_only=True, in_chans=in_channels, **options)
    except (RuntimeError, NotImplementedError, AttributeError, TypeError, ValueError, AssertionError) as error:
        raise ModelError(f"timm's {name!r} cannot be a backbone here: {error}") from error


def resnet(
    name: str,
    in_channels: int,
    *,
    output_stride: int = 8,
    first_block: FirstBlock = "prev",
    caffe: bool = False,
) -> Any:
    """Build a ResNet that returns the outputs of its four stages.

    Args:
        name: a timm ResNet.
        in_channels: input bands.
        output_stride: 8, 16 or 32; what the strides would halve further, dilation widens instead.
        first_block: rate of the first block of a dilated stage. ``prev`` keeps the rate of the stage before
            (torchvision, timm, mmsegmentation), ``same`` takes the stage's own (hszhao/semseg, the Caffe models).
        caffe: the stride in the first 1x1 convolution of a block, and a first pool that rounds up, as in the
            models that come from Caffe.

    Raises:
        ModelError: no such ResNet, output stride or first block.
    """
    if output_stride not in (8, 16, 32):
        raise ModelError(f"backbone {name!r} takes output_stride 8, 16 or 32, not {output_stride}")
    if first_block not in get_args(FirstBlock):
        raise ModelError(f"backbone {name!r} takes first_block prev or same, not {first_block!r}")
    body = features(name, in_channels, output_stride=output_stride, out_indices=(1, 2, 3, 4))
    if not hasattr(body, "layer4"):
        raise ModelError(f"backbone {name!r}: a ResNet is wanted")
    if first_block == "same":
        rates = {8: {"layer3": (2,), "layer4": (4,)}, 16: {"layer4": (2,)}, 32: {}}
        dilate(body, rates[output_stride])
    if caffe:
        _move_strides(body)
        body.maxpool.ceil_mode = True
    return body


def dilate(body: Any, rates: Mapping[str, Sequence[int]]) -> None:
    """Give the blocks of a ResNet's stages rates of their own.

    Args:
        body: a ResNet of timm.
        rates: stage name to the rates of its blocks, repeated as often as the stage is long.

    Raises:
        ModelError: its blocks have other layers than a ResNet's.
    """
    for stage, wanted in rates.items():
        for block, rate in zip(getattr(body, stage), cycle(wanted), strict=False):
            layers = (block.conv2,) if hasattr(block, "conv3") else (block.conv1, block.conv2)
            for layer in layers:
                layer.dilation = layer.padding = (rate, rate)


def _move_strides(body: Any) -> None:
    for block in body.modules():
        if hasattr(block, "conv3") and hasattr(block, "downsample"):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride


def hrnet(name: str, in_channels: int, *, align_corners: bool = False) -> Any:
    """Build an HRNet that returns its raw branches and fuses them bilinearly, as the published segmentation network.

    timm's own returns classification heads on the branches and fuses by nearest neighbour.
    """
    body = features(name, in_channels, feature_location="", out_indices=(1, 2, 3, 4))
    for module in body.modules():
        if isinstance(module, nn.Upsample):
            module.mode = "bilinear"
            module.align_corners = align_corners
    return body


def widths(body: Any) -> list[int]:
    """Channels of a backbone's feature maps, finest first."""
    channels: list[int] = body.feature_info.channels()
    return channels
