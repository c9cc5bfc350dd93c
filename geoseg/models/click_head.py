"""Check of networks of task ``interactive``, and the refusal to run one on tiles."""

from __future__ import annotations

import torch
from torch import nn

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError
from geoseg.nn.interactive.contract import InteractiveNetwork


def check_clicks(name: str, network: nn.Module, card: ModelCard) -> None:
    """Test an interactive network on one small tile with one click of each kind.

    Args:
        name: name of the model, for messages.
        network: maps images and clicks to logits of one object.
        card: card of the model.

    Raises:
        ModelError: the network takes no clicks, or its output has another shape, NaN or infinity.
    """
    if not isinstance(network, InteractiveNetwork):
        raise ModelError(
            f"{name}: its card says task interactive, but its network {card.architecture.name} takes no clicks."
        )
    tile = torch.linspace(-1, 1, 64 * 64).reshape(1, 1, 64, 64).repeat(1, len(card.bands), 1, 1)
    with torch.inference_mode():
        logits = network(tile, torch.tensor([[[32.0, 32.0], [8.0, 8.0]]]))
    if tuple(logits.shape) != (1, 1, 64, 64) or not bool(torch.isfinite(logits).all()):
        raise ModelError(
            f"{name}: to a tile of 64 x 64 pixels the network answers {tuple(logits.shape)}, or NaN or infinity; its "
            "weights are broken. Train it again."
        )
