"""FCN-32s, -16s and -8s on VGG16 (Long, Shelhamer, Darrell 2015, https://arxiv.org/abs/1411.4038).

The first convolution pads 100 pixels, so that the 7x7 "fully connected" layer fits any input; the crops after each
transposed convolution follow from it. ``rise="bilinear"`` stretches the scores over one another and over the image,
without crops, as guanfuchen/semseg does; ``rise="nearest"`` repeats them, as meetps/pytorch-semseg does.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import ModelError
from geoseg.nn.padding import Padded
from geoseg.nn.parts.convolution import resize
from geoseg.nn.parts.vgg import kaiming, vgg_blocks, vgg_widths

Rise = Literal["transpose", "bilinear", "nearest"]
_PADDING_PX = 100
_CROP_POOL4, _CROP_POOL3 = 5, 9
_CROP_PX = {32: 19, 16: 27, 8: 31}


def _transposed(classes: int, factor: int) -> nn.ConvTranspose2d:
    """Build a transposed convolution that starts as bilinear upsampling by a factor."""
    layer = nn.ConvTranspose2d(classes, classes, 2 * factor, stride=factor, bias=False)
    line = 1 - ((torch.arange(2 * factor) + 0.5) / factor - 1).abs()
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[range(classes), range(classes)] = line[:, None] * line
    return layer


def _crop(x: Tensor, offset: int, like: Tensor) -> Tensor:
    return x[..., offset : offset + like.shape[-2], offset : offset + like.shape[-1]]


class _FCN(nn.Module):
    def __init__(
        self, blocks: nn.ModuleList, channels: tuple[int, int, int], classes: int, stride: int, rise: Rise
    ) -> None:
        super().__init__()
        third, fifth, hidden = channels
        transposed = rise == "transpose"
        self.nearest = rise == "nearest"
        self.blocks = blocks
        self.fc6 = nn.Conv2d(fifth, hidden, 7)
        self.fc7 = nn.Conv2d(hidden, hidden, 1)
        self.drop = nn.Dropout2d(0.5)
        self.score = nn.Conv2d(hidden, classes, 1)
        self.score_pool4 = nn.Conv2d(fifth, classes, 1) if stride <= 16 else None
        self.score_pool3 = nn.Conv2d(third, classes, 1) if stride <= 8 else None
        self.rise_pool4 = _transposed(classes, 2) if transposed and stride <= 16 else None
        self.rise_pool3 = _transposed(classes, 2) if transposed and stride <= 8 else None
        self.rise = _transposed(classes, stride) if transposed else None
        self.crop_px = _CROP_PX[stride]
        self.scales = (1.0, 1.0)
        kaiming(self.fc6)
        kaiming(self.fc7)
        for score in (self.score, self.score_pool4, self.score_pool3):
            if score is not None:  # the paper starts its classifiers at zero
                nn.init.zeros_(score.weight)
                nn.init.zeros_(score.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        pools: list[Tensor] = []
        inner = x
        for block in self.blocks:
            inner = functional.max_pool2d(block(inner), 2, ceil_mode=True)
            pools.append(inner)
        inner = self.drop(functional.relu(self.fc6(inner), inplace=True))
        inner = self.score(self.drop(functional.relu(self.fc7(inner), inplace=True)))
        if self.score_pool4 is not None:
            inner = self._joined(inner, self.score_pool4(pools[3] * self.scales[0]), self.rise_pool4, _CROP_POOL4)
        if self.score_pool3 is not None:
            inner = self._joined(inner, self.score_pool3(pools[2] * self.scales[1]), self.rise_pool3, _CROP_POOL3)
        if self.rise is None:
            return self._stretched(inner, x)
        return _crop(self.rise(inner), self.crop_px, x)

    def _joined(self, coarse: Tensor, fine: Tensor, rise: nn.Module | None, crop_px: int) -> Tensor:
        """Raise coarse scores to a finer stage, and add that stage's own."""
        if rise is None:
            return self._stretched(coarse, fine) + fine
        raised: Tensor = rise(coarse)
        return raised + _crop(fine, crop_px, raised)

    def _stretched(self, x: Tensor, like: Tensor) -> Tensor:
        if self.nearest:
            return functional.interpolate(x, size=like.shape[-2:], mode="nearest")
        return resize(x, like, align_corners=True)


def build(
    in_channels: int,
    classes: int,
    *,
    stride: int = 8,
    width: int = 64,
    hidden: int = 4096,
    at_once: bool = False,
    rise: Rise = "transpose",
) -> Padded:
    """Build an FCN on VGG16.

    Args:
        in_channels: input bands.
        classes: output channels.
        stride: 32, 16 or 8: the finest stride whose features are scored.
        width: channels of the first block; VGG16 has 64.
        hidden: channels of the two layers that were fully connected.
        at_once: scale the third and fourth pool by 1e-4 and 1e-2, to train FCN-8s in one stage rather than in three.
        rise: ``transpose``: learnt upsampling and crops, as in the paper; ``bilinear``: scores are resized to the finer
            stage, and at last to the image, with their corners aligned; ``nearest``: so are they, by nearest neighbour.

    Raises:
        ModelError: no such stride or rise.
    """
    if stride not in _CROP_PX:
        raise ModelError(f"network 'fcn' takes stride 32, 16 or 8, not {stride}")
    if rise not in get_args(Rise):
        raise ModelError(f"network 'fcn' takes rise transpose, bilinear or nearest, not {rise!r}")
    blocks = vgg_blocks(in_channels, width)
    blocks[0][0].padding = (_PADDING_PX, _PADDING_PX)  # type: ignore[index]
    _, _, third, _, fifth = vgg_widths(width)
    body = _FCN(blocks, (third, fifth, hidden), classes, stride, rise)
    if at_once:
        body.scales = (1e-2, 1e-4)
    return Padded(body, stride=1)
