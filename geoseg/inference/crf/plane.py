"""A Gaussian over place alone, exact: rows first, then columns."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from geoseg.vector.kernel import kernel

Values = npt.NDArray[np.float32]

_REACH = 5.0
"""Standard deviations after which a weight (4e-6 of the middle one) is taken as 0."""


class Plane:
    """The smoothness kernel among the pixels of a window.

    Args:
        pixels: (pixel) int64, indices into the flattened window of the pixels that take part.
        shape: (rows, columns) of the window.
        xy_px: standard deviation of the Gaussian.
    """

    def __init__(self, pixels: npt.NDArray[np.int64], shape: tuple[int, int], xy_px: float) -> None:
        radius = math.ceil(_REACH * xy_px)
        self._pixels, self._shape = pixels, shape
        self._taps = np.exp(-0.5 * (np.arange(radius + 1) / xy_px) ** 2).astype(np.float32)

    def apply(self, values: Values) -> Values:
        """Sum ``values`` (pixel, channel) float32 over all pixels, weighted by the kernel."""
        out = np.empty_like(values)
        grid, half = np.zeros(self._shape, np.float32), np.empty(self._shape, np.float32)
        for channel in range(values.shape[1]):
            grid.reshape(-1)[self._pixels] = values[:, channel]
            _down(grid, self._taps, half)
            _across(half, self._taps, grid)
            out[:, channel] = grid.reshape(-1)[self._pixels]
            grid[:] = 0.0
        return out


@kernel
def _down(grid: Values, taps: Values, out: Values) -> None:
    rows, cols = grid.shape
    for row in range(rows):
        for col in range(cols):
            out[row, col] = grid[row, col] * taps[0]
        for step in range(1, len(taps)):
            for other in (row - step, row + step):
                if 0 <= other < rows:
                    for col in range(cols):
                        out[row, col] += grid[other, col] * taps[step]


@kernel
def _across(grid: Values, taps: Values, out: Values) -> None:
    rows, cols = grid.shape
    for row in range(rows):
        for col in range(cols):
            out[row, col] = grid[row, col] * taps[0]
        for step in range(1, min(len(taps), cols)):
            for col in range(cols - step):
                out[row, col] += grid[row, col + step] * taps[step]
            for col in range(step, cols):
                out[row, col] += grid[row, col - step] * taps[step]
