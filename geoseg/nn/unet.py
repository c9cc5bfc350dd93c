"""U-Net (Ronneberger, Fischer, Brox 2015, https://arxiv.org/abs/1505.04597) and its usual descendants.

``convolution="valid", norm=None`` is the paper's network; ``convolution="same", norm="batch"`` (the default) is the
form most people train today; ``convolution="valid", ragged="stretch"`` is what guanfuchen, meetps and zijundeng train,
with ``copies`` of three kinds.
``widths`` and ``stem_stride`` give lighter networks: with ``stem_stride=2`` every 2x2 pixels become one position with
four times the channels, and the answer is spread back to the pixels by the last layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import ModelError
from geoseg.nn.padding import mirror
from geoseg.nn.parts.convolution import resize

Convolution = Literal["same", "valid"]
Norm = Literal["batch", "down"] | None
Up = Literal["transpose", "bilinear"]
Ragged = Literal["mirror", "zeros", "stretch"]
Copies = Literal["stretch", "crop", "pool"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    convolution: Convolution
    norm: Norm
    up: Up
    stem_stride: int
    residual: bool
    ragged: Ragged
    copies: Copies
    align_corners: bool

    def __post_init__(self) -> None:
        if (
            self.convolution not in ("same", "valid")
            or self.norm not in ("batch", "down", None)
            or self.up not in ("transpose", "bilinear")
            or self.ragged not in ("mirror", "zeros", "stretch")
            or self.copies not in ("stretch", "crop", "pool")
        ):
            raise ModelError(f"network 'unet' has no such form: {self}")
        if self.stem_stride not in (1, 2, 4) or (self.convolution == "valid" and self.stem_stride != 1):
            raise ModelError(
                f"network 'unet' takes stem_stride 1, 2 or 4 (only 1 with valid convolutions), not {self.stem_stride}"
            )
        if self.ragged == "zeros" and (self.convolution == "valid" or self.stem_stride != 1):
            raise ModelError("network 'unet': ragged='zeros' needs convolution='same' and stem_stride=1")
        if self.ragged == "stretch" and self.convolution == "same":
            raise ModelError("network 'unet': ragged='stretch' needs convolution='valid'")
        if self.ragged != "stretch" and (self.copies != "stretch" or not self.align_corners):
            raise ModelError("network 'unet': copies and align_corners are for ragged='stretch' alone")
        if self.residual and (self.convolution, self.norm) != ("same", "batch"):
            raise ModelError("network 'unet': residual=True needs convolution='same' and norm='batch'")


class _Double(nn.Sequential):
    """Two 3x3 convolutions, each followed by an optional batch norm and a ReLU."""

    def __init__(self, channels: tuple[int, int, int], form: _Form, *, norm: bool) -> None:
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            padding = 1 if form.convolution == "same" else 0
            layers.append(nn.Conv2d(before, after, 3, padding=padding, bias=form.norm != "batch"))
            if norm:
                layers.append(nn.BatchNorm2d(after))
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class _Residual(nn.Module):
    """The same two convolutions around a shortcut (He et al. 2015), which trains better from few images."""

    def __init__(self, channels: tuple[int, int, int]) -> None:
        super().__init__()
        before, middle, after = channels
        self.first = nn.Sequential(nn.Conv2d(before, middle, 3, padding=1, bias=False), nn.BatchNorm2d(middle))
        self.second = nn.Sequential(nn.Conv2d(middle, after, 3, padding=1, bias=False), nn.BatchNorm2d(after))
        self.shortcut = nn.Identity() if before == after else nn.Conv2d(before, after, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.first(x), inplace=True)
        return functional.relu(self.second(inner) + self.shortcut(x), inplace=True)


def _block(channels: tuple[int, int, int], form: _Form, *, down: bool) -> nn.Module:
    if form.residual:
        return _Residual(channels)
    return _Double(channels, form, norm=form.norm == "batch" or (down and form.norm == "down"))


def _extended(x: Tensor, like: Tensor) -> Tensor:
    """Put zeros around a map until it has the size of another."""
    rows, cols = like.shape[-2] - x.shape[-2], like.shape[-1] - x.shape[-1]
    return functional.pad(x, (cols // 2, cols - cols // 2, rows // 2, rows - rows // 2))


class UNet(nn.Module):
    """Encoder, decoder and the copies between them; logits at the input's size.

    Attributes:
        stride: the multiple of pixels that the body works in.
        margin_px: context that unpadded convolutions eat on each side; 0 for ``convolution="same"``.
    """

    stride: int
    margin_px: int

    def __init__(self, in_channels: int, classes: int, widths: Sequence[int], form: _Form) -> None:
        super().__init__()
        depth = len(widths) - 1
        self.depth = depth
        self.form = form
        stretched = form.ragged == "stretch"
        self.stride = 1 if stretched else form.stem_stride * 2**depth
        self.margin_px = 0 if form.convolution == "same" or stretched else self._valid_margin_px()
        bilinear = form.up == "bilinear"
        before = in_channels * form.stem_stride**2
        self.down = nn.ModuleList()
        for level, width in enumerate(widths):
            # bilinear upsampling changes no channel count, so the level below must already give the count above
            after = widths[level - 1] if bilinear and level == depth else width
            self.down.append(_block((before, after, after), form, down=True))
            before = after
        self.rise = nn.ModuleList()
        self.merge = nn.ModuleList()
        for level in reversed(range(depth)):
            skip, below = widths[level], widths[level + 1]
            after = widths[level - 1] if bilinear and level > 0 else skip
            if bilinear:
                self.rise.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True))
            else:
                self.rise.append(nn.ConvTranspose2d(below, skip, 2, stride=2))
            self.merge.append(_block((2 * skip, skip, after), form, down=False))
        self.head = nn.Conv2d(widths[0], classes * form.stem_stride**2, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.head.weight, std=0.01)

    def _valid_input(self, output: int) -> int:
        """Smallest input of unpadded convolutions that yields at least ``output`` pixels (paper: 388 from 572)."""
        bottom = output
        for _ in range(self.depth):
            bottom = -(-(bottom + 4) // 2)
        size = bottom + 4
        for _ in range(self.depth):
            size = 2 * size + 4
        return size

    def _valid_margin_px(self) -> int:
        size = output = self._valid_input(1)
        for _ in range(self.depth):
            output = (output - 4) // 2
        output -= 4
        for _ in range(self.depth):
            output = 2 * output - 4
        return (size - output) // 2

    def _padding(self, size: int) -> tuple[int, int]:
        if self.form.ragged == "zeros":
            return 0, max(0, self.stride - size)
        if self.form.ragged == "stretch":
            return 0, max(0, self._valid_input(1) - size)
        if self.form.convolution == "same":
            return 0, -size % self.stride
        return self.margin_px, self._valid_input(size) - size - self.margin_px

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to logits (B, classes, H, W)."""
        height, width = x.shape[-2:]
        x = mirror(x, self._padding(height), self._padding(width))
        logits = self.body(x)
        if self.form.ragged == "stretch":
            logits = resize(logits, x, align_corners=self.form.align_corners)
        return logits[..., :height, :width]

    def body(self, x: Tensor) -> Tensor:
        """Run the network proper: input sides must be multiples of ``stride``, or as its form takes them."""
        stem_stride = self.form.stem_stride
        if stem_stride > 1:
            x = functional.pixel_unshuffle(x, stem_stride)
        skips: list[Tensor] = []
        *levels, bottom = self.down
        for block in levels:
            whole = block(x)
            x = functional.max_pool2d(whole, 2)
            skips.append(x if self.form.copies == "pool" else whole)
        x = bottom(x)
        for rise, merge in zip(self.rise, self.merge, strict=True):
            x = rise(x)
            skip = skips.pop()
            if self.form.ragged == "zeros":
                x = _extended(x, skip)
            elif self.form.ragged == "stretch" and self.form.copies != "crop":
                skip = resize(skip, x, align_corners=self.form.align_corners)
            top, left = (skip.shape[-2] - x.shape[-2]) // 2, (skip.shape[-1] - x.shape[-1]) // 2
            skip = skip[..., top : top + x.shape[-2], left : left + x.shape[-1]]
            x = merge(torch.cat([skip, x], dim=1))
        x = self.head(x)
        return functional.pixel_shuffle(x, stem_stride) if stem_stride > 1 else x


