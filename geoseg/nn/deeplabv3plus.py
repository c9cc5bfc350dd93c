"""DeepLabV3+ (Chen et al. 2018, https://arxiv.org/abs/1802.02611): dilated backbone, separable ASPP, light decoder.

Widths follow mmsegmentation's ``DepthwiseSeparableASPPHead``: 512 channels, 48 low-level channels, and a 3x3
convolution after the concatenated ASPP branches.
"""

from __future__ import annotations

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import ModelError
from geoseg.nn.padding import Padded

_RATES = {8: (12, 24, 36), 16: (6, 12, 18)}


def _conv(before: int, after: int, size: int, *, dilation: int = 1, groups: int = 1) -> nn.Sequential:
    padding = dilation * (size // 2)
    return nn.Sequential(
        nn.Conv2d(before, after, size, padding=padding, dilation=dilation, groups=groups, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


def _separable(before: int, after: int, *, dilation: int = 1) -> nn.Sequential:
    return nn.Sequential(_conv(before, before, 3, dilation=dilation, groups=before), _conv(before, after, 1))


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


class _DeepLabV3Plus(nn.Module):
    def __init__(self, backbone: nn.Module, widths: tuple[int, int, int], rates: tuple[int, ...], classes: int) -> None:
        super().__init__()
        low, high, width = widths
        self.backbone = backbone
        self.image_pool = _conv(high, width, 1)
        self.aspp = nn.ModuleList([_conv(high, width, 1)])
        self.aspp.extend(_separable(high, width, dilation=rate) for rate in rates)
        self.bottleneck = _conv((2 + len(rates)) * width, width, 3)
        self.low_level = _conv(low, 48, 1)
        self.decoder = nn.Sequential(_separable(width + 48, width), _separable(width, width))
        self.head = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(width, classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        low, high = self.backbone(x)
        pooled = self.image_pool(high.mean((2, 3), keepdim=True)).expand(-1, -1, *high.shape[-2:])
        branches = [pooled, *(branch(high) for branch in self.aspp)]
        context = self.bottleneck(torch.cat(branches, dim=1))
        low = self.low_level(low)
        merged = self.decoder(torch.cat([_resize(context, low), low], dim=1))
        return _resize(self.head(merged), x)


def build(
    in_channels: int, classes: int, *, backbone: str = "resnet50", output_stride: int = 16, width: int = 512
) -> Padded:
    """Build a DeepLabV3+.

    Args:
        in_channels: input bands.
        classes: output channels.
        backbone: a timm model with features at stride 4 that can be dilated; ``resnet50c`` is mmsegmentation's.
        output_stride: 16 (rates 6, 12, 18) or 8 (rates 12, 24, 36).
        width: channels of the ASPP and the decoder; the paper has 256, mmsegmentation 512.

    Raises:
        ModelError: timm has no such backbone, or it cannot be dilated.
    """
    if output_stride not in _RATES:
        raise ModelError(f"network 'deeplabv3plus' takes output_stride 8 or 16, not {output_stride}")
    try:
        features = timm.create_model(
            backbone, pretrained=False, features_only=True, in_chans=in_channels, output_stride=output_stride
        )
    except (RuntimeError, NotImplementedError, TypeError, AssertionError) as error:
        raise ModelError(f"network 'deeplabv3plus' cannot use timm's {backbone!r} as backbone: {error}") from error
    reductions, channels = features.feature_info.reduction(), features.feature_info.channels()
    if 4 not in reductions:
        raise ModelError(f"network 'deeplabv3plus': {backbone!r} has no features at stride 4, but at {reductions}")
    low = reductions.index(4)
    features = timm.create_model(
        backbone,
        pretrained=False,
        features_only=True,
        in_chans=in_channels,
        output_stride=output_stride,
        out_indices=(low, len(channels) - 1),
    )
    body = _DeepLabV3Plus(features, (channels[low], channels[-1], width), _RATES[output_stride], classes)
    return Padded(body, stride=output_stride)
