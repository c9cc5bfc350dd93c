"""OCR on a dilated ResNet or on HRNet (Yuan, Chen, Wang 2020, https://arxiv.org/abs/1909.11065).

On HRNet as its authors build it (HRNet-OCR), on a ResNet as mmsegmentation does. The first guess, which tells the
regions, is part of the forward pass, and has a loss of its own in training, with weight 0.4.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from geoseg.errors import ModelError
from geoseg.nn.hrnet import BACKBONES, Concatenate
from geoseg.nn.padding import Padded
from geoseg.nn.parts.auxiliary import Auxiliary
from geoseg.nn.parts.backbones import FirstBlock, HRNetForm, ResNetForm, hrnet, resnet, widths
from geoseg.nn.parts.convolution import convolve, resize
from geoseg.nn.parts.heads import fcn_head
from geoseg.nn.parts.ocr import OCRHead

_GUESS_WEIGHT = 0.4


class _OCR(nn.Module):
    def __init__(self, backbone: nn.Module, guess: nn.Module, head: OCRHead, *, align_corners: bool) -> None:
        super().__init__()
        self.backbone = backbone
        self.guess = guess
        self.head = head
        self.align_corners = align_corners

    def _both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and the guess before them, at the input's size."""
        maps = self.backbone(x)
        guess = self.guess(maps[-2] if len(maps) > 1 else maps[-1])
        logits = self.head(maps[-1], guess)
        return resize(logits, x, align_corners=self.align_corners), guess

    def forward(self, x: Tensor) -> Tensor:
        return self._both(x)[0]

    def forward_all(self, x: Tensor) -> tuple[Tensor, tuple[Auxiliary, ...]]:
        logits, guess = self._both(x)
        return logits, (Auxiliary(resize(guess, x, align_corners=self.align_corners), _GUESS_WEIGHT),)


def build(  # noqa: PLR0913 - a registry's options are keywords
    in_channels: int,
    classes: int,
    *,
    backbone: str = "resnet101c",
    output_stride: int = 8,
    channels: int = 512,
    keys: int = 256,
    guess_width: int | None = None,
    first_block: FirstBlock = "prev",
    block_rates: Sequence[Sequence[int]] | None = None,
    dilate_second: bool = True,
    align_corners: bool = False,
) -> Padded:
    """Build an OCR on a ResNet.

    Args:
        in_channels: input bands.
        classes: output channels.
        backbone: a timm ResNet.
        output_stride: 8 or 16.
        channels: of the pixels' representations.
        keys: channels of the attention's keys.
        guess_width: channels before the guess's classifier; a quarter of those of the third stage unless given.
        first_block: see ``geoseg.nn.parts.backbones.ResNetForm``.
        block_rates: see there.
        dilate_second: see there.
        align_corners: how the logits are resized; mmsegmentation's models of 769 x 769 pixels align them.

    Raises:
        ModelError: no such backbone or output stride.
    """
    form = ResNetForm(
        output_stride=output_stride, first_block=first_block, block_rates=block_rates, dilate_second=dilate_second
    )
    body = resnet(backbone, in_channels, form)
    *_, third, fourth = widths(body)
    guess = fcn_head(third, guess_width or third // 4, classes, channelwise_dropout=True)
    head = OCRHead(fourth, classes, width=channels, keys=keys, bias=False)
    return Padded(_OCR(body, guess, head, align_corners=align_corners), stride=1)


def build_hrnet(
    in_channels: int,
    classes: int,
    *,
    width: str = "w48",
    channels: int = 512,
    keys: int = 256,
    align_corners: bool = True,
    form: HRNetForm = "authors",
) -> Padded:
    """Build an OCR on HRNet.

    Args:
        in_channels: input bands.
        classes: output channels.
        width: of the HRNet: ``w18``, ``w32``, ``w48``, ``w18_small_v1`` or ``w18_small_v2``.
        channels: of the pixels' representations.
        keys: channels of the attention's keys.
        align_corners: how branches, fused branches and logits are resized.
        form: how branches are fused in the backbone: ``authors`` resizes them to the size of the finer branch, with
            corners as ``align_corners`` says; ``mmseg`` first by a whole factor, and never aligned.

    Raises:
        ModelError: no such width.
    """
    if width not in BACKBONES:
        raise ModelError(f"network 'hrnet_ocr' has no width {width!r}; known: {', '.join(BACKBONES)}")
    body = hrnet(BACKBONES[width], in_channels, form=form, align_corners=align_corners)
    joined = sum(widths(body))
    branches = nn.Sequential(body, Concatenate(align_corners=align_corners))
    guess = nn.Sequential(*convolve(joined, joined, 1, bias=True), nn.Conv2d(joined, classes, 1))
    head = OCRHead(joined, classes, width=channels, keys=keys, bias=True)
    return Padded(_OCR(branches, guess, head, align_corners=align_corners), stride=1)
