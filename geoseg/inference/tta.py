"""Test-time augmentation: a network's answers to flipped and turned views of a tile, turned back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from geoseg.core.spec import Tta
from geoseg.runtimes.runtime import Answer, Runtime

View = tuple[bool, bool, bool]
"""Flip rows, flip columns, then transpose."""

VIEWS: dict[Tta, tuple[View, ...]] = {
    "none": ((False, False, False),),
    "flip": tuple((down, right, False) for down in (False, True) for right in (False, True)),
    "d4": tuple((down, right, turn) for turn in (False, True) for down in (False, True) for right in (False, True)),
}
"""``d4`` is the whole symmetry group of the square."""


Undo = Callable[[Answer, View], Answer]
"""Turns the answer to a view of tiles back, so that it lies as the tiles do."""


def turned_back(array: npt.NDArray[np.float32], view: View) -> npt.NDArray[np.float32]:
    """Turn an array (..., y, x) over a view of a tile back, so that it lies as the tile does."""
    down, right, turn = view
    rows, cols = slice(None, None, -1 if down else None), slice(None, None, -1 if right else None)
    return (array.swapaxes(-1, -2) if turn else array)[..., rows, cols]


class ViewRuntime:
    """A runtime that shows its network one view of each tile and turns the answer back.

    Args:
        runtime: runs the view.
        view: which one.
        undo: turns an answer back.
    """

    def __init__(self, runtime: Runtime, view: View, undo: Undo) -> None:
        self._runtime = runtime
        self._view, self._undo = view, undo
        self.info = runtime.info

    @property
    def batch(self) -> int:
        """Tiles at once; the runtime may lower it."""
        return self._runtime.batch

    def run(self, tiles: npt.NDArray[np.float32]) -> Answer:
        """Run (tile, band, y, x) to answers as they lie in the scene."""
        down, right, turn = self._view
        flipped = tiles[..., :: -1 if down else 1, :: -1 if right else 1]
        return self._undo(
            self._runtime.run(np.ascontiguousarray(flipped.swapaxes(-1, -2) if turn else flipped)), self._view
        )


def views(runtime: Runtime, tta: Tta, undo: Undo) -> tuple[Runtime, ...]:
    """Give one runtime for each view; ``none`` leaves the runtime as it is."""
    return (runtime,) if tta == "none" else tuple(ViewRuntime(runtime, view, undo) for view in VIEWS[tta])
