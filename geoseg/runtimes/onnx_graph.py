"""Input and output shapes of an ONNX network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from geoseg.errors import ModelError


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxGraph:
    """The first input and the first output of a network.

    Attributes:
        bands: channels of the input; None: any number.
        tile_px: side of the input; None: any size.
        classes: channels of the output; None: unknown.
    """

    bands: int | None
    tile_px: int | None
    classes: int | None


def graph_of(path: Path, given: Sequence[object], answered: Sequence[object]) -> OnnxGraph:
    """Read the shapes of input and output; symbolic dimensions are free.

    Args:
        path: path of the file, for messages.
        given: shape of the first input.
        answered: shape of the first output.

    Raises:
        ModelError: the network does not map square tiles to one output per pixel.
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


def mirrored(tiles: npt.NDArray[np.float32], tile_px: int | None) -> npt.NDArray[np.float32]:
    """Pad tiles for a network with a fixed input size, by mirroring them at their last row and column.

    Args:
        tiles: (tile, band, y, x); smaller than ``tile_px`` where the scene is smaller than a tile.
        tile_px: input size of the network; None: any.

    Returns:
        The tiles, at least as large as before; the caller crops the output.
    """
    if tile_px is None:
        return tiles
    missing = [max(0, tile_px - side) for side in tiles.shape[2:]]
    if not any(missing):
        return tiles
    return np.pad(tiles, ((0, 0), (0, 0), (0, missing[0]), (0, missing[1])), mode="symmetric")


def _listed(shape: Sequence[object]) -> str:
    return f"({', '.join(str(size) for size in shape)})"
