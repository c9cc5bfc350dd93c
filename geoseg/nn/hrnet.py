"""HRNetV2 for segmentation (Sun et al. 2019, https://arxiv.org/abs/1904.04514): four resolutions kept side by side.

The backbone is timm's, with two changes that make it the published segmentation network: the raw branches are taken
rather than the classification heads on them, and the fuse layers upsample bilinearly rather than by nearest neighbour.
"""

from __future__ import annotations

from types import MappingProxyType

import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import ModelError
from geoseg.nn.padding import Padded

BACKBONES = MappingProxyType(
    {
        "w18_small_v1": "hrnet_w18_small",
        "w18_small_v2": "hrnet_w18_small_v2",
        "w18": "hrnet_w18",
        "w32": "hrnet_w32",
        "w48": "hrnet_w48",
    }
)


class _HRNet(nn.Module):
    def __init__(self, backbone: nn.Module, channels: int, classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        # the bias before the norm changes nothing, but the published weights have one
        self.head = nn.Sequential(
            nn.Conv2d(channels, channels, 1),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, classes, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        finest, *coarser = self.backbone(x)
        size = finest.shape[-2:]
        raised = [functional.interpolate(b, size=size, mode="bilinear", align_corners=False) for b in coarser]
        logits = self.head(torch.cat([finest, *raised], dim=1))
        return functional.interpolate(logits, size=x.shape[-2:], mode="bilinear", align_corners=False)


def build(in_channels: int, classes: int, *, width: str = "w48") -> Padded:
    """Build an HRNetV2.

    Args:
        in_channels: input bands.
        classes: output channels.
        width: ``w18``, ``w32``, ``w48``, ``w18_small_v1`` or ``w18_small_v2``.

    Raises:
        ModelError: no such width.
    """
    if width not in BACKBONES:
        raise ModelError(f"network 'hrnet' has no width {width!r}; known: {', '.join(BACKBONES)}")
    backbone = timm.create_model(
        BACKBONES[width],
        pretrained=False,
        features_only=True,
        feature_location="",
        out_indices=(1, 2, 3, 4),
        in_chans=in_channels,
    )
    for module in backbone.modules():
        if isinstance(module, nn.Upsample):
            module.mode = "bilinear"
            module.align_corners = False
    return Padded(_HRNet(backbone, sum(backbone.feature_info.channels()), classes), stride=32)
