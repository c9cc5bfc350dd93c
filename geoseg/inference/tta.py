"""Test-time augmentation: a network's answers to flipped and turned views of a tile, turned back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geoseg.core.spec import Tta
from geoseg.runtimes.runtime import Runtime

Tiles = npt.NDArray[np.float32]
View = tuple[bool, bool, bool]
"""Flip rows, flip columns, then transpose."""

VIEWS: dict[Tta, tuple[View, ...]] = {
    "none": ((False, False, False),),
    "flip": tuple((down, right, False) for down in (False, True) for right in (False, True)),
    "d4": tuple((down, right, turn) for turn in (False, True) for down in (False, True) for right in (False, True)),
}
"""``d4`` is the whole symmetry group of the square."""


class ViewRuntime:
    """A runtime that shows its network one view of each tile and turns the answer back.

    Args:
        runtime: runs the view.
        view: which one.
    """

    def __init__(self, runtime: Runtime, view: View) -> None:
        self._runtime = runtime
        self._view = view
        self.info = runtime.info

    @property
    def batch(self) -> int:
        """Tiles at once; the runtime may lower it."""
        return self._runtime.batch

    def probs(self, tiles: Tiles) -> Tiles:
        """Run (tile, band, y, x) to probabilities (tile, class, y, x), both as they lie in the scene."""
        down, right, turn = self._view
        rows, cols = slice(None, None, -1 if down else None), slice(None, None, -1 if right else None)
        flipped = tiles[..., rows, cols]
        answer = self._runtime.probs(np.ascontiguousarray(flipped.swapaxes(-1, -2) if turn else flipped))
        return (answer.swapaxes(-1, -2) if turn else answer)[..., rows, cols]


def views(runtime: Runtime, tta: Tta) -> tuple[Runtime, ...]:
    """Give one runtime for each view; ``none`` leaves the runtime as it is."""
    return (runtime,) if tta == "none" else tuple(ViewRuntime(runtime, view) for view in VIEWS[tta])
