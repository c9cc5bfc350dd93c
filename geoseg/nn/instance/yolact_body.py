"""The convolutions of YOLACT: backbone, feature pyramid, prototype masks and the head that all levels share.

Tensor in, tensors out, so that it exports as it is; anchors, suppression and masks come after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

Norm = Literal["none", "batch"]


class RawOutputs(NamedTuple):
    """Answers of the body.

    Attributes:
        offsets: (B, anchors, 4); see ``geoseg.nn.instance.boxes.decode``.
        logits: (B, anchors, classes), the background first.
        coefficients: (B, anchors, prototypes) in -1 .. 1.
        prototypes: (B, prototypes, rows, cols), at least 0.
    """

    offsets: Tensor
    logits: Tensor
    coefficients: Tensor
    prototypes: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Widths:
    """Sizes of what follows the backbone.

    Attributes:
        features: channels of the pyramid, the prototypes' layers and the head.
        prototypes: number of prototype masks.
        classes: the background counted.
        anchors: at each cell of a level.
        extra_levels: levels that are made by halving the coarsest.
        norm: batch normalisation after the convolutions that a ReLU follows; the paper's has none.
    """

    features: int
    prototypes: int
    classes: int
    anchors: int
    extra_levels: int
    norm: Norm


def _layer(before: int, after: int, norm: Norm, stride: int = 1) -> list[nn.Module]:
    plain = norm == "none"
    convolution = nn.Conv2d(before, after, 3, stride, padding=1, bias=plain)
    return [convolution, nn.ReLU()] if plain else [convolution, nn.BatchNorm2d(after), nn.ReLU()]


class Pyramid(nn.Module):
    """Feature pyramid (Lin et al. 2017, https://arxiv.org/abs/1612.03144), bilinear on the way down."""

    def __init__(self, channels: Sequence[int], widths: Widths) -> None:
        super().__init__()
        width = widths.features
        self.lateral = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.smooth = nn.ModuleList(nn.Sequential(*_layer(width, width, widths.norm)) for _ in channels)
        self.halve = nn.ModuleList(nn.Conv2d(width, width, 3, 2, padding=1) for _ in range(widths.extra_levels))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Map the backbone's feature maps, finest first, to the levels of the pyramid, finest first."""
        merged: list[Tensor] = []
        for lateral, one in zip(reversed(self.lateral), reversed(maps), strict=True):
            x = lateral(one)
            if merged:
                x = x + functional.interpolate(merged[0], size=x.shape[-2:], mode="bilinear", align_corners=False)
            merged.insert(0, x)
        levels = [smooth(x) for smooth, x in zip(self.smooth, merged, strict=True)]
        for halve in self.halve:
            levels.append(halve(levels[-1]))
        return levels


class _Head(nn.Module):
    def __init__(self, widths: Widths) -> None:
        super().__init__()
        self.widths = widths
        width, anchors = widths.features, widths.anchors
        self.trunk = nn.Sequential(*_layer(width, width, widths.norm))
        self.offsets = nn.Conv2d(width, anchors * 4, 3, padding=1)
        self.logits = nn.Conv2d(width, anchors * widths.classes, 3, padding=1)
        self.coefficients = nn.Conv2d(width, anchors * widths.prototypes, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.trunk(x)
        return (
            _rows(self.offsets(x), 4),
            _rows(self.logits(x), self.widths.classes),
            torch.tanh(_rows(self.coefficients(x), self.widths.prototypes)),
        )


def _rows(x: Tensor, values: int) -> Tensor:
    """(B, anchors * values, H, W) to (B, H * W * anchors, values)."""
    return x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, values)


class _Double(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class YolactBody(nn.Module):
    """Backbone, pyramid, prototypes, shared head."""

    def __init__(self, backbone: Any, channels: Sequence[int], widths: Widths) -> None:
        super().__init__()
        self.backbone = backbone
        self.pyramid = Pyramid(channels, widths)
        width, norm = widths.features, widths.norm
        self.prototypes = nn.Sequential(
            *(part for _ in range(3) for part in _layer(width, width, norm)),
            _Double(),
            *_layer(width, width, norm),
            nn.Conv2d(width, widths.prototypes, 1),
            nn.ReLU(),
        )
        self.head = _Head(widths)
        for part in (self.pyramid, self.prototypes, self.head):
            for module in part.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.xavier_uniform_(module.weight)
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)

    def levels(self, x: Tensor) -> list[Tensor]:
        """Map (B, C, H, W) to the levels of the pyramid, finest first."""
        levels: list[Tensor] = self.pyramid(self.backbone(x))
        return levels

    def answers(self, levels: Sequence[Tensor]) -> RawOutputs:
        """Map the levels of the pyramid to the outputs."""
        offsets, logits, coefficients = zip(*(self.head(level) for level in levels), strict=True)
        return RawOutputs(
            torch.cat(offsets, dim=1),
            torch.cat(logits, dim=1),
            torch.cat(coefficients, dim=1),
            self.prototypes(levels[0]),
        )

    def forward(self, x: Tensor) -> RawOutputs:
        """Map (B, C, H, W) to the outputs."""
        return self.answers(self.levels(x))
