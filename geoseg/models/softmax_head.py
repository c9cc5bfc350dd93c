"""The head of semantic segmentation: temperature and softmax."""

from __future__ import annotations

import torch
from torch import nn

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError


class SoftmaxHead(nn.Module):
    """A network with the softmax behind it, in float32 whatever the network computes in.

    Args:
        network: returns logits (tile, class, y, x).
        temperature: logits are divided by it.
    """

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        """Run tiles (tile, band, y, x) to probabilities (tile, class, y, x)."""
        return torch.softmax(tempered(self.network(tiles), self.temperature), dim=1)


def tempered(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """Divide logits by a temperature, in float32; by 1 they are left as they are, to the bit."""
    return logits.float() if temperature == 1 else logits.float() / temperature


def check_logits(name: str, network: nn.Module, card: ModelCard) -> None:
    """Test a network on one small tile, so that a broken one is found when it is loaded.

    Args:
        name: name of the model, for messages.
        network: returns logits (tile, class, y, x).
        card: card of the model.

    Raises:
        ModelError: the output has NaN, infinity or another shape than the card implies.
    """
    tile = torch.linspace(-1, 1, 64 * 64).reshape(1, 1, 64, 64).expand(1, len(card.bands), 64, 64)
    with torch.inference_mode():
        logits = network(tile.contiguous())
    if tuple(logits.shape) != (1, len(card.legend), 64, 64):
        raise ModelError(f"{name}: the network answers {tuple(logits.shape)} to a tile of 64 x 64 pixels.")
    if not bool(torch.isfinite(logits).all()):
        raise ModelError(
            f"{name}: the network answers NaN or infinity; its weights are broken. Fetch or train it again."
        )
