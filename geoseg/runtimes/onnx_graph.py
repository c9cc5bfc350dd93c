"""What an ONNX segmentation network takes and gives, and probabilities made of its answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError

Activation = Literal["logits", "probabilities", "sigmoid", "positive"]
ACTIVATION_OPTION: Final = "activation"
"""Option of a card's architecture: what the network answers; ``logits`` unless it says otherwise."""
_OF_TWO: Final = ("sigmoid", "positive")


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxGraph:
    """The first input and the first output of a network.

    Attributes:
        bands: channels of the input; None where any number is taken.
        tile_px: side of the input; None where any size is taken.
        classes: channels of the output; None where the file does not say.
    """

    bands: int | None
    tile_px: int | None
    classes: int | None


def graph_of(path: Path, given: Sequence[object], answered: Sequence[object]) -> OnnxGraph:
    """Read the shapes of input and output; sizes that are names are free.

    Args:
        path: of the file, for messages.
        given: shape of the first input.
        answered: shape of the first output.

    Raises:
        ModelError: it is no network that answers for every pixel of a square tile.
    """
    if len(given) != 4 or len(answered) != 4:
        raise ModelError(
            f"{path}: its input has the shape {_listed(given)} and its output {_listed(answered)}; a segmentation "
            "network maps (tile, band, y, x) to (tile, class, y, x)."
        )
    bands, rows, cols = (size if isinstance(size, int) and size > 0 else None for size in given[1:])
    classes = answered[1] if isinstance(answered[1], int) and answered[1] > 0 else None
    if rows != cols:
        raise ModelError(f"{path}: it takes tiles of {rows} x {cols} px; geoseg reads squares.")
    return OnnxGraph(bands=bands, tile_px=rows, classes=classes)


def check_fits(path: Path, graph: OnnxGraph, card: ModelCard) -> None:
    """Refuse a card that does not describe the network.

    Raises:
        ModelError: bands, classes or tile differ; both values are named.
    """
    channels = 1 if activation(path, card) in _OF_TWO else len(card.legend)
    for what, found, told in (
        ("bands", graph.bands, len(card.bands)),
        ("answers", graph.classes, channels),
        ("px a tile", graph.tile_px, card.tile_px),
    ):
        if found is not None and found != told:
            raise ModelError(f"{path}: the network has {found} {what}, its card {told}. Correct the card.")


def activation(path: Path | str, card: ModelCard) -> Activation:
    """Read from the card what the network answers.

    Raises:
        ModelError: the card names something else, or a sigmoid of other than two classes.
    """
    named = card.architecture.options.get(ACTIVATION_OPTION, "logits")
    if named not in get_args(Activation):
        known = ", ".join(get_args(Activation))
        raise ModelError(f"{path}: its card says {ACTIVATION_OPTION} {named!r}. Known: {known}.")
    if named in _OF_TWO and len(card.legend) != 2:
        raise ModelError(f"{path}: one answer tells two classes apart, its card has {len(card.legend)}.")
    return cast("Activation", named)


def mirrored(tiles: npt.NDArray[np.float32], tile_px: int | None) -> npt.NDArray[np.float32]:
    """Enlarge tiles for a network that takes one size alone, by mirroring them at their last row and column.

    Args:
        tiles: (tile, band, y, x); those of a scene that is smaller than a tile are smaller.
        tile_px: side that the network takes; None where it takes any size.

    Returns:
        The tiles, at least as large as before; the answer is cut back by the caller.
    """
    if tile_px is None:
        return tiles
    missing = [max(0, tile_px - side) for side in tiles.shape[2:]]
    if not any(missing):
        return tiles
    return np.pad(tiles, ((0, 0), (0, 0), (0, missing[0]), (0, missing[1])), mode="symmetric")


def probabilities(answer: npt.NDArray[np.floating], kind: Activation, temperature: float) -> npt.NDArray[np.float32]:
    """Turn a network's answer into probabilities.

    Args:
        answer: (tile, channel, y, x).
        kind: logits of each class, probabilities of each, or of the second of two classes alone the logit
            (``sigmoid``) or the probability (``positive``).
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


def _listed(shape: Sequence[object]) -> str:
    return f"({', '.join(str(size) for size in shape)})"
