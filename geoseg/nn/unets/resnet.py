"""U-Net on a ResNet, as Media-Smart/vedaseg builds it.

The maps of the ResNet are joined one by one on the way up (Ronneberger, Fischer, Brox 2015,
https://arxiv.org/abs/1505.04597), each after two convolutions; a last pair of them works at the size of the image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from geoseg.errors import ModelError
from geoseg.nn.padding import Padded
from geoseg.nn.parts.backbones import features, widths
from geoseg.nn.parts.convolution import convolve, resize


class _UNet(nn.Module):
    def __init__(
        self, backbone: nn.Module, channels: Sequence[int], decoder: Sequence[int], classes: int, *, align_corners: bool
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.align_corners = align_corners
        self.merge = nn.ModuleList()
        before, *skips = reversed(channels)
        for skip, width in zip((*skips, 0), decoder, strict=True):
            self.merge.append(nn.Sequential(convolve(before + skip, width, 3), convolve(width, width, 3)))
            before = width
        self.head = nn.Conv2d(before, classes, 1)
        nn.init.normal_(self.head.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        *skips, inner = self.backbone(x)
        *joins, last = self.merge
        for merge, skip in zip(joins, reversed(skips), strict=True):
            raised = resize(inner, skip, align_corners=self.align_corners)
            inner = merge(torch.cat([raised, skip], dim=1))
        logits: Tensor = self.head(last(resize(inner, x, align_corners=self.align_corners)))
        return logits


def build(
    in_channels: int,
    classes: int,
    *,
    backbone: str = "resnet50",
    decoder_widths: Sequence[int] = (256, 128, 64, 32, 16),
    align_corners: bool = True,
) -> Padded:
    """Build a U-Net on a ResNet.

    Args:
        in_channels: input bands.
        classes: output channels.
        backbone: a timm ResNet, or another model of timm with feature maps.
        decoder_widths: channels of the decoder from the coarsest join to the image, one for each feature map.
        align_corners: how features are resized.

    Raises:
        ModelError: no such backbone, or ``decoder_widths`` do not go with it.
    """
    body = features(backbone, in_channels)
    channels = widths(body)
    if len(decoder_widths) != len(channels):
        raise ModelError(
            f"network 'unet_r50': {backbone} has {len(channels)} feature maps, so decoder_widths needs as many "
            f"numbers, not {list(decoder_widths)}"
        )
    network = _UNet(body, channels, decoder_widths, classes, align_corners=align_corners)
    return Padded(network, stride=1)
