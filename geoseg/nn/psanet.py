"""PSANet (Zhao et al. 2018, ECCV, https://hszhao.github.io/papers/eccv18_psanet.pdf): each pixel weighs all the others.

A pixel collects from the others by weights that it predicts, and they distribute to it by weights that they predict.
The weights are predicted for relative places, a window around each pixel, or (``compact``) for the places of one fixed
grid. As its authors build it (hszhao/semseg); ``form`` names the differences of mmsegmentation and ycszen/TorchSeg.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import ModelError
from geoseg.nn.padding import Padded
from geoseg.nn.parts.backbones import FirstBlock, ResNetForm, resnet, widths
from geoseg.nn.parts.convolution import convolve, resize
from geoseg.nn.parts.heads import fcn_head
from geoseg.nn.parts.segmenter import AuxiliaryHead, Segmenter

Direction = Literal["collect", "distribute", "both"]
Form = Literal["authors", "mmseg", "torchseg"]


class _Attention(nn.Module):
    """Features of one direction, and what each pixel predicts of the weights."""

    reduce: nn.Sequential
    attention: nn.Sequential

    def __init__(self, channels: int, width: int, cells: int) -> None:
        super().__init__()
        self.reduce = convolve(channels, width, 1)
        self.attention = nn.Sequential(convolve(width, width, 1), nn.Conv2d(width, cells, 1, bias=False))


def _from_windows(predicted: Tensor, mask: tuple[int, int]) -> Tensor:
    """Turn weights of relative places (B, rows x cols of the window, h, w) into (B, other pixel, pixel).

    Pixels outside the window have weight 0 before the softmax.
    """
    rows, cols = (
        torch.arange(side, device=predicted.device)[:, None]
        - torch.arange(side, device=predicted.device)
        + (window - 1) // 2
        for side, window in zip(predicted.shape[-2:], mask, strict=True)
    )
    place = rows[:, None, :, None] * mask[1] + cols[None, :, None, :]
    inside = ((rows >= 0) & (rows < mask[0]))[:, None, :, None] & ((cols >= 0) & (cols < mask[1]))[None, :, None, :]
    pixels = predicted.shape[-2] * predicted.shape[-1]
    place, inside = place.reshape(1, pixels, pixels), inside.reshape(1, pixels, pixels)
    index = torch.where(inside, place, 0).expand(predicted.shape[0], -1, -1)
    return predicted.flatten(2).gather(1, index) * inside


class PointwiseSpatialAttention(nn.Module):
    """Attention of every pixel to every other, concatenated with the features.

    Attributes:
        channels: output channels.
    """

    def __init__(
        self, channels: int, width: int, *, direction: Direction, window: tuple[tuple[int, int], int], form: Form
    ) -> None:
        """Make the layers.

        Args:
            channels: input channels.
            width: channels of each direction.
            direction: ``collect``, ``distribute`` or ``both``.
            window: rows and columns of the weights that a pixel predicts, and by how much features shrink before; 0 is
                for ``compact``: they become as large as the window.
            form: of the resizing and of the weights.
        """
        super().__init__()
        self.mask, self.shrink = window
        self.form = form
        self.directions = ("collect", "distribute") if direction == "both" else (direction,)
        cells = self.mask[0] * self.mask[1]
        self.branches = nn.ModuleList(_Attention(channels, width, cells) for _ in self.directions)
        self.proj = convolve(len(self.directions) * width, channels, 1)
        if form == "mmseg":
            self.proj[0].padding = (1, 1)  # type: ignore[assignment]
        self.channels = 2 * channels

    def _shrunk(self, size: Sequence[int]) -> tuple[Sequence[int], bool]:
        """Size of the features that attend, and whether corners are aligned on the way there and back."""
        if not self.shrink:
            return self.mask, True
        if self.form == "mmseg" and not all(side % self.shrink for side in size):
            return [max(1, side // self.shrink) for side in size], False
        return [(side - 1) // self.shrink + 1 for side in size], True

    def _turned(self, direction: str) -> bool:
        """Return True if the predicted weights are those of the others: for distribution, but not in every port."""
        if self.form == "torchseg":
            return False
        alone = self.form == "mmseg" and not self.shrink and len(self.directions) == 1
        return (direction == "distribute") != alone

    def _attended(self, x: Tensor, branch: _Attention, direction: str) -> Tensor:
        predicted = branch.attention(x)
        weights = _from_windows(predicted, self.mask) if self.shrink else predicted.flatten(2)
        if self._turned(direction):
            weights = weights.transpose(1, 2)
        return torch.bmm(x.flatten(2), weights.softmax(1)).view_as(x)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, h, w) to (B, 2 * channels, h, w)."""
        size, align_corners = self._shrunk(x.shape[-2:])
        answers = []
        for module, direction in zip(self.branches, self.directions, strict=True):
            branch = cast("_Attention", module)
            reduced = branch.reduce(x)
            if tuple(size) != tuple(reduced.shape[-2:]):
                reduced = functional.interpolate(reduced, size=size, mode="bilinear", align_corners=align_corners)
            answers.append(self._attended(reduced, branch, direction))
        context = resize(self.proj(torch.cat(answers, dim=1)), x, align_corners=align_corners)
        return torch.cat([x, context], dim=1)


