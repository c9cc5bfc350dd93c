"""SegNet (Badrinarayanan, Kendall, Cipolla 2017, https://arxiv.org/abs/1511.00561): unpooling where the maxima were."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import ModelError
from geoseg.nn.padding import Padded
from geoseg.nn.parts.vgg import DEPTHS, vgg_block, vgg_blocks, vgg_widths


def _unpool(x: Tensor, places: Tensor, like: Tensor) -> Tensor:
    """Put pooled values back where they came from, zeros elsewhere; for odd sizes too."""
    flat = x.new_zeros(*like.shape[:2], like.shape[2] * like.shape[3])
    return flat.scatter(2, places.flatten(2), x.flatten(2)).view(like.shape)


class _SegNet(nn.Module):
    def __init__(self, in_channels: int, classes: int, width: int, last: str) -> None:
        super().__init__()
        self.down = vgg_blocks(in_channels, width, norm=True)
        widths = vgg_widths(width)
        self.up = nn.ModuleList()
        for level in (4, 3, 2, 1):
            before, after = widths[level], widths[level - 1]
            block = vgg_block(before, before, DEPTHS[level] - 1, norm=True)
            self.up.append(nn.Sequential(*block, *vgg_block(before, after, 1, norm=True)))
        classify = (
            vgg_block(width, classes, 1, norm=True) if last == "norm" else nn.Conv2d(width, classes, 3, padding=1)
        )
        self.up.append(nn.Sequential(vgg_block(width, width, 1, norm=True), classify))

    def forward(self, x: Tensor) -> Tensor:
        kept: list[tuple[Tensor, Tensor]] = []
        for block in self.down:
            whole = block(x)
            x, places = functional.max_pool2d(whole, 2, return_indices=True)
            kept.append((places, whole))
        for block in self.up:
            x = block(_unpool(x, *kept.pop()))
        return x


def build(in_channels: int, classes: int, *, width: int = 64, last: Literal["norm", "plain"] = "norm") -> Padded:
    """Build a SegNet.

    Args:
        in_channels: input bands.
        classes: output channels.
        width: channels of the first block; the paper's VGG16 has 64.
        last: ``norm``: batch norm and ReLU follow the classifier too, as in the PyTorch ports whose weights are
            published (logits are then never negative); ``plain``: they do not.

    Raises:
        ModelError: no such last layer.
    """
    if last not in ("norm", "plain"):
        raise ModelError(f"network 'segnet' has the last layers norm and plain, not {last!r}")
    return Padded(_SegNet(in_channels, classes, width, last), stride=1, least=32)
