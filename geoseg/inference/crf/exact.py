"""Exact kernel sums over every pair of pixels: the reference for the fast kernels, for small tiles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float32]

MAX_PIXELS = 5_000
"""The weights of all pairs take 8 bytes each."""


class Pairs:
    """A Gaussian kernel among points, summed over every pair.

    Args:
        points: (pixel, dimension), in standard deviations.

    Raises:
        ValueError: there are too many.
    """

    def __init__(self, points: npt.NDArray[np.float64]) -> None:
        if len(points) > MAX_PIXELS:
            raise ValueError(f"{len(points)} pixels have too many pairs; {MAX_PIXELS} is the most")
        points = points.astype(np.float64)
        squared = np.zeros((len(points), len(points)))
        for axis in range(points.shape[1]):
            squared += np.subtract.outer(points[:, axis], points[:, axis]) ** 2
        self._weights = np.exp(-0.5 * squared)

    def apply(self, values: Values) -> Values:
        """Sum ``values`` (pixel, channel) over all pixels, weighted by the kernel."""
        return np.asarray(self._weights @ values, np.float32)
