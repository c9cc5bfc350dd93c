"""SETR (Zheng et al. 2021, https://arxiv.org/abs/2012.15840): a vision transformer and three ways up from its patches.

Naive: two convolutions and one upsampling; progressive (PUP): a convolution before each doubling; multi-level
aggregation (MLA): four depths, joined from the deepest up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from geoseg.errors import ModelError
from geoseg.nn.padding import Padded
from geoseg.nn.parts.convolution import convolve
from geoseg.nn.parts.segmenter import AuxiliaryHead, Segmenter
from geoseg.nn.parts.vit import Interpolation, MapNorm, ViT, ViTForm

Form = Literal["mmseg", "authors"]
LATE = (10 / 24, 15 / 24, 20 / 24, 1.0)
EVEN = (1 / 4, 1 / 2, 3 / 4, 1.0)
_SIDE_WEIGHT = 0.4


def _check(name: str, form: str) -> None:
    if form not in get_args(Form):
        raise ModelError(f"network {name!r} takes the forms {' and '.join(get_args(Form))}, not {form!r}")


def _raise(factor: int, *, align_corners: bool) -> nn.Module:
    if factor == 1:
        return nn.Identity()
    return nn.Upsample(scale_factor=factor, mode="bilinear", align_corners=align_corners)


def up_head(
    channels: int, width: int, classes: int, steps: tuple[int, int, int], *, align_corners: bool
) -> nn.Sequential:
    """Build a norm and some convolutions, each with an upsampling after it, then the classifier.

    Args:
        channels: of the transformer's map.
        width: of the convolutions.
        classes: output channels.
        steps: how many convolutions, the side of their kernels, the factor of each upsampling.
        align_corners: how it is raised.
    """
    count, size, factor = steps
    layers: list[nn.Module] = [MapNorm(channels)]
    for index in range(count):
        layers += [convolve(width if index else channels, width, size), _raise(factor, align_corners=align_corners)]
    return nn.Sequential(*layers, nn.Conv2d(width, classes, 1))


class _Aggregation(nn.Module):
    """Neck of MLA: the maps joined from the deepest up, and all of them raised and concatenated as the last map."""

    def __init__(self, channels: int, width: int, count: int, *, align_corners: bool) -> None:
        super().__init__()
        self.norms = nn.ModuleList(MapNorm(channels) for _ in range(count))
        self.narrow = nn.ModuleList(convolve(channels, width, 1) for _ in range(count))
        self.refine = nn.ModuleList(convolve(width, width, 3) for _ in range(count))
        half = width // 2
        self.up = nn.ModuleList(
            nn.Sequential(convolve(width, half, 3), convolve(half, half, 3), _raise(4, align_corners=align_corners))
            for _ in range(count)
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        narrow = [layer(norm(x)) for layer, norm, x in zip(self.narrow, self.norms, maps, strict=True)]
        joined = [narrow[-1]]
        for x in reversed(narrow[:-1]):
            joined.append(joined[-1] + x)
        refined = [layer(x) for layer, x in zip(self.refine, reversed(joined), strict=True)]
        return [*refined, torch.cat([up(x) for up, x in zip(self.up, refined, strict=True)], dim=1)]


def _sides(make_head: Callable[[], nn.Module], count: int, *, present: bool) -> list[AuxiliaryHead]:
    return [AuxiliaryHead(make_head(), place, _SIDE_WEIGHT) for place in range(count if present else 0)]


def build_naive(  # noqa: PLR0913 - a registry's options are keywords
    in_channels: int,
    classes: int,
    *,
    vit: str = "vit_large_patch16_384",
    image_px: int = 768,
    width: int = 256,
    depths: Sequence[float] = LATE,
    interpolation: Interpolation = "bilinear",
    form: Form = "mmseg",
    auxiliary: bool = True,
    align_corners: bool = False,
) -> Padded:
    """Build a SETR-Naive.

    Args:
        in_channels: input bands.
        classes: output channels.
        vit: a timm ViT.
        image_px: side of the tiles that the transformer has positions for; for others they are resized.
        width: channels of the head.
        depths: shares of the blocks after which maps are taken, for the auxiliary heads but for the last.
        interpolation: how positions are resized: ``bilinear`` or ``bicubic``.
        form: ``mmseg`` raises the features fourfold before the classifier; ``authors`` (fudan-zvg/SETR) does not.
        auxiliary: heads on three depths before the last, for training; their losses weigh 0.4 each.
        align_corners: how features and logits are resized.

    Raises:
        ModelError: no such ViT or form.
    """
    _check("setr_naive", form)
    body = ViT(vit, in_channels, image_px, ViTForm(depths=depths, interpolation=interpolation))

    def head() -> nn.Module:
        return up_head(body.width, width, classes, (1, 1, 4 if form == "mmseg" else 1), align_corners=align_corners)

    main = head()
    sides = _sides(head, len(depths) - 1, present=auxiliary)
    return Padded(Segmenter(body, main, sides=sides, align_corners=align_corners), stride=1)


def build_pup(  # noqa: PLR0913 - a registry's options are keywords
    in_channels: int,
    classes: int,
    *,
    vit: str = "vit_large_patch16_384",
    image_px: int = 768,
    width: int = 256,
    depths: Sequence[float] = LATE,
    interpolation: Interpolation = "bilinear",
    auxiliary: bool = True,
    align_corners: bool = False,
) -> Padded:
    """Build a SETR-PUP.

    Args:
        in_channels: input bands.
        classes: output channels.
        vit: a timm ViT.
        image_px: side of the tiles that the transformer has positions for; for others they are resized.
        width: channels of the head.
        depths: shares of the blocks after which maps are taken, for the auxiliary heads but for the last.
        interpolation: how positions are resized: ``bilinear`` or ``bicubic``.
        auxiliary: heads on three depths before the last, for training; their losses weigh 0.4 each.
        align_corners: how features and logits are resized.

    Raises:
        ModelError: no such ViT.
    """
    body = ViT(vit, in_channels, image_px, ViTForm(depths=depths, interpolation=interpolation))

    def make_head() -> nn.Module:
        return up_head(body.width, width, classes, (2, 3, 4), align_corners=align_corners)

    main = up_head(body.width, width, classes, (4, 3, 2), align_corners=align_corners)
    sides = _sides(make_head, len(depths) - 1, present=auxiliary)
    return Padded(Segmenter(body, main, sides=sides, align_corners=align_corners), stride=1)


def build_mla(  # noqa: PLR0913 - a registry's options are keywords
    in_channels: int,
    classes: int,
    *,
    vit: str = "vit_large_patch16_384",
    image_px: int = 768,
    width: int = 256,
    class_token: bool = False,
    depths: Sequence[float] = EVEN,
    interpolation: Interpolation = "bilinear",
    form: Form = "mmseg",
    auxiliary: bool = True,
    align_corners: bool = False,
) -> Padded:
    """Build a SETR-MLA.

    Args:
        in_channels: input bands.
        classes: output channels.
        vit: a timm ViT.
        image_px: side of the tiles that the transformer has positions for; for others they are resized.
        width: channels of the aggregation.
        class_token: whether it goes through the transformer with the patches; mmsegmentation's does not.
        depths: shares of the blocks after which the maps are taken that are aggregated.
        interpolation: how positions are resized: ``bilinear`` or ``bicubic``.
        form: ``authors`` (fudan-zvg/SETR) classify by a 3x3 convolution rather than a 1x1 one, and align the corners
            where they raise features.
        auxiliary: classifiers on the four aggregated depths, for training; their losses weigh 0.4 each.
        align_corners: how features and logits are resized.

    Raises:
        ModelError: no such ViT or form.
    """
    _check("setr_mla", form)
    authors = form == "authors"
    vit_form = ViTForm(depths=depths, class_token=class_token, interpolation=interpolation)
    body = ViT(vit, in_channels, image_px, vit_form)
    neck = _Aggregation(body.width, width, len(depths), align_corners=align_corners or authors)
    size = 3 if authors else 1
    head = nn.Conv2d(len(depths) * (width // 2), classes, size, padding=size // 2)

    def make_head() -> nn.Module:
        return nn.Conv2d(width, classes, 1)

    sides = _sides(make_head, len(depths), present=auxiliary)
    return Padded(Segmenter(body, head, neck=neck, sides=sides, align_corners=align_corners), stride=1)
