"""ClickModel: a model that answers clicks, with its card."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError
from geoseg.models.network import load_network
from geoseg.nn.interactive.contract import InteractiveNetwork
from geoseg.runtimes.registry import resolve_device


@dataclass(frozen=True, slots=True)
class ClickModel:
    """A network that answers clicks, and its card.

    Attributes:
        card: bands, scaling and provenance; ``tile_px`` is the longer side of what the network sees when it is zoomed.
        network: in evaluation mode, without gradients.
    """

    card: ModelCard
    network: InteractiveNetwork


def load_click_model(name_or_path: str | Path, device: str = "cpu") -> ClickModel:
    """Load a model of task ``interactive``.

    Args:
        name_or_path: a bundled name (``clicks``) or a model file.
        device: that it runs on: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        UsageError: no such name of a device.
        ResourceError: the device does not exist.
        ModelError: it is unknown or broken, or answers no clicks.
    """
    place = resolve_device(device)
    network, card = load_network(name_or_path)
    if not isinstance(network, InteractiveNetwork):
        raise ModelError(
            f"{name_or_path}: it is a model of task {card.task} and answers no clicks. Take clicks, or a model that "
            "geoseg models show says is of task interactive."
        )
    return ClickModel(card, network.requires_grad_(requires_grad=False).to(place))