def build(  # noqa: PLR0913 - a registry's options are keywords
    in_channels: int,
    classes: int,
    *,
    width: int = 64,
    depth: int = 4,
    widths: Sequence[int] | None = None,
    convolution: Convolution = "same",
    norm: Norm = "batch",
    up: Up = "transpose",
    stem_stride: int = 1,
    residual: bool = False,
    ragged: Ragged = "mirror",
    copies: Copies = "stretch",
    align_corners: bool = True,
) -> UNet:
    """Build a U-Net.

    Args:
        in_channels: input bands.
        classes: output channels.
        width: channels of the first level; each level below doubles them.
        depth: number of poolings.
        widths: channels of every level, in place of ``width`` and ``depth``.
        convolution: ``valid`` as in the paper (the input is mirrored outwards first), or ``same``.
        norm: ``batch``, None as in the paper, or ``down``: on the way down alone.
        up: ``transpose`` (2x2 transposed convolution, the paper's) or ``bilinear`` (corners aligned, as in
            milesial/Pytorch-UNet).
        stem_stride: 1, 2 or 4 pixels a side folded into channels before the first level.
        ragged: what sides that are no multiple of the poolings meet: ``mirror``, the input's mirror image up to the
            next multiple; ``zeros``, zeros around the smaller of two maps that are joined, as in milesial/Pytorch-UNet;
            ``stretch``, nothing, although convolutions are ``valid``: the logits are resized to the input.
        copies: with ``ragged="stretch"``, how maps on the way down join the smaller ones on the way up: ``stretch``,
            resized to their size (guanfuchen/semseg); ``crop``, their centre (meetps/pytorch-semseg); ``pool``, resized
            after the pool that follows them (zijundeng).
        align_corners: with ``ragged="stretch"``, how copies and logits are resized.
        residual: shortcuts around each pair of convolutions; needs ``same`` and ``batch``.

    Raises:
        ModelError: options that exclude each other.
    """
    form = _Form(
        convolution=convolution, norm=norm, up=up, stem_stride=stem_stride, residual=residual, ragged=ragged,
        copies=copies, align_corners=align_corners,
    )  # fmt: skip
    levels = tuple(widths) if widths is not None else tuple(width * 2**level for level in range(depth + 1))
    if len(levels) < 2 or min(levels) < 1:
        raise ModelError(f"network 'unet' needs two or more levels of at least one channel, not {levels}")
    return UNet(in_channels, classes, levels, form)
