"""Feature pyramids on a ResNet: the semantic FPN and UPerNet.

Kirillov et al. 2019, https://arxiv.org/abs/1901.02446 (section 3); Xiao et al. 2018, https://arxiv.org/abs/1807.10221.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import ModelError
from geoseg.nn.padding import Padded
from geoseg.nn.parts.backbones import ResNetForm, resnet, widths
from geoseg.nn.parts.convolution import convolve, resize
from geoseg.nn.parts.heads import fcn_head
from geoseg.nn.parts.segmenter import AuxiliaryHead, Segmenter
from geoseg.nn.parts.upernet import UPerNeck

Form = Literal["mmseg", "vedaseg"]
_SIDE_WEIGHT = 0.4
_VEDASEG_CONVOLUTIONS = 3


class _Pyramid(nn.Module):
    """Maps narrowed, each added to the next finer one, and smoothed (Lin et al. 2017)."""

    def __init__(self, channels: Sequence[int], width: int, *, bilinear: bool, align_corners: bool) -> None:
        super().__init__()
        self.bilinear = bilinear
        self.align_corners = align_corners
        self.narrow = nn.ModuleList(nn.Conv2d(each, width, 1) for each in channels)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in channels)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        sides = [narrow(x) for narrow, x in zip(self.narrow, maps, strict=True)]
        for finer in range(len(sides) - 2, -1, -1):
            sides[finer] = sides[finer] + self._raised(sides[finer + 1], sides[finer])
        return [smooth(x) for smooth, x in zip(self.smooth, sides, strict=True)]

    def _raised(self, x: Tensor, like: Tensor) -> Tensor:
        if self.bilinear:
            return resize(x, like, align_corners=self.align_corners)
        return functional.interpolate(x, size=like.shape[-2:], mode="nearest")


class _Sum(nn.Module):
    """Every map of the pyramid raised after each of its convolutions, and all of them added at the finest.

    They are raised twofold, or to the size of the next finer map of the pyramid.
    """

    def __init__(self, channels: tuple[int, int], count: int, *, twofold: bool, align_corners: bool) -> None:
        super().__init__()
        before, width = channels
        self.twofold = twofold
        self.align_corners = align_corners
        self.paths = nn.ModuleList(
            nn.ModuleList(convolve(width if step else before, width, 3) for step in range(max(1, place)))
            for place in range(count)
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        found: list[Tensor] = []
        for place, path in enumerate(self.paths):
            raised = self._raised(path, maps, place)
            found.append(resize(raised, found[0], align_corners=self.align_corners) if found else raised)
        total = found[0]
        for x in found[1:]:
            total = total + x
        return [*maps, total]

    def _raised(self, path: nn.Module, maps: list[Tensor], place: int) -> Tensor:
        x = maps[place]
        for step, convolution in enumerate(path.children()):
            x = convolution(x)
            if place and not self.twofold:
                x = resize(x, maps[place - 1 - step], align_corners=self.align_corners)
            elif place:
                x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=self.align_corners)
        return x


def build_fpn(
    in_channels: int,
    classes: int,
    *,
    backbone: str = "resnet50c",
    pyramid_width: int = 256,
    width: int = 128,
    form: Form = "mmseg",
    align_corners: bool = False,
) -> Padded:
    """Build a semantic FPN.

    Args:
        in_channels: input bands.
        classes: output channels.
        backbone: a timm ResNet; mmsegmentation's is ``resnet50c``.
        pyramid_width: channels of the pyramid.
        width: channels of the sum that is classified.
        form: ``mmseg``: maps join the finer ones by nearest neighbour, and are raised twofold before the sum;
            ``vedaseg``: both bilinearly, to the size of the finer map, and three convolutions precede the classifier.
        align_corners: how features and logits are resized.

    Raises:
        ModelError: no such backbone or form.
    """
    if form not in get_args(Form):
        raise ModelError(f"network 'fpn' takes the forms {' and '.join(get_args(Form))}, not {form!r}")
    body = resnet(backbone, in_channels, ResNetForm(output_stride=32))
    channels = widths(body)
    twofold = form == "mmseg"
    total = _Sum((pyramid_width, width), len(channels), twofold=twofold, align_corners=align_corners)
    neck = nn.Sequential(_Pyramid(channels, pyramid_width, bilinear=not twofold, align_corners=align_corners), total)
    before = [nn.Dropout2d(0.1)] if twofold else [convolve(width, width, 3) for _ in range(_VEDASEG_CONVOLUTIONS)]
    head = nn.Sequential(*before, nn.Conv2d(width, classes, 1))
    return Padded(Segmenter(body, head, neck=neck, align_corners=align_corners), stride=1)


def build_upernet(  # noqa: PLR0913 - a registry's options are keywords
    in_channels: int,
    classes: int,
    *,
    backbone: str = "resnet50c",
    width: int = 512,
    bins: Sequence[int] = (1, 2, 3, 6),
    auxiliary: bool = True,
    auxiliary_width: int = 256,
    align_corners: bool = False,
) -> Padded:
    """Build a UPerNet.

    Args:
        in_channels: input bands.
        classes: output channels.
        backbone: a timm ResNet; mmsegmentation's is ``resnet50c``.
        width: channels of the decoder.
        bins: cells on each side of the levels of the pyramid pooling.
        auxiliary: a second head on the third stage, for training; its loss weighs 0.4.
        auxiliary_width: channels before its classifier.
        align_corners: how features and logits are resized.

    Raises:
        ModelError: no such backbone.
    """
    body = resnet(backbone, in_channels, ResNetForm(output_stride=32))
    channels = widths(body)
    neck = UPerNeck(channels, width, bins=bins, align_corners=align_corners)
    head = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(width, classes, 1))
    side = AuxiliaryHead(fcn_head(channels[2], auxiliary_width, classes, channelwise_dropout=True), 2, _SIDE_WEIGHT)
    sides = [side] if auxiliary else []
    return Padded(Segmenter(body, head, neck=neck, sides=sides, align_corners=align_corners), stride=1)