def build(  # noqa: PLR0913 - a registry's options are keywords
    in_channels: int,
    classes: int,
    *,
    backbone: str = "resnet50s",
    output_stride: int = 8,
    first_block: FirstBlock = "same",
    block_rates: Sequence[Sequence[int]] | None = None,
    dilate_second: bool = True,
    direction: Direction = "both",
    mask: Sequence[int] = (59, 59),
    shrink: int = 2,
    compact: bool = False,
    form: Form = "authors",
    width: int | None = None,
    auxiliary: bool = True,
    auxiliary_width: int | None = None,
    align_corners: bool = True,
) -> Padded:
    """Build a PSANet.

    Args:
        in_channels: input bands.
        classes: output channels.
        backbone: a timm ResNet.
        output_stride: 8, 16 or 32.
        first_block: see ``geoseg.nn.parts.backbones.ResNetForm``.
        block_rates: see there.
        dilate_second: see there.
        direction: ``collect``, ``distribute`` or ``both``.
        mask: rows and columns of the window of weights that each pixel predicts; 59 x 59 sees all of 465 x 465 pixels.
        shrink: features become smaller by this factor before they attend.
        compact: weights are of the places of one grid of ``mask`` cells, to which features of any size are resized.
        form: ``authors``, or ``mmseg`` or ``torchseg``, which resize and turn the weights otherwise.
        width: channels of each direction and before the classifier; a quarter of those of the last stage unless given.
        auxiliary: a second head on the third stage, for training; its loss weighs 0.4.
        auxiliary_width: channels before its classifier; a quarter of those of the third stage unless given.
        align_corners: how the logits are resized.

    Raises:
        ModelError: no such backbone, output stride, direction or form, or a mask that is no pair.
    """
    if direction not in get_args(Direction) or form not in get_args(Form) or len(mask) != 2:
        raise ModelError(
            f"network 'psanet' takes the directions {', '.join(get_args(Direction))}, the forms "
            f"{', '.join(get_args(Form))} and a mask of rows and columns, not {direction!r}, {form!r}, {list(mask)}"
        )
    shape = ResNetForm(
        output_stride=output_stride, first_block=first_block, block_rates=block_rates, dilate_second=dilate_second
    )
    body = resnet(backbone, in_channels, shape)
    *_, third, fourth = widths(body)
    width = width or fourth // 4
    window = ((mask[0], mask[1]), 0 if compact else shrink)
    attention = PointwiseSpatialAttention(fourth, width, direction=direction, window=window, form=form)
    head = nn.Sequential(attention, fcn_head(attention.channels, width, classes, channelwise_dropout=True))
    side = AuxiliaryHead(fcn_head(third, auxiliary_width or third // 4, classes, channelwise_dropout=True), -2, 0.4)
    sides = [side] if auxiliary else []
    return Padded(Segmenter(body, head, sides=sides, align_corners=align_corners), stride=1)
