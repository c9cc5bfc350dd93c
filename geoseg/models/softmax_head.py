"""The head of semantic segmentation: temperature and softmax."""

from __future__ import annotations

import torch
from torch import nn


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
