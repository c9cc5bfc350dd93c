"""Networks on encoders that were pretrained on satellite images: UPerNet's, U-Net's and SETR's decoders."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from geoseg.errors import ModelError
from geoseg.nn.padding import Padded
from geoseg.nn.parts.foundation import DofaEncoder, SwinEncoder, ViTEncoder, foundation_encoder
from geoseg.nn.parts.heads import fcn_head
from geoseg.nn.parts.segmenter import AuxiliaryHead, Segmenter
from geoseg.nn.parts.upernet import Pyramid, UNeck, UPerNeck
from geoseg.nn.setr import up_head

_SIDE_WEIGHT = 0.4


def build_upernet(
    in_channels: int,
    classes: int,
    *,
    encoder: str = "vit_small_patch16_224",
    image_px: int = 224,
    wavelengths: Sequence[float] | None = None,
    width: int = 256,
    auxiliary: bool = True,
) -> Padded:
    """Build a UPerNet.

    Args:
        in_channels: input bands.
        classes: output channels.
        encoder: a timm ViT (torchgeo's are such), a DOFA of torchgeo or a Swin of torchvision; see
            ``geoseg.nn.parts.foundation``.
        image_px: of a ViT: side of the tiles that it has positions for; for others they are resized.
        wavelengths: of the bands for DOFA, micrometres.
        width: channels of the decoder.
        auxiliary: a second head on the third map, for training; its loss weighs 0.4.

    Raises:
        ModelError: no such encoder, or not one wavelength for each band.
    """
    body = foundation_encoder(encoder, in_channels, image_px=image_px, wavelengths=wavelengths)
    neck = UPerNeck(body.channels, width)
    return _joined(body, neck, (width, classes), auxiliary=auxiliary)


def build_unet(
    in_channels: int,
    classes: int,
    *,
    encoder: str = "vit_small_patch16_224",
    image_px: int = 224,
    wavelengths: Sequence[float] | None = None,
    widths: Sequence[int] = (256, 128, 64),
    auxiliary: bool = False,
) -> Padded:
    """Build a U-Net.

    Args:
        in_channels: input bands.
        classes: output channels.
        encoder: see ``build_upernet``.
        image_px: see there.
        wavelengths: see there.
        widths: channels of the three joins, from the coarsest to the finest.
        auxiliary: see there.

    Raises:
        ModelError: no such encoder, or not three widths.
    """
    if len(widths) != 3 or min(widths) < 1:
        raise ModelError(f"network 'foundation_unet' takes three widths of at least 1, not {list(widths)}")
    body = foundation_encoder(encoder, in_channels, image_px=image_px, wavelengths=wavelengths)
    return _joined(body, UNeck(body.channels, widths), (widths[-1], classes), auxiliary=auxiliary)


def build_setr(
    in_channels: int,
    classes: int,
    *,
    encoder: str = "vit_small_patch16_224",
    image_px: int = 224,
    wavelengths: Sequence[float] | None = None,
    width: int = 256,
    auxiliary: bool = True,
) -> Padded:
    """Build a SETR-PUP: a convolution before each doubling of the deepest map.

    Args:
        in_channels: input bands.
        classes: output channels.
        encoder: see ``build_upernet``.
        image_px: see there.
        wavelengths: see there.
        width: channels of the head.
        auxiliary: heads on the maps before the last, for training; their losses weigh 0.4 each.

    Raises:
        ModelError: no such encoder.
    """
    body = foundation_encoder(encoder, in_channels, image_px=image_px, wavelengths=wavelengths)
    head = up_head(body.channels[-1], width, classes, (4, 3, 2), align_corners=False)
    sides = [
        AuxiliaryHead(up_head(channels, width, classes, (2, 3, 4), align_corners=False), place, _SIDE_WEIGHT)
        for place, channels in enumerate(body.channels[:-1])
    ]
    return Padded(Segmenter(body, head, sides=sides if auxiliary else []), stride=1)


def _joined(
    body: ViTEncoder | DofaEncoder | SwinEncoder, neck: nn.Module, sizes: tuple[int, int], *, auxiliary: bool
) -> Padded:
    """Join an encoder, the pyramid if its maps are of one stride, a decoder and a classifier."""
    width, classes = sizes
    whole = nn.Sequential(Pyramid(body.channels[0]), neck) if len(set(body.strides)) == 1 else neck
    head = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(width, classes, 1))
    side = AuxiliaryHead(fcn_head(body.channels[2], width, classes), 2, _SIDE_WEIGHT)
    return Padded(Segmenter(body, head, neck=whole, sides=[side] if auxiliary else []), stride=1)
