"""U-Net with any timm backbone for its encoder, as people train it from pretrained weights.

The encoder's feature maps, finest last, are joined one by one on the way up (Ronneberger, Fischer, Brox 2015,
https://arxiv.org/abs/1505.04597). The decoder ends at the encoder's finest map; a sub-pixel convolution (Shi et al.
2016, https://arxiv.org/abs/1609.05158) spreads the answer from there to the pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import ModelError
from geoseg.nn.padding import Padded


class _Double(nn.Sequential):
    def __init__(self, before: int, after: int) -> None:
        super().__init__(
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
            nn.Conv2d(after, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(inplace=True),
        )


class TimmUNetBody(nn.Module):
    """Encoder, decoder and classifier; takes multiples of the coarsest stride."""

    def __init__(
        self,
        encoder: nn.Module,
        channels: Sequence[int],
        strides: Sequence[int],
        widths: Sequence[int],
        classes: int,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.rise = [coarser // finer for finer, coarser in pairwise(strides)][::-1]
        below = channels[-1]
        self.merge = nn.ModuleList()
        for skip, width in zip(reversed(channels[:-1]), widths, strict=True):
            self.merge.append(_Double(below + skip, width))
            below = width
        self.finest, self.stride = strides[0], strides[-1]
        self.head = nn.Conv2d(below, classes * self.finest**2, 1)
        for module in self.merge.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.normal_(self.head.weight, std=0.01)
        if self.head.bias is not None:
            nn.init.zeros_(self.head.bias)

    def features(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to the finest features of the decoder, (B, width, H / finest, W / finest)."""
        *skips, x = self.encoder(x)
        for merge, factor in zip(self.merge, self.rise, strict=True):
            x = functional.interpolate(x, scale_factor=float(factor), mode="nearest")
            x = merge(torch.cat([x, skips.pop()], dim=1))
        return x

    def classify(self, features: Tensor) -> Tensor:
        """Map the finest features to logits (B, classes, H, W)."""
        x = self.head(features)
        return functional.pixel_shuffle(x, self.finest) if self.finest > 1 else x

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to logits (B, classes, H, W)."""
        return self.classify(self.features(x))


def build(
    in_channels: int,
    classes: int,
    *,
    encoder: str = "mobilenetv2_100",
    widths: Sequence[int] = (128, 64, 48, 32),
) -> Padded:
    """Build a U-Net on a timm encoder with random weights.

    Args:
        in_channels: input bands.
        classes: output channels.
        encoder: a timm model that gives feature maps, for example ``mobilenetv2_100`` or ``resnet34``.
        widths: channels of the decoder from the coarsest join to the finest, one for each map but the last.

    Raises:
        ModelError: timm has no such encoder, it gives no feature maps, or ``widths`` do not go with it.
    """
    body = TimmUNetBody(*unet_encoder(in_channels, encoder, widths), widths, classes)
    return Padded(body, stride=body.stride)


def unet_encoder(in_channels: int, encoder: str, widths: Sequence[int]) -> tuple[nn.Module, list[int], list[int]]:
    """Build the encoder of a U-Net, with the channels and the strides of its feature maps; see ``build``."""
    try:
        body = timm.create_model(encoder, pretrained=False, features_only=True, in_chans=in_channels)
    except (RuntimeError, AttributeError, TypeError, ValueError) as error:
        raise ModelError(f"network 'timm_unet': timm gives no feature maps of {encoder!r} ({error})") from error
    channels, reductions = body.feature_info.channels(), body.feature_info.reduction()
    if len(widths) != len(reductions) - 1 or min(widths) < 1:
        raise ModelError(
            f"network 'timm_unet': {encoder} has {len(reductions)} feature maps, "
            f"so widths needs {len(reductions) - 1} numbers of at least 1, not {list(widths)}"
        )
    return body, channels, reductions
