"""Inputs and outputs that all interactive networks share.

A network is called as ``network(images, clicks)``:

- ``images``: (B, C, H, W), normalised, of any size;
- ``clicks``: (B, 2 N, 2), row and column of N positive and then N negative clicks; see
  ``geoseg.nn.interactive.click_maps``.

It answers one logit a pixel, (B, 1, H, W), above 0 for the object that is clicked on.

The pass is cut at three places. f-BRS (Sofiiuk et al. 2020, https://arxiv.org/abs/2001.10331) scales and shifts the
channels at one of them until the answer agrees with the clicks: A at the coarsest features of the backbone, B before
the decoder, C before the classifier. BRS (Jang and Kim 2019) changes the maps of clicks, or the image.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from geoseg.nn.interactive.click_maps import ClickMaps
from geoseg.nn.parts.auxiliary import Auxiliary
from geoseg.nn.parts.convolution import resize

Insertion = Literal["A", "B", "C"]


class Features(NamedTuple):
    """Features at one of the three places.

    Attributes:
        main: (B, C, h, w), those that f-BRS scales and shifts.
        beside: further maps that the rest of the pass needs, which it leaves alone.
    """

    main: Tensor
    beside: tuple[Tensor, ...] = ()


class Fuse(nn.Module):
    """Two 1x1 convolutions that make an image of bands and click maps, of as many bands.

    Args:
        bands: bands of the image.
    """

    def __init__(self, bands: int) -> None:
        super().__init__()
        between = bands + 5
        self.layers = nn.Sequential(
            nn.Conv2d(bands + 2, between, 1), nn.LeakyReLU(0.2), nn.BatchNorm2d(between), nn.Conv2d(between, bands, 1)
        )

    def forward(self, images: Tensor, maps: Tensor) -> Tensor:
        """Map (B, bands, H, W) and (B, 2, H, W) to (B, bands, H, W)."""
        fused: Tensor = self.layers(torch.cat([images, maps], dim=1))
        return fused


class InteractiveNetwork(nn.Module, ABC):
    """A network that answers with the mask of the object that clicks point at.

    Args:
        click_maps: draws the clicks.

    Attributes:
        stride: 1, since any size is taken.
    """

    stride = 1

    def __init__(self, click_maps: ClickMaps) -> None:
        super().__init__()
        self.click_maps = click_maps

    def forward(self, images: Tensor, clicks: Tensor) -> Tensor:
        """Map images (B, C, H, W) and clicks (B, 2 N, 2) to logits (B, 1, H, W)."""
        return self.answer(images, self.maps(images, clicks))

    def maps(self, images: Tensor, clicks: Tensor) -> Tensor:
        """Draw the clicks at the size of the images, (B, 2, H, W)."""
        drawn: Tensor = self.click_maps(clicks, (images.shape[-2], images.shape[-1]))
        return drawn

    def answer(self, images: Tensor, maps: Tensor) -> Tensor:
        """Map images and maps of clicks to logits (B, 1, H, W)."""
        return self.finish(self.features(images, maps, "C"), "C", images)

    def forward_all(self, images: Tensor, clicks: Tensor) -> tuple[Tensor, tuple[Auxiliary, ...]]:
        """Map images and clicks to logits, and to what auxiliary heads answer, for training."""
        return self(images, clicks), ()

    @abstractmethod
    def features(self, images: Tensor, maps: Tensor, place: Insertion) -> Features:
        """Run the pass up to one of the three places."""

    @abstractmethod
    def finish(self, features: Features, place: Insertion, like: Tensor) -> Tensor:
        """Run the rest of the pass.

        Args:
            features: of ``features``.
            place: where they were taken.
            like: (B, C, H, W); the logits get its size.

        Returns:
            (B, 1, H, W).
        """

    @abstractmethod
    def channels(self, place: Insertion) -> int:
        """Count the channels that f-BRS scales and shifts at a place."""

    @property
    @abstractmethod
    def encoder(self) -> nn.Module:
        """The part that reads the image, which weights of a classifier fit."""


def resize_aligned(x: Tensor, like: Tensor) -> Tensor:
    """Resize bilinearly with aligned corners, as the authors' networks do throughout."""
    return resize(x, like, align_corners=True)
