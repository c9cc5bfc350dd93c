"""Test-time augmentation: network outputs for flipped and transposed views of a tile, turned back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from geoseg.core.choices import Tta
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
"""Inverts a view in the output of a network, so that it is aligned with the tiles."""


def turned_back(array: npt.NDArray[np.float32], view: View) -> npt.NDArray[np.float32]:
    """Invert a view of an array (..., y, x), so that it is aligned with the tile."""
    down, right, turn = view
    rows, cols = slice(None, None, -1 if down else None), slice(None, None, -1 if right else None)
    return (array.swapaxes(-1, -2) if turn else array)[..., rows, cols]


class ViewRuntime:
    """Runtime that runs another one on one view of each tile and turns the output back.

    Args:
        runtime: runtime that is run on the view.
        view: the view.
        undo: inverts the view in an output.
    """

    def __init__(self, runtime: Runtime, view: View, undo: Undo) -> None:
        self._runtime = runtime
        self._view, self._undo = view, undo
        self.info = runtime.info

    @property
    def batch(self) -> int:
        """Tiles per batch; the runtime may lower it."""
        return self._runtime.batch

    def run(self, tiles: npt.NDArray[np.float32]) -> Answer:
        """Run tiles (tile, band, y, x) and return outputs aligned with the scene."""
        down, right, turn = self._view
        flipped = tiles[..., :: -1 if down else 1, :: -1 if right else 1]
        return self._undo(
            self._runtime.run(np.ascontiguousarray(flipped.swapaxes(-1, -2) if turn else flipped)), self._view
        )


def views(runtime: Runtime, tta: Tta, undo: Undo) -> tuple[Runtime, ...]:
    """Return one runtime per view; with ``none`` the runtime itself.

    Args:
        runtime: runs the network.
        tta: set of views.
        undo: inverts a view in an output of the network.
    """
    return (runtime,) if tta == "none" else tuple(ViewRuntime(runtime, view, undo) for view in VIEWS[tta])
