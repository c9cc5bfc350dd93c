"""Test-time augmentation: the mean answer over flipped and turned views of a tile."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from geoseg.core.spec import Tta
from geoseg.engine.runtime import Runtime

Tiles = npt.NDArray[np.float32]

VIEWS: dict[Tta, tuple[tuple[bool, bool, bool], ...]] = {
    "none": ((False, False, False),),
    "flip": tuple((down, right, False) for down in (False, True) for right in (False, True)),
    "d4": tuple((down, right, turn) for turn in (False, True) for down in (False, True) for right in (False, True)),
}
"""(flip rows, flip columns, then transpose): ``d4`` is the whole symmetry group of the square."""


class AugmentedRuntime:
    """A runtime that answers with the mean over views of each tile.

    Args:
        runtime: runs every view.
        tta: ``flip`` (4 views) or ``d4`` (8 views).
    """

    def __init__(self, runtime: Runtime, tta: Tta) -> None:
        self._runtime = runtime
        self._views: Sequence[tuple[bool, bool, bool]] = VIEWS[tta]
        self.name, self.device = runtime.name, runtime.device
        self.precision, self.version = runtime.precision, runtime.version

    @property
    def batch(self) -> int:
        """Tiles at once; the runtime may lower it."""
        return self._runtime.batch

    def probs(self, tiles: Tiles) -> Tiles:
        """Run (tile, band, y, x) to the mean probabilities (tile, class, y, x) of all views."""
        total: Tiles | None = None
        for view in self._views:
            there, back = _view(*view)
            answer = back(self._runtime.probs(np.ascontiguousarray(there(tiles))))
            total = answer.astype(np.float32, copy=True) if total is None else total + answer
        assert total is not None  # noqa: S101 - every entry of VIEWS has a view
        return total / np.float32(len(self._views))


def augmented(runtime: Runtime, tta: Tta) -> Runtime:
    """Wrap a runtime for test-time augmentation; ``none`` leaves it as it is."""
    return runtime if tta == "none" else AugmentedRuntime(runtime, tta)


def _view(down: bool, right: bool, turn: bool) -> tuple[Callable[[Tiles], Tiles], Callable[[Tiles], Tiles]]:
    """A symmetry of the square and its inverse."""
    rows, cols = slice(None, None, -1 if down else None), slice(None, None, -1 if right else None)

    def there(tiles: Tiles) -> Tiles:
        flipped = tiles[..., rows, cols]
        return flipped.swapaxes(-1, -2) if turn else flipped

    def back(tiles: Tiles) -> Tiles:
        return (tiles.swapaxes(-1, -2) if turn else tiles)[..., rows, cols]

    return there, back
