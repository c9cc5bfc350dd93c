"""f-BRS on HRNet with OCR (Sofiiuk et al. 2020, https://arxiv.org/abs/2001.10331)."""

from __future__ import annotations

from torch import Tensor, nn

from geoseg.errors import ModelError
from geoseg.nn.hrnet import BACKBONES, Concatenate
from geoseg.nn.interactive.click_maps import ClickForm, ClickMaps
from geoseg.nn.interactive.contract import Features, Fuse, Insertion, InteractiveNetwork, resize_aligned
from geoseg.nn.parts.auxiliary import Auxiliary
from geoseg.nn.parts.backbones import hrnet, widths
from geoseg.nn.parts.convolution import convolve
from geoseg.nn.parts.ocr import OCRHead

_GUESS_WEIGHT = 0.4


class _HRNet(InteractiveNetwork):
    """HRNet and OCR with clicks; its places A and B are the same."""

    def __init__(self, backbone: nn.Module, bands: int, keys: int, click_maps: ClickMaps) -> None:
        super().__init__(click_maps)
        self._joined = sum(widths(backbone))
        self.backbone = nn.Sequential(backbone, Concatenate(align_corners=True))
        self.fuse = Fuse(bands)
        self._width = 2 * keys
        self.guess = nn.Sequential(*convolve(self._joined, self._joined, 1, bias=True), nn.Conv2d(self._joined, 1, 1))
        self.head = OCRHead(self._joined, 1, width=self._width, keys=keys, bias=True)

    def features(self, images: Tensor, maps: Tensor, place: Insertion) -> Features:
        x = self.backbone(self.fuse(images, maps))[0]
        return Features(self.head.represent(x, self.guess(x)) if place == "C" else x)

    def finish(self, features: Features, place: Insertion, like: Tensor) -> Tensor:
        x = features.main
        if place != "C":
            x = self.head.represent(x, self.guess(x))
        return resize_aligned(self.head.classify(x), like)

    def forward_all(self, images: Tensor, clicks: Tensor) -> tuple[Tensor, tuple[Auxiliary, ...]]:
        x = self.features(images, self.maps(images, clicks), "A").main
        guess = self.guess(x)
        logits = self.head.classify(self.head.represent(x, guess))
        return resize_aligned(logits, images), (Auxiliary(resize_aligned(guess, images), _GUESS_WEIGHT),)

    def channels(self, place: Insertion) -> int:
        return self._width if place == "C" else self._joined

    @property
    def encoder(self) -> nn.Module:
        return self.backbone[0]


def build(
    in_channels: int,
    classes: int,
    *,
    width: str = "w18",
    keys: int = 64,
    click_maps: ClickForm = "distance",
    radius_px: float = 260.0,
) -> InteractiveNetwork:
    """Build an HRNet and OCR with clicks.

    Args:
        in_channels: input bands.
        classes: classes of a card's legend; the network tells one object from the rest, whatever they are.
        width: of the HRNet: ``w18``, ``w32``, ``w48``, ``w18_small_v1`` or ``w18_small_v2``.
        keys: channels of the attention's keys; pixels are represented by twice as many.
        click_maps: how clicks are drawn.
        radius_px: unit of the distances, or radius of the disks.

    Raises:
        ModelError: no such width.
    """
    del classes
    if width not in BACKBONES:
        raise ModelError(f"network 'fbrs_hrnet18' has no width {width!r}; known: {', '.join(BACKBONES)}")
    body = hrnet(BACKBONES[width], in_channels, align_corners=True)
    return _HRNet(body, in_channels, keys, ClickMaps(radius_px, click_maps))
