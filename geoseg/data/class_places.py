"""ClassPlaces: index of the places of each class in a set of scenes, for class-balanced sampling."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import numpy.typing as npt

from geoseg.core.window import Window
from geoseg.data.labelled_scene import U8, UNLABELLED, LabelledScene
from geoseg.errors import UsageError

_BLOCK_PX = 512
_CELL_PX = 32
_MOST_BLOCKS = 4096
"""Largest number of blocks read in all scenes, which may be very large."""


class ClassPlaces:
    """Counts the classes in cells of every scene, lazily at the first draw.

    Args:
        scenes: labelled scenes.
        weights: weights of the scenes.
    """

    def __init__(self, scenes: Sequence[LabelledScene], weights: npt.NDArray[np.float64]) -> None:
        self._scenes = scenes
        self._weights = weights
        self._cells: dict[int, npt.NDArray[np.int64]] | None = None
        self._counting = threading.Lock()
        self._counts: dict[int, npt.NDArray[np.float64]] = {}

    def draw(self, rng: np.random.Generator) -> tuple[int, tuple[int, int]]:
        """Draw a class, a scene that has it and a pixel of it.

        Args:
            rng: the only source of randomness.

        Returns:
            Number of the scene, and (row, column) in it.

        Raises:
            UsageError: no scene has a labelled pixel.
        """
        with self._counting:
            if self._cells is None:
                self._cells = self._count()
        if not self._cells:
            raise UsageError(f"{self._scenes[0].name}: no labelled pixel was found, so classes cannot be balanced.")
        class_index = int(rng.choice(sorted(self._cells)))
        cells, counts = self._cells[class_index], self._counts[class_index]
        index, row, col = cells[int(rng.choice(len(cells), p=counts / counts.sum()))].tolist()
        scene = self._scenes[index]
        cell = Window(row, row + _CELL_PX, col, col + _CELL_PX).intersection(Window.whole(scene.shape))
        here = np.argwhere(scene.read(cell).class_indices == class_index)
        at = here[int(rng.integers(len(here)))]
        return index, (row + int(at[0]), col + int(at[1]))

    def _count(self) -> dict[int, npt.NDArray[np.int64]]:
        """List the cells of each class, and in ``_counts`` its pixels there, scaled to the weight of the scene."""
        cells: dict[int, list[npt.NDArray[np.int64]]] = {}
        counts: dict[int, list[npt.NDArray[np.float64]]] = {}
        most = max(1, _MOST_BLOCKS // len(self._scenes))
        for index, scene in enumerate(self._scenes):
            mine: dict[int, list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]] = {}
            for block in _blocks(scene.shape, most):
                for class_index, places, pixels in _in_cells(scene.read(block).class_indices):
                    mine.setdefault(class_index, []).append(
                        (np.add(places, (block.row_start, block.col_start)), pixels)
                    )
            for class_index, found in mine.items():
                places = np.concatenate([place for place, _ in found])
                pixels = np.concatenate([count for _, count in found])
                numbered = np.concatenate([np.full((len(places), 1), index), places], axis=1)
                cells.setdefault(class_index, []).append(numbered)
                counts.setdefault(class_index, []).append(pixels * (self._weights[index] / pixels.sum()))
        self._counts = {class_index: np.concatenate(found) for class_index, found in counts.items()}
        return {class_index: np.concatenate(found) for class_index, found in cells.items()}


def _in_cells(class_indices: U8) -> Iterator[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Count the pixels of each class in cells: class index, (row, column) of its cells' corners, pixels in each."""
    rows, cols = (np.arange(0, length, _CELL_PX) for length in class_indices.shape)
    for class_index in np.unique(class_indices[class_indices != UNLABELLED]).tolist():
        here = (class_indices == class_index).astype(np.int64)
        count = np.add.reduceat(np.add.reduceat(here, rows, axis=0), cols, axis=1)
        cells = np.argwhere(count)
        yield class_index, cells * _CELL_PX, count[count > 0]


def _blocks(shape: tuple[int, int], most: int) -> list[Window]:
    """Cut a scene into blocks, up to a number of them, spread evenly."""
    whole = Window.whole(shape)
    corners = list(product(range(0, shape[0], _BLOCK_PX), range(0, shape[1], _BLOCK_PX)))
    step = max(1, -(-len(corners) // most))
    return [Window(r, r + _BLOCK_PX, c, c + _BLOCK_PX).intersection(whole) for r, c in corners[::step]]
