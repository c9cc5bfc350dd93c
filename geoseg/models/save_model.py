"""Saving of a network of the caller's own as a model file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from geoseg.core.card import ModelCard
from geoseg.core.paths import path_text
from geoseg.errors import ModelError, UsageError
from geoseg.io.weights.model_file import write_model
from geoseg.models.network import load_weights
from geoseg.models.own_network import OwnNetwork, unwrapped
from geoseg.nn import NETWORKS, build
from geoseg.nn.zoo.registry import nearest

Weights = dict[str, npt.NDArray[np.generic]]


def save_model(network: nn.Module, path: str | Path, card: ModelCard, *, exact: bool = True) -> ModelCard:
    """Write a torch network, of an architecture that geoseg can build, as a model file.

    The file holds weights and card, no code: every command and every worker can load it.

    Args:
        network: network with its weights; not modified. Names of weights may lack the prefix of geoseg's adapters, so a
            network of segmentation-models-pytorch or torchvision can be saved too.
        path: the file to write, ``NAME.safetensors``.
        card: its card; ``card.architecture`` holds the arguments of ``geoseg.nn.build``.
        exact: keep float32 weights; otherwise weights that allow it are stored as float16, half as large.

    Returns:
        The card as stored, with the digest of the weights.

    Raises:
        ModelError: geoseg has no such architecture, the weights do not fit it, or its output differs.
        UsageError: the path does not end in ``.safetensors``.
        WriteError: the disk is full or fails.

    Examples:
        >>> save_model(network, "roofs.safetensors", card)  # doctest: +SKIP
        >>> geoseg.predict("scene.tif", "roofs.safetensors", out="out")  # doctest: +SKIP
    """
    target = Path(path_text(path, function="save_model", meant="the path of the file"))
    if target.suffix.lower() != ".safetensors":
        raise UsageError(f"{target}: a model file ends in .safetensors. Choose such a name.")
    if not isinstance(network, nn.Module):
        raise UsageError(f"save_model takes a torch module, not {type(network).__name__}.")
    name = card.architecture.name
    if name not in NETWORKS:
        raise ModelError(
            f"{target}: a model file holds no code, and geoseg has no network {name!r} ({nearest(name)}). Name one of "
            "geoseg.nn.NETWORKS in the card, or use the network in Python: geoseg.load_model(network, card=card)."
        )
    own = OwnNetwork(network, card)  # which is tried on a tile
    state = {key: tensor.detach().cpu() for key, tensor in unwrapped(network).state_dict().items()}
    weights: Weights = {
        key: (tensor.float() if tensor.is_floating_point() else tensor).numpy() for key, tensor in state.items()
    }
    weights = _prefixed(weights, card)
    restored = load_weights(target, weights, card)
    tile = torch.linspace(-1, 1, 64 * 64).reshape(1, 1, 64, 64).repeat(1, len(card.bands), 1, 1)
    with torch.inference_mode():
        given, stored = own.network()(tile), restored(tile)
    if not torch.allclose(given, stored, rtol=1e-3, atol=1e-3 * float(given.abs().max())):
        raise ModelError(
            f"{target}: {name} as geoseg builds it answers otherwise than the network with the same weights. "
            f"Check the options of the card's architecture ({card.architecture.options or 'none'})."
        )
    return write_model(target, weights, card, exact=exact)


def _prefixed(weights: Weights, card: ModelCard) -> Weights:
    """Add the prefix of geoseg's adapters to the names of weights."""
    try:
        expected = build(
            card.architecture.name, len(card.bands), len(card.legend), **card.architecture.options
        ).state_dict()
    except (TypeError, ValueError, RuntimeError):
        return weights  # loading them says what is wrong
    first = min(weights, default="")
    for name in expected:
        prefix = name.removesuffix(first)
        if name.endswith(first) and {prefix + key for key in weights} == set(expected):
            return {prefix + key: values for key, values in weights.items()}
    return weights
