"""Torch networks of geoseg model files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError
from geoseg.models.heads import head_of
from geoseg.models.packages import open_package
from geoseg.nn import build


def load_network(name_or_path: str | Path) -> tuple[nn.Module, ModelCard]:
    """Load the bare torch network, on the CPU, in evaluation mode, and its card.

    Raises:
        ModelError: the name is unknown, or the file is broken, does not fit its card or holds no torch network.
    """
    package = open_package(str(name_or_path))
    return package.network(), package.card


def load_weights(path: Path, tensors: dict[str, npt.NDArray[np.generic]], card: ModelCard) -> nn.Module:
    """Build the network of a card, load its weights and test it on one small tile.

    Args:
        path: path of the file, for messages.
        tensors: weights by name.
        card: card with the architecture.

    Raises:
        ModelError: the weights do not fit the network, or its output has NaN, infinity or another shape.
    """
    network = _restore(path, tensors, card)
    head_of(card).check(str(path), network, card)
    return network


def _restore(path: Path, tensors: dict[str, npt.NDArray[np.generic]], card: ModelCard) -> nn.Module:
    options = card.architecture.options
    try:
        network = build(card.architecture.name, len(card.bands), len(card.legend), **options)
    except (TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, ModelError):
            raise ModelError(f"{path}: its card does not fit this version of geoseg: {error}.") from error
        raise ModelError(f"{path}: {card.architecture.name} cannot be built with {options}: {error}.") from error
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: array.shape for name, array in tensors.items()}
    if expected != found:
        missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
        shapes = [
            f"{k} {found[k]} for {expected[k]}" for k in expected.keys() & found.keys() if expected[k] != found[k]
        ]
        parts = [("missing", missing), ("unexpected", extra), ("of another shape", sorted(shapes))]
        listed = "; ".join(f"{len(names)} {what} ({', '.join(names[:3])})" for what, names in parts if names)
        raise ModelError(
            f"{path}: the weights do not fit {card.architecture.name} with {len(card.bands)} bands and "
            f"{len(card.legend)} classes, as the card has it: {listed}."
        )
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in tensors.items()})
    return network.eval()
