"""Heads: convert a network's logits to the outputs of its task; part of the network in every runtime."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError
from geoseg.runtimes.runtime import PROBABILITIES


class SoftmaxHead(nn.Module):
    """A network followed by a softmax in float32, regardless of the network's precision.

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
    """Divide logits by a temperature, in float32; a temperature of 1 leaves them bit-identical."""
    return logits.float() if temperature == 1 else logits.float() / temperature


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The head of a task.

    Attributes:
        answers: names of its outputs, in order.
        attach: appends it to a network, with the settings of the card.
    """

    answers: tuple[str, ...]
    attach: Callable[[nn.Module, ModelCard], nn.Module]


HEADS: dict[str, Head] = {
    "semantic": Head(answers=(PROBABILITIES,), attach=lambda network, card: SoftmaxHead(network, card.temperature)),
}
"""Heads by the task in a model's card. Other packages may add entries; see docs/adr/0012."""


def head_of(card: ModelCard) -> Head:
    """Find the head of a card's task.

    Raises:
        ModelError: no such task is registered.
    """
    if card.task not in HEADS:
        raise ModelError(f"{card.name}: its card names the task {card.task!r}; known are {', '.join(HEADS)}.")
    return HEADS[card.task]
