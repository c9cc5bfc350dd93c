"""f-BRS on DeepLabV3+ (Sofiiuk et al. 2020, https://arxiv.org/abs/2001.10331): a dilated ResNet and a light decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from geoseg.nn.interactive.click_maps import ClickForm, ClickMaps
from geoseg.nn.interactive.contract import Features, Fuse, Insertion, InteractiveNetwork, resize_aligned
from geoseg.nn.parts.aspp import ASPP
from geoseg.nn.parts.backbones import resnet, widths
from geoseg.nn.parts.convolution import convolve

_RATES = (12, 24, 36)
_LOW = 32


def _light(before: int, after: int) -> nn.Sequential:
    """Build a 3x3 depthwise and a 1x1 convolution with one norm and one ReLU behind both."""
    return nn.Sequential(
        nn.Conv2d(before, before, 3, padding=1, groups=before, bias=False),
        nn.Conv2d(before, after, 1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


class _DeepLab(InteractiveNetwork):
    """DeepLabV3+ with clicks."""

    def __init__(self, backbone: nn.Module, bands: int, width: int, dropout: float, click_maps: ClickMaps) -> None:
        super().__init__(click_maps)
        finest, *_, coarsest = widths(backbone)
        self.backbone = backbone
        self.fuse = Fuse(bands)
        self.aspp = ASPP(coarsest, width, _RATES)
        self.dropout = nn.Dropout(dropout)
        self.low = convolve(finest, _LOW, 1)
        self.decoder = nn.Sequential(_light(width + _LOW, width), _light(width, width), nn.Conv2d(width, width, 1))
        self.head = nn.Sequential(
            _light(width, width // 2), _light(width // 2, width // 2), nn.Conv2d(width // 2, 1, 1)
        )
        self._channels: dict[Insertion, int] = {"A": coarsest, "B": width + _LOW, "C": width}

    def features(self, images: Tensor, maps: Tensor, place: Insertion) -> Features:
        found = self.backbone(self.fuse(images, maps))
        features = Features(found[-1], (self.low(found[0]),))
        if place != "A":
            features = self._joined(features)
        return Features(self.decoder(features.main)) if place == "C" else features

    def _joined(self, features: Features) -> Features:
        low = features.beside[0]
        raised = resize_aligned(self.dropout(self.aspp(features.main)), low)
        return Features(torch.cat([raised, low], dim=1))

    def finish(self, features: Features, place: Insertion, like: Tensor) -> Tensor:
        if place == "A":
            features = self._joined(features)
        x = features.main if place == "C" else self.decoder(features.main)
        return resize_aligned(self.head(x), like)

    def channels(self, place: Insertion) -> int:
        return self._channels[place]

    @property
    def encoder(self) -> nn.Module:
        return self.backbone


def build(
    in_channels: int,
    classes: int,
    *,
    backbone: str = "resnet34",
    width: int = 128,
    dropout: float = 0.2,
    click_maps: ClickForm = "distance",
    radius_px: float = 260.0,
) -> InteractiveNetwork:
    """Build a DeepLabV3+ with clicks.

    Args:
        in_channels: input bands.
        classes: classes of a card's legend; the network tells one object from the rest, whatever they are.
        backbone: a timm ResNet; the deep stems of the authors' are ``resnet50s`` and ``resnet101s``.
        width: channels of the ASPP and of the decoder.
        dropout: share of the ASPP's channels that training leaves out.
        click_maps: how clicks are drawn.
        radius_px: unit of the distances, or radius of the disks.

    Raises:
        ModelError: no such backbone.
    """
    del classes
    body = resnet(backbone, in_channels)
    return _DeepLab(body, in_channels, width, dropout, ClickMaps(radius_px, click_maps))
