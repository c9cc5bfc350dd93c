"""The head of panoptic segmentation: detections of each tile as arrays of one size, and class probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError
from geoseg.models.detection_head import Detections, check_detections, filled_up

SEMANTIC = "semantic"
"""Name of the logits of all classes in what a panoptic network returns of each tile, (class, y, x)."""


class PanopticHead(nn.Module):
    """A network with its detections filled up to the most objects of a tile, and softmax over its class maps.

    Args:
        network: returns ``Detections`` of each tile, with ``SEMANTIC``.
        temperature: logits are divided by it.
    """

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature

    def forward(self, tiles: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Run tiles (tile, band, y, x).

        Returns:
            As ``DetectionHead``, and probabilities (tile, class, y, x).
        """
        found: Sequence[Detections] = self.network(tiles)
        logits = torch.stack([one[SEMANTIC] for one in found]).float()
        return *filled_up(found, tiles), (logits / self.temperature).softmax(1)


def check_panoptic(name: str, network: nn.Module, card: ModelCard) -> None:
    """Test a panoptic network on one small tile.

    Raises:
        ModelError: the output is not that of a panoptic network, has NaN, or classes that the card does not name.
    """
    if not card.legend.countable or len(card.legend.countable) == len(card.legend):
        raise ModelError(
            f"{name}: a panoptic card has classes of things, marked countable in its legend, and others, of stuff."
        )
    found = check_detections(name, network, card, card.legend.countable)
    if SEMANTIC not in found or found[SEMANTIC].shape[-3] != len(card.legend):
        raise ModelError(
            f"{name}: a network of task panoptic answers {SEMANTIC} (classes, y, x) too, of the {len(card.legend)} "
            "classes of its card."
        )
    if not bool(torch.isfinite(found[SEMANTIC]).all()):
        raise ModelError(f"{name}: the network answers NaN or infinity; its weights are broken. Train it again.")
