"""Runtimes whose answers are known without running a network."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage, special

from geoseg.runtimes.runtime import PROBABILITIES, Answer, RuntimeInfo


class ConstantRuntime:
    """Answers the same probabilities everywhere."""

    info = RuntimeInfo(name="constant", device="cpu", precision="fp32", version="1")

    def __init__(self, probs: tuple[float, ...], batch: int = 1) -> None:
        self.batch = batch
        self._probs = np.asarray(probs, np.float32)

    def run(self, tiles: npt.NDArray[np.float32]) -> Answer:
        shape = (len(tiles), len(self._probs), *tiles.shape[2:])
        return {PROBABILITIES: np.broadcast_to(self._probs[None, :, None, None], shape).copy()}


class FilterRuntime:
    """A local filter: class scores are windowed sums of the bands within ``radius``, reflected at the tile's edge.

    The sums are of small integers, so the arithmetic is exact in any order.
    """

    info = RuntimeInfo(name="filter", device="cpu", precision="fp32", version="1")

    def __init__(self, classes: int, radius: int, batch: int = 1) -> None:
        self.batch = batch
        self.classes, self.radius = classes, radius
        self.seen: list[npt.NDArray[np.float32]] = []
        random = np.random.default_rng(5)
        side = 2 * radius + 1
        self._kernels = random.integers(-3, 4, size=(classes, 8, side, side)).astype(np.float64)

    def scores(self, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """(band, y, x) to (class, y, x)."""
        return np.stack(
            [
                sum(
                    ndimage.correlate(pixels[b].astype(np.float64), self._kernels[c, b], mode="mirror")
                    for b in range(len(pixels))
                )
                for c in range(self.classes)
            ]
        )

    def run(self, tiles: npt.NDArray[np.float32]) -> Answer:
        self.seen.extend(tiles)
        answers = [special.softmax(self.scores(tile) / 64.0, axis=0) for tile in tiles]
        return {PROBABILITIES: np.stack(answers).astype(np.float32)}
