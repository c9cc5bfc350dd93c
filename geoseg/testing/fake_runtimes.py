"""Runtimes whose answers are known without running a network."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage, special

from geoseg.runtimes.runtime import PROBABILITIES, Answer, RuntimeInfo

_MOST_BANDS = 8


class ConstantRuntime:
    """Answers the same probabilities everywhere.

    Args:
        probs: of each class.
        batch: tiles to be handed over at once.
    """

    info = RuntimeInfo(name="constant", device="cpu", precision="fp32", version="1")

    def __init__(self, probs: tuple[float, ...], batch: int = 1) -> None:
        self.batch = batch
        self._probs = np.asarray(probs, np.float32)

    def run(self, tiles: npt.NDArray[np.float32]) -> Answer:
        """See ``Runtime``."""
        shape = (len(tiles), len(self._probs), *tiles.shape[2:])
        return {PROBABILITIES: np.broadcast_to(self._probs[None, :, None, None], shape).copy()}


class FilterRuntime:
    """A local filter: class scores are windowed sums of the bands within ``radius``, reflected at the tile's edge.

    The sums are of small integers, so the arithmetic is exact in any order.

    Args:
        classes: number of classes.
        radius: pixels on each side that an answer depends on.
        batch: tiles to be handed over at once.

    Attributes:
        seen: the tiles that came, in order.
    """

    info = RuntimeInfo(name="filter", device="cpu", precision="fp32", version="1")

    def __init__(self, classes: int, radius: int, batch: int = 1) -> None:
        self.batch = batch
        self.classes, self.radius = classes, radius
        self.seen: list[npt.NDArray[np.float32]] = []
        random = np.random.default_rng(5)
        side = 2 * radius + 1
        self._kernels = random.integers(-3, 4, size=(classes, _MOST_BANDS, side, side)).astype(np.float64)

    def scores(self, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Filter (band, y, x) to scores (class, y, x)."""
        scores = np.zeros((self.classes, *pixels.shape[1:]))
        for label in range(self.classes):
            for band, plane in enumerate(pixels):
                scores[label] += ndimage.correlate(plane.astype(np.float64), self._kernels[label, band], mode="mirror")
        return scores

    def run(self, tiles: npt.NDArray[np.float32]) -> Answer:
        """See ``Runtime``."""
        self.seen.extend(tiles)
        answers = [special.softmax(self.scores(tile) / 64.0, axis=0) for tile in tiles]
        return {PROBABILITIES: np.stack(answers).astype(np.float32)}
