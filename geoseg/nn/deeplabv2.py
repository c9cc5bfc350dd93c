"""DeepLab V2 (Chen et al. 2016, https://arxiv.org/abs/1606.00915): summed rates, and the maximum over scales.

On the ResNet of the Caffe models: strides in the 1x1 convolutions, the same rate for all blocks of a dilated stage.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.errors import ModelError
from geoseg.nn.padding import Padded
from geoseg.nn.parts.aspp import SummedASPP
from geoseg.nn.parts.auxiliary import Auxiliary
from geoseg.nn.parts.backbones import ResNetForm, resnet, widths
from geoseg.nn.parts.convolution import resize

_BATCH_NORM_MOMENTUM = 0.001  # Caffe's 0.999


class _DeepLabV2(nn.Module):
    align_corners = False

    def __init__(self, backbone: nn.Module, head: nn.Module, scales: Sequence[float]) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.scales = tuple(scales)

    def _logits(self, x: Tensor) -> list[Tensor]:
        """Logits of every scale, the whole one first, each at its own size."""
        return [self.head(self.backbone(one)[-1]) for one in (x, *(_scaled(x, scale) for scale in self.scales))]

    def forward(self, x: Tensor) -> Tensor:
        return self._resize(_maximum(self._logits(x)), x)

    def _resize(self, logits: Tensor, x: Tensor) -> Tensor:
        return resize(logits, x, align_corners=self.align_corners)

    def forward_all(self, x: Tensor) -> tuple[Tensor, tuple[Auxiliary, ...]]:
        logits = self._logits(x)
        auxiliary = tuple(Auxiliary(self._resize(one, x), 1.0) for one in logits) if len(logits) > 1 else ()
        return self._resize(_maximum(logits), x), auxiliary


def _scaled(x: Tensor, scale: float) -> Tensor:
    """Resize by the scale itself: the whole pixels that odd sides are rounded to would shift the picture."""
    size = [int(side * scale) for side in x.shape[-2:]]
    if min(size) < 1:  # a side of a pixel or two has no smaller picture
        return functional.interpolate(x, size=[max(1, side) for side in size], mode="bilinear", align_corners=False)
    return functional.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)


def _maximum(logits: list[Tensor]) -> Tensor:
    return torch.stack([resize(one, logits[0]) for one in logits]).amax(0)


def build(
    in_channels: int,
    classes: int,
    *,
    backbone: str = "resnet101",
    rates: Sequence[int] = (6, 12, 18, 24),
    scales: Sequence[float] = (0.5, 0.75),
    align_corners: bool = False,
) -> Padded:
    """Build a DeepLab V2.

    Args:
        in_channels: input bands.
        classes: output channels.
        backbone: a timm ResNet.
        rates: of the summed classifiers.
        scales: extra scales of the input; the maximum of the logits counts. In training each scale has a
            loss, with weight 1. Empty for a single scale.
        align_corners: how the logits are resized to the input's size.

    Raises:
        ModelError: no such backbone, or no rate.
    """
    if not rates:
        raise ModelError("network 'deeplabv2' needs at least one rate")
    body = resnet(backbone, in_channels, ResNetForm(first_block="same", caffe=True))
    for module in body.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = _BATCH_NORM_MOMENTUM
    network = _DeepLabV2(body, SummedASPP(widths(body)[-1], classes, rates), scales)
    network.align_corners = align_corners
    return Padded(network, stride=1)
