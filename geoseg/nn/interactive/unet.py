"""A small U-Net with clicks: its encoder sees the image alone, its decoder the maps of clicks at every join.

So a network that was trained for class maps is a good beginning: its encoder stays as it is. Each map of clicks also
counts straight in the answer, near a positive click for the object, near a negative one against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.nn.interactive.click_maps import ClickForm, ClickMaps
from geoseg.nn.interactive.contract import Features, Insertion, InteractiveNetwork
from geoseg.nn.padding import mirror
from geoseg.nn.timm_unet import build as build_unet

_MAPS = 2
_NEAR = 3.0
"""Logit that a click gives its own pixel before training, positive or negative."""


class _UNet(InteractiveNetwork):
    """U-Net with clicks. A: the encoder's coarsest map; B: half way up; C: before the classifier."""

    def __init__(self, body: Any, stride: int, click_maps: ClickMaps) -> None:
        super().__init__(click_maps)
        self.body: Any = body
        for merge in self.body.merge:
            first = merge[0]
            merge[0] = nn.Conv2d(first.in_channels + _MAPS, first.out_channels, 3, padding=1, bias=False)
        self.direct = nn.Conv2d(_MAPS, 1, 1)
        with torch.no_grad():
            self.direct.weight.copy_(torch.tensor([-_NEAR, _NEAR]).reshape(1, _MAPS, 1, 1))
            nn.init.constant_(self.direct.get_parameter("bias"), -0.5 * _NEAR)
        self._multiple = stride
        self._joins = {"A": 0, "B": len(body.rise) // 2, "C": len(body.rise)}

    def features(self, images: Tensor, maps: Tensor, place: Insertion) -> Features:
        rows, cols = ((0, -side % self._multiple) for side in images.shape[-2:])
        *skips, coarsest = self.body.encoder(mirror(images, rows, cols))
        encoded = Features(coarsest, (*skips, mirror(maps, rows, cols)))
        return self._rise(encoded, 0, self._joins[place])

    def _rise(self, features: Features, begin: int, end: int) -> Features:
        x, (*skips, maps) = features
        for merge, factor in list(zip(self.body.merge, self.body.rise, strict=True))[begin:end]:
            x = functional.interpolate(x, scale_factor=float(factor), mode="nearest")
            here = functional.interpolate(maps, size=x.shape[-2:], mode="bilinear", align_corners=False)
            x = merge(torch.cat([x, skips.pop(), here], dim=1))
        return Features(x, (*skips, maps))

    def finish(self, features: Features, place: Insertion, like: Tensor) -> Tensor:
        x, (*_, maps) = self._rise(features, self._joins[place], self._joins["C"])
        x = self.body.head(x)
        x = functional.pixel_shuffle(x, self.body.finest) if self.body.finest > 1 else x
        logits: Tensor = x + self.direct(maps)
        return logits[..., : like.shape[-2], : like.shape[-1]]

    def channels(self, place: Insertion) -> int:
        join = self._joins[place]
        if join == 0:
            coarsest: int = self.body.encoder.feature_info.channels()[-1]
            return coarsest
        return int(self.body.merge[join - 1][-2].num_features)

    @property
    def encoder(self) -> nn.Module:
        encoder: nn.Module = self.body.encoder
        return encoder


def build(
    in_channels: int,
    classes: int,
    *,
    encoder: str = "mobilenetv2_100",
    widths: Sequence[int] = (128, 64, 48, 32),
    click_maps: ClickForm = "distance",
    radius_px: float = 260.0,
) -> InteractiveNetwork:
    """Build a U-Net with clicks on a timm encoder.

    Args:
        in_channels: input bands.
        classes: classes of a card's legend; the network tells one object from the rest, whatever they are.
        encoder: as of ``timm_unet``.
        widths: as of ``timm_unet``.
        click_maps: how clicks are drawn.
        radius_px: unit of the distances, or radius of the disks.

    Raises:
        ModelError: as ``timm_unet``.
    """
    del classes
    unet = build_unet(in_channels, 1, encoder=encoder, widths=widths)
    return _UNet(unet.body, unet.stride, ClickMaps(radius_px, click_maps))
