"""SegNet (Badrinarayanan, Kendall, Cipolla 2017, https://arxiv.org/abs/1511.00561): unpooling where the maxima were.

``form="concat"`` is what zijundeng/pytorch-semantic-segmentation calls SegNet: VGG19, transposed convolutions, and
pooled maps concatenated in place of the unpooling.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import ModelError
from geoseg.nn.padding import Padded
from geoseg.nn.parts.vgg import DEPTHS, vgg_block, vgg_blocks, vgg_widths

Form = Literal["unpool", "concat"]
Last = Literal["norm", "plain"]
_VGG19 = (2, 2, 4, 4, 4)


def _classifier(before: int, classes: int, last: Last) -> nn.Module:
    if last == "norm":
        return vgg_block(before, classes, 1, norm=True)
    return nn.Conv2d(before, classes, 3, padding=1)


def _unpool(x: Tensor, places: Tensor, like: Tensor) -> Tensor:
    """Put pooled values back where they came from, zeros elsewhere; for odd sizes too."""
    flat = x.new_zeros(*like.shape[:2], like.shape[2] * like.shape[3])
    return flat.scatter(2, places.flatten(2), x.flatten(2)).view(like.shape)


class _SegNet(nn.Module):
    def __init__(self, in_channels: int, classes: int, width: int, last: Last) -> None:
        super().__init__()
        self.down = vgg_blocks(in_channels, width, norm=True)
        widths = vgg_widths(width)
        self.up = nn.ModuleList()
        for level in (4, 3, 2, 1):
            before, after = widths[level], widths[level - 1]
            block = vgg_block(before, before, DEPTHS[level] - 1, norm=True)
            self.up.append(nn.Sequential(*block, *vgg_block(before, after, 1, norm=True)))
        self.up.append(nn.Sequential(vgg_block(width, width, 1, norm=True), _classifier(width, classes, last)))

    def forward(self, x: Tensor) -> Tensor:
        kept: list[tuple[Tensor, Tensor]] = []
        for block in self.down:
            whole = block(x)
            x, places = functional.max_pool2d(whole, 2, return_indices=True)
            kept.append((places, whole))
        for block in self.up:
            x = block(_unpool(x, *kept.pop()))
        return x


class _Repeated(nn.Module):
    """Apply the same layers several times."""

    def __init__(self, block: nn.Module, times: int) -> None:
        super().__init__()
        self.block = block
        self.times = times

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.times):
            x = self.block(x)
        return x


class _Concatenating(nn.Module):
    def __init__(self, in_channels: int, classes: int, width: int, last: Last) -> None:
        super().__init__()
        widths = vgg_widths(width)
        self.down = nn.ModuleList(
            vgg_block(before, after, depth, norm=True)
            for before, after, depth in zip((in_channels, *widths), widths, _VGG19, strict=False)
        )
        bottom = widths[-1]
        self.up = nn.ModuleList(
            [nn.Sequential(_doubling(bottom), _Repeated(vgg_block(bottom, bottom, 1, norm=True), 4))]
        )
        for level in (3, 2, 1, 0):
            before, middle = 2 * widths[level], widths[level]
            layers: list[nn.Module] = [_doubling(before), vgg_block(before, middle, 1, norm=True)]
            if level > 1:
                layers.append(_Repeated(vgg_block(middle, middle, 1, norm=True), 2))
            after = vgg_block(middle, widths[level - 1], 1, norm=True) if level else _classifier(middle, classes, last)
            self.up.append(nn.Sequential(*layers, after))

    def forward(self, x: Tensor) -> Tensor:
        kept: list[Tensor] = []
        for block in self.down:
            x = functional.max_pool2d(block(x), 2)
            kept.append(x)
        deepest, *others = self.up
        x = deepest(kept.pop())
        for block in others:
            x = block(torch.cat([kept.pop(), x], dim=1))
        return x


def _doubling(channels: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(channels, channels, 2, stride=2)


def build(in_channels: int, classes: int, *, width: int = 64, last: Last = "norm", form: Form = "unpool") -> Padded:
    """Build a SegNet.

    Args:
        in_channels: input bands.
        classes: output channels.
        width: channels of the first block; the paper's VGG16 has 64.
        last: ``norm``: batch norm and ReLU follow the classifier too, as in the PyTorch ports whose weights are
            published (logits are then never negative); ``plain``: they do not.
        form: ``unpool``, the paper's; ``concat``: pooled maps are concatenated with what transposed convolutions give.

    Raises:
        ModelError: no such last layer or form.
    """
    if last not in get_args(Last):
        raise ModelError(f"network 'segnet' has the last layers norm and plain, not {last!r}")
    if form not in get_args(Form):
        raise ModelError(f"network 'segnet' has the forms unpool and concat, not {form!r}")
    if form == "concat":
        return Padded(_Concatenating(in_channels, classes, width, last), stride=32)
    return Padded(_SegNet(in_channels, classes, width, last), stride=1, least=32)
