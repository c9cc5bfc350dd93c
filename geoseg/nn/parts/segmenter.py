"""The plan that most networks share: a backbone, a neck, a head, and auxiliary heads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn

from geoseg.nn.parts.auxiliary import Auxiliary, forward_all
from geoseg.nn.parts.convolution import resize


class AuxiliaryHead(NamedTuple):
    """An auxiliary head: the feature map it reads (negative counts from the coarsest), and its weight in the loss."""

    head: nn.Module
    place: int
    weight: float


class Segmenter(nn.Module):
    """Backbone, neck, head, bilinear resizing to the input's size.

    The neck maps the list of feature maps to another; the head reads the last of it. A head with answers of its own
    beside the logits has ``forward_all`` too.
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        *,
        neck: nn.Module | None = None,
        sides: Sequence[AuxiliaryHead] = (),
        align_corners: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = nn.Identity() if neck is None else neck
        self.head = head
        self.sides = nn.ModuleList(side.head for side in sides)
        self.places = [(side.place, side.weight) for side in sides]
        self.align_corners = align_corners

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to logits (B, classes, H, W)."""
        features = self.neck(self.backbone(x))
        return resize(self.head(features[-1]), x, align_corners=self.align_corners)

    def forward_all(self, x: Tensor) -> tuple[Tensor, tuple[Auxiliary, ...]]:
        """Map (B, C, H, W) to the logits and the auxiliary answers."""
        features = self.neck(self.backbone(x))
        logits, own = forward_all(self.head, features[-1])
        auxiliary = [
            Auxiliary(resize(head(features[index]), x, align_corners=self.align_corners), weight)
            for head, (index, weight) in zip(self.sides, self.places, strict=True)
        ]
        return resize(logits, x, align_corners=self.align_corners), (*own, *auxiliary)
