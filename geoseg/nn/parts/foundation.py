"""Encoders that were pretrained on satellite images: ViTs, DOFA and Swin, each with four feature maps."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Final, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import ModelError
from geoseg.nn.parts.vit import ViT, ViTForm

SWINS: Final = ("swin_t", "swin_s", "swin_b", "swin_v2_t", "swin_v2_s", "swin_v2_b")
DOFAS: Final = ("dofa_small_patch16_224", "dofa_base_patch16_224", "dofa_large_patch16_224")
_EVEN: Final = (1 / 4, 1 / 2, 3 / 4, 1.0)
_RGB_UM: Final = (0.665, 0.56, 0.49)
BAND_UM: Final = MappingProxyType(
    {
        "coastal": 0.443,
        "blue": 0.49,
        "green": 0.56,
        "green05": 0.531,
        "yellow": 0.61,
        "red": 0.665,
        "rededge": 0.705,
        "rededge071": 0.705,
        "rededge075": 0.74,
        "rededge078": 0.783,
        "nir": 0.842,
        "nir08": 0.865,
        "nir09": 0.945,
        "cirrus": 1.375,
        "swir16": 1.61,
        "swir22": 2.19,
        "pan": 0.59,
        "vv": 3.75,
        "vh": 3.75,
    }
)
"""Common name of a band to its wavelength, micrometres: Sentinel-2's where it has one, DOFA's value for radar."""


class Encoder(Protocol):
    """A module that maps bands to four feature maps, finest first.

    Attributes:
        channels: of the maps.
        strides: of the maps.
    """

    channels: tuple[int, ...]
    strides: tuple[int, ...]


class ViTEncoder(ViT):
    """A timm ViT after every quarter of its blocks; torchgeo's ViTs have its tensors.

    Args:
        name: a timm ViT.
        in_channels: input bands.
        image_px: side of the tiles that it has positions for.
    """

    def __init__(self, name: str, in_channels: int, image_px: int) -> None:
        super().__init__(name, in_channels, image_px, ViTForm(depths=_EVEN, interpolation="bicubic"))
        self.channels = (self.width,) * 4
        self.strides = (self.patch_px,) * 4


class DofaEncoder(nn.Module):
    """DOFA (Xiong et al. 2024, https://arxiv.org/abs/2403.15356), whose first layer is made from wavelengths.

    Args:
        name: one of ``DOFAS``.
        wavelengths: of the bands, micrometres.
    """

    patch_px = 16

    def __init__(self, name: str, wavelengths: Sequence[float]) -> None:
        super().__init__()
        from torchgeo import models  # noqa: PLC0415 - slow to import

        whole = getattr(models, name)()
        self.cls_token, self.pos_embed = whole.cls_token, whole.pos_embed
        self.patch_embed, self.blocks = whole.patch_embed, whole.blocks
        self.register_buffer("wavelengths", torch.tensor(wavelengths, dtype=torch.float32), persistent=False)
        self.channels = (int(whole.embed_dim),) * 4
        self.strides = (self.patch_px,) * 4
        self.ends = {int(depth * len(self.blocks)) - 1 for depth in _EVEN}

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (B, C, H, W) to maps (B, width, H / 16, W / 16), rounded up, shallowest first."""
        rows, cols = (-(-side // self.patch_px) for side in x.shape[-2:])
        x = functional.pad(x, (0, cols * self.patch_px - x.shape[-1], 0, rows * self.patch_px - x.shape[-2]))
        patches, _ = self.patch_embed(x, self.wavelengths)
        tokens = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), patches], dim=1) + self._positions(rows, cols)
        maps: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            tokens = block(tokens)
            if index in self.ends:
                maps.append(tokens[:, 1:].transpose(1, 2).reshape(x.shape[0], -1, rows, cols))
        return maps

    def _positions(self, rows: int, cols: int) -> Tensor:
        positions: Tensor = self.pos_embed
        first, grid = positions[:, :1], positions[:, 1:]
        side = int(grid.shape[1] ** 0.5)
        if (rows, cols) == (side, side):
            return positions
        picture = grid.transpose(1, 2).reshape(1, -1, side, side)
        picture = functional.interpolate(picture, size=(rows, cols), mode="bicubic", align_corners=False)
        return torch.cat([first, picture.flatten(2).transpose(1, 2)], dim=1)


class SwinEncoder(nn.Module):
    """A Swin transformer of torchvision (Liu et al. 2021, https://arxiv.org/abs/2103.14030); SATLAS' weights are its.

    Args:
        name: one of ``SWINS``.
        in_channels: input bands.
    """

    def __init__(self, name: str, in_channels: int) -> None:
        super().__init__()
        from torchvision import models  # noqa: PLC0415 - slow to import

        features = getattr(models, name)(weights=None).features
        stem = features[0][0]
        width = int(stem.out_channels)
        if in_channels != stem.in_channels:
            features[0][0] = nn.Conv2d(in_channels, width, 4, stride=4)
        self.features = features
        self.channels = tuple(width * 2**stage for stage in range(4))
        self.strides = (4, 8, 16, 32)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Map (B, C, H, W) to maps at strides 4, 8, 16 and 32, rounded up."""
        x = functional.pad(x, (0, -x.shape[-1] % 4, 0, -x.shape[-2] % 4))
        maps: list[Tensor] = []
        for place, layer in enumerate(self.features):
            x = layer(x)
            if place % 2:
                maps.append(x.permute(0, 3, 1, 2))
        return maps


def foundation_encoder(
    name: str, in_channels: int, *, image_px: int, wavelengths: Sequence[float] | None
) -> ViTEncoder | DofaEncoder | SwinEncoder:
    """Build an encoder with random weights.

    Args:
        name: a timm ViT, one of ``DOFAS`` or one of ``SWINS``.
        in_channels: input bands.
        image_px: of a ViT: side of the tiles that it has positions for.
        wavelengths: of the bands for DOFA, micrometres; None: those of red, green and blue.

    Raises:
        ModelError: no such encoder, or not one wavelength for each band.
    """
    if name in SWINS:
        return SwinEncoder(name, in_channels)
    if name in DOFAS:
        um = _RGB_UM if wavelengths is None else tuple(wavelengths)
        if len(um) != in_channels:
            given = "no wavelengths are given" if wavelengths is None else f"{len(um)} wavelengths are given"
            raise ModelError(f"encoder {name!r} takes one wavelength for each of {in_channels} bands; {given}")
        return DofaEncoder(name, um)
    if name.startswith(("dofa", "swin_v")):
        raise ModelError(f"encoder {name!r} is none of {', '.join((*DOFAS, *SWINS))}")
    return ViTEncoder(name, in_channels, image_px)
