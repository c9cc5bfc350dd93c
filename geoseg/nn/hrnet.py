"""HRNetV2 for segmentation (Sun et al. 2019, https://arxiv.org/abs/1904.04514): four resolutions kept side by side."""

from __future__ import annotations

from types import MappingProxyType

import torch
from torch import Tensor, nn

from geoseg.errors import ModelError
from geoseg.nn.padding import Padded
from geoseg.nn.parts.backbones import HRNetForm, hrnet, widths
from geoseg.nn.parts.convolution import convolve, resize
from geoseg.nn.parts.segmenter import Segmenter

BACKBONES = MappingProxyType(
    {
        "w18_small_v1": "hrnet_w18_small",
        "w18_small_v2": "hrnet_w18_small_v2",
        "w18": "hrnet_w18",
        "w32": "hrnet_w32",
        "w48": "hrnet_w48",
    }
)


class Concatenate(nn.Module):
    """Neck that raises all branches to the finest and concatenates them."""

    def __init__(self, *, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Map the branches to a list of one map, of all their channels."""
        finest, *coarser = features
        raised = [resize(branch, finest, align_corners=self.align_corners) for branch in coarser]
        return [torch.cat([finest, *raised], dim=1)]


def build(
    in_channels: int,
    classes: int,
    *,
    width: str = "w48",
    align_corners: bool = False,
    form: HRNetForm = "authors",
) -> Padded:
    """Build an HRNetV2.

    Args:
        in_channels: input bands.
        classes: output channels.
        width: ``w18``, ``w32``, ``w48``, ``w18_small_v1`` or ``w18_small_v2``.
        align_corners: how branches and logits are resized; the authors' models are of both kinds.
        form: how branches are fused in the backbone: ``authors`` resizes them to the size of the finer branch, with
            corners as ``align_corners`` says; ``mmseg`` first by a whole factor, and never aligned.

    Raises:
        ModelError: no such width.
    """
    if width not in BACKBONES:
        raise ModelError(f"network 'hrnet' has no width {width!r}; known: {', '.join(BACKBONES)}")
    backbone = hrnet(BACKBONES[width], in_channels, form=form, align_corners=align_corners)
    channels = sum(widths(backbone))
    # the bias before the norm changes nothing, but the published weights have one
    head = nn.Sequential(*convolve(channels, channels, 1, bias=True), nn.Conv2d(channels, classes, 1))
    neck = Concatenate(align_corners=align_corners)
    return Padded(Segmenter(backbone, head, neck=neck, align_corners=align_corners), stride=1)
