"""Conversion of the outputs of ONNX segmentation networks to probabilities, by the activation named in the card."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError
from geoseg.runtimes.onnx_graph import OnnxGraph

Activation = Literal["logits", "probabilities", "sigmoid", "positive"]
ACTIVATION_OPTION: Final = "activation"
"""Option of a card's architecture: kind of the network's output; default ``logits``."""
_OF_TWO: Final = ("sigmoid", "positive")


def check_fits(path: Path, graph: OnnxGraph, card: ModelCard) -> None:
    """Refuse a card that does not describe the network.

    Args:
        path: path of the file, for messages.
        graph: shapes of the network.
        card: its card.

    Raises:
        ModelError: bands, classes or tile differ; both values are named.
    """
    channels = 1 if activation(path, card) in _OF_TWO else len(card.legend)
    for what, found, stated in (
        ("bands", graph.bands, len(card.bands)),
        ("answers", graph.classes, channels),
        ("px a tile", graph.tile_px, card.tile_px),
    ):
        if found is not None and found != stated:
            raise ModelError(f"{path}: the network has {found} {what}, its card {stated}. Correct the card.")


def activation(path: Path | str, card: ModelCard) -> Activation:
    """Read the kind of the network's output from the card.

    Args:
        path: path of the file, for messages.
        card: its card.

    Raises:
        ModelError: the card names something else, or a sigmoid of other than two classes.
    """
    named = card.architecture.options.get(ACTIVATION_OPTION, "logits")
    if named not in get_args(Activation):
        known = ", ".join(get_args(Activation))
        raise ModelError(f"{path}: its card says {ACTIVATION_OPTION} {named!r}. Known: {known}.")
    if named in _OF_TWO and len(card.legend) != 2:
        raise ModelError(f"{path}: an output of one channel is for two classes, its card has {len(card.legend)}.")
    return cast("Activation", named)


def probabilities(answer: npt.NDArray[np.floating], kind: Activation, temperature: float) -> npt.NDArray[np.float32]:
    """Convert a network's output to probabilities.

    Args:
        answer: (tile, channel, y, x).
        kind: logits of each class, probabilities of each class, or only the second of two classes as logit
            (``sigmoid``) or as probability (``positive``).
        temperature: logits are divided by it.

    Returns:
        (tile, class, y, x) float32 in [0, 1], summing to 1 over class.
    """
    values = answer.astype(np.float32, copy=False)
    if kind == "probabilities":
        return values
    if kind == "positive":
        return np.concatenate([1 - values, values], axis=1)
    if kind == "sigmoid":
        values = np.concatenate([np.zeros_like(values), values], axis=1)
    if temperature != 1:
        values = values / np.float32(temperature)
    exponentials: npt.NDArray[np.float32] = np.exp(values - values.max(axis=1, keepdims=True))
    exponentials /= exponentials.sum(axis=1, keepdims=True)
    return exponentials
