"""DeepLabV3+ (Chen et al. 2018, https://arxiv.org/abs/1802.02611): dilated backbone, separable ASPP, light decoder.

Widths follow mmsegmentation's ``DepthwiseSeparableASPPHead``: 512 channels, 48 low-level channels, and a 3x3
convolution after the concatenated ASPP branches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from geoseg.errors import ModelError
from geoseg.nn.padding import Padded
from geoseg.nn.parts.aspp import ASPP
from geoseg.nn.parts.auxiliary import Auxiliary
from geoseg.nn.parts.backbones import (
    FirstBlock,
    MultiGrid,
    ResNetForm,
    apply_multi_grid,
    features,
    shape_resnet,
    widths,
)
from geoseg.nn.parts.convolution import convolve, resize, separable
from geoseg.nn.parts.heads import fcn_head

Form = Literal["mmseg", "full", "single"]
_RATES = {8: (12, 24, 36), 16: (6, 12, 18)}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Low:
    """The finest features, concatenated with the ASPP's: their channels, how many are kept, the form of the rest."""

    before: int
    after: int
    form: Form


class _DeepLabV3Plus(nn.Module):
    align_corners = False

    def __init__(self, backbone: nn.Module, aspp: ASPP, low: _Low, classes: int, side: nn.Module | None) -> None:
        super().__init__()
        self.backbone = backbone
        self.aspp = aspp
        self.low_level = convolve(low.before, low.after, 1)
        self.low_first = low.form == "single"
        joined, width = aspp.width + low.after, aspp.width
        if low.form == "mmseg":
            self.decoder = nn.Sequential(separable(joined, width), separable(width, width))
        elif low.form == "full":
            self.decoder = nn.Sequential(convolve(joined, width, 3), convolve(width, width, 3))
        else:
            self.decoder = nn.Sequential(convolve(joined, width, 3))
        self.head = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(aspp.width, classes, 1))
        self.side = side

    def _resize(self, x: Tensor, like: Tensor) -> Tensor:
        return resize(x, like, align_corners=self.align_corners)

    def _logits(self, maps: list[Tensor], x: Tensor) -> Tensor:
        low = self.low_level(maps[0])
        raised = self._resize(self.aspp(maps[-1]), low)
        merged = self.decoder(torch.cat([low, raised] if self.low_first else [raised, low], dim=1))
        return self._resize(self.head(merged), x)

    def forward(self, x: Tensor) -> Tensor:
        return self._logits(self.backbone(x), x)

    def forward_all(self, x: Tensor) -> tuple[Tensor, tuple[Auxiliary, ...]]:
        maps = self.backbone(x)
        auxiliary = () if self.side is None else (Auxiliary(self._resize(self.side(maps[-2]), x), 0.4),)
        return self._logits(maps, x), auxiliary


def build(  # noqa: PLR0913 - a registry's options are keywords
    in_channels: int,
    classes: int,
    *,
    backbone: str = "resnet50",
    output_stride: int = 16,
    first_block: FirstBlock = "prev",
    block_rates: Sequence[Sequence[int]] | None = None,
    dilate_second: bool = True,
    multi_grid: Sequence[int] = (1, 1, 1),
    multi_grid_form: MultiGrid = "factors",
    rates: Sequence[int] | None = None,
    width: int = 512,
    low_width: int = 48,
    form: Form = "mmseg",
    caffe: bool = False,
    auxiliary: bool = False,
    auxiliary_width: int | None = None,
    align_corners: bool = False,
) -> Padded:
    """Build a DeepLabV3+.

    Args:
        in_channels: input bands.
        classes: output channels.
        backbone: a timm model with features at stride 4 that can be dilated; ``resnet50c`` is mmsegmentation's,
            ``xception65`` the paper's;
            ``xception_jfzhang`` and ``drn_d_54`` are those of jfzhang95/pytorch-deeplab-xception.
        output_stride: 16 (rates 6, 12, 18) or 8 (rates 12, 24, 36).
        first_block: for a ResNet; see ``geoseg.nn.parts.backbones.ResNetForm``.
        block_rates: see there.
        dilate_second: see there.
        multi_grid: numbers for the blocks of a ResNet's last stage, as for DeepLab V3; mmsegmentation has 1, 2, 4.
        multi_grid_form: ``factors`` on the stage's rate, or the ``rates`` themselves (mmsegmentation).
        rates: of the parallel convolutions; as the output stride asks unless given.
        width: channels of the ASPP and the decoder; the paper has 256, mmsegmentation 512.
        low_width: channels of the finest features concatenated with them.
        form: ``mmseg``: separable convolutions, two in the decoder, the ASPP merged by a 3x3 convolution. ``full``:
            two full convolutions, merged by a 1x1 one (kazuto1011, jfzhang95). ``single``: one of them (VainF).
        caffe: for a ResNet; see ``ResNetForm``.
        auxiliary: a second head on the last stage but one, for training; its loss weighs 0.4.
        auxiliary_width: channels before its classifier; a quarter of those of its stage unless given.
        align_corners: how features and logits are resized; mmsegmentation's models of 769 x 769 pixels align them.

    Raises:
        ModelError: timm has no such backbone, or it cannot be dilated.
    """
    if output_stride not in _RATES or form not in get_args(Form):
        raise ModelError(
            f"network 'deeplabv3plus' takes output_stride 8 or 16 and the forms {', '.join(get_args(Form))}, "
            f"not {output_stride}, {form!r}"
        )
    offered = features(backbone, in_channels, output_stride=output_stride)
    reductions, channels = offered.feature_info.reduction(), widths(offered)
    if 4 not in reductions:
        raise ModelError(f"network 'deeplabv3plus': {backbone!r} has no features at stride 4, but at {reductions}")
    low, last = reductions.index(4), len(channels) - 1
    indices = (low, last - 1, last) if auxiliary else (low, last)
    body = features(backbone, in_channels, output_stride=output_stride, out_indices=indices)
    shape = ResNetForm(
        output_stride=output_stride,
        first_block=first_block,
        block_rates=block_rates,
        dilate_second=dilate_second,
        caffe=caffe,
    )
    if shape != ResNetForm(output_stride=output_stride):
        shape_resnet(backbone, body, shape)
    if (tuple(multi_grid), multi_grid_form) != ((1, 1, 1), "factors"):
        if not hasattr(body, "layer4"):
            raise ModelError(f"network 'deeplabv3plus': a multi-grid needs a ResNet, not {backbone!r}")
        apply_multi_grid(body, multi_grid, multi_grid_form, output_stride)
    if rates is not None and not rates:
        raise ModelError("network 'deeplabv3plus' needs at least one rate")
    mmseg = form == "mmseg"
    aspp = ASPP(channels[-1], width, rates or _RATES[output_stride], light=mmseg, mmseg=mmseg)
    narrow = auxiliary_width or channels[-2] // 4
    side = fcn_head(channels[-2], narrow, classes, channelwise_dropout=True) if auxiliary else None
    network = _DeepLabV3Plus(body, aspp, _Low(before=channels[low], after=low_width, form=form), classes, side)
    network.align_corners = align_corners
    return Padded(network, stride=1)
