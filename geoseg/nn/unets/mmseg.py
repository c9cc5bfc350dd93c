"""The U-Net of mmsegmentation (UNet-S5-D16): five levels, raised bilinearly and by a 1x1 convolution, with a head.

Source: Ronneberger, Fischer, Brox 2015, https://arxiv.org/abs/1505.04597, as mmsegmentation builds it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import ModelError
from geoseg.nn.deeplabv3 import RATES, mmseg_head
from geoseg.nn.padding import Padded
from geoseg.nn.parts.convolution import convolve
from geoseg.nn.parts.heads import fcn_head
from geoseg.nn.parts.segmenter import AuxiliaryHead, Segmenter
from geoseg.nn.pspnet import BINS, psp_head

Head = Literal["fcn", "psp", "deeplabv3"]
_DEPTH = 4


def _double(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(convolve(before, after, 3), convolve(after, after, 3))


class _Trunk(nn.Module):
    """Maps of the five levels on the way up, coarsest first."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(_DEPTH + 1)]
        self.down = nn.ModuleList(
            _double(widths[level - 1] if level else in_channels, widths[level]) for level in range(_DEPTH + 1)
        )
        self.rise = nn.ModuleList(
            nn.Sequential(
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
                convolve(widths[level + 1], widths[level], 1),
            )
            for level in range(_DEPTH)
        )
        self.merge = nn.ModuleList(_double(2 * widths[level], widths[level]) for level in range(_DEPTH))

    def forward(self, x: Tensor) -> list[Tensor]:
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            x = block(functional.max_pool2d(x, 2) if level else x)
            skips.append(x)
        maps = [skips.pop()]
        for rise, merge in zip(reversed(self.rise), reversed(self.merge), strict=True):
            maps.append(merge(torch.cat([skips.pop(), rise(maps[-1])], dim=1)))
        return maps


def build(  # noqa: PLR0913 - a registry's options are keywords
    in_channels: int,
    classes: int,
    *,
    width: int = 64,
    head: Head = "fcn",
    head_width: int | None = None,
    rates: Sequence[int] = RATES[8],
    bins: Sequence[int] = BINS,
    auxiliary: bool = True,
    auxiliary_width: int = 64,
    align_corners: bool = False,
) -> Padded:
    """Build a U-Net of mmsegmentation's.

    Args:
        in_channels: input bands.
        classes: output channels.
        width: channels of the first level; each level below doubles them.
        head: ``fcn``, ``psp`` or ``deeplabv3``.
        head_width: its channels; 64 for ``fcn`` and 16 for the others unless given.
        rates: of the parallel convolutions of ``deeplabv3``.
        bins: cells on each side of the levels of ``psp``.
        auxiliary: a second head on the last level but one, for training; its loss weighs 0.4.
        auxiliary_width: channels before its classifier.
        align_corners: how pooled means and logits are resized.

    Raises:
        ModelError: no such head.
    """
    if head not in get_args(Head) or not rates or not bins:
        raise ModelError(f"network 'unet_s5_d16' has the heads {', '.join(get_args(Head))}, not {head!r}")
    if head == "fcn":
        main: nn.Module = fcn_head(width, head_width or 64, classes, channelwise_dropout=True)
    elif head == "psp":
        main = psp_head(width, classes, align_corners=align_corners, width=head_width or 16, bins=bins)
    else:
        main = mmseg_head(width, classes, rates, head_width or 16)
    side = fcn_head(2 * width, auxiliary_width, classes, channelwise_dropout=True)
    sides = [AuxiliaryHead(side, -2, 0.4)] if auxiliary else []
    network = Segmenter(_Trunk(in_channels, width), main, sides=sides, align_corners=align_corners)
    return Padded(network, stride=2**_DEPTH)
