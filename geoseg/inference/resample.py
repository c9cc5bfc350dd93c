"""Resampling between the scene's grid and the grid the network sees; both cover exactly the same ground.

A triangle filter, widened when shrinking so that no pixel is skipped (bilinear with antialiasing). A pixel's value
depends on its position in the scene alone, never on the window it is read in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from geoseg.core.window import Margin, Window

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _AxisFilter:
    """Filter from ``n_in`` pixels to ``n_out`` pixels over the same ground length."""

    n_in: int
    n_out: int

    @property
    def factor(self) -> float:
        return self.n_in / self.n_out

    @property
    def radius(self) -> float:
        return max(1.0, self.factor)

    def source(self, start: int, stop: int, limits: tuple[int, int]) -> tuple[int, int]:
        """Input pixels inside ``limits`` that output pixels [start, stop) depend on."""
        first = int(np.floor((start + 0.5) * self.factor - 0.5 - self.radius)) + 1
        last = int(np.ceil((stop - 0.5) * self.factor - 0.5 + self.radius))
        return max(limits[0], first), min(limits[1], max(last, first + 1))

    def matrix(self, start: int, stop: int, limits: tuple[int, int]) -> sparse.csr_array:
        """Weights (output [start, stop), input ``limits``), not normalised; pixels outside ``limits`` are left out."""
        centre = (np.arange(start, stop) + 0.5) * self.factor - 0.5
        taps = int(np.ceil(2 * self.radius)) + 1
        index = np.floor(centre - self.radius).astype(np.int64)[:, None] + np.arange(taps)
        weight = np.maximum(0.0, 1.0 - np.abs(index - centre[:, None]) / self.radius)
        inside = (index >= limits[0]) & (index < limits[1]) & (weight > 0)
        rows = np.broadcast_to(np.arange(stop - start)[:, None], index.shape)[inside]
        shape = (stop - start, limits[1] - limits[0])
        return sparse.csr_array((weight[inside].astype(np.float32), (rows, index[inside] - limits[0])), shape=shape)


@dataclass(frozen=True, slots=True)
class Resampling:
    """Resampling from one grid to another over the same ground.

    Args:
        shape_in: (rows, columns) of the whole input grid.
        shape_out: (rows, columns) of the whole output grid.
    """

    shape_in: tuple[int, int]
    shape_out: tuple[int, int]

    @property
    def _axes(self) -> tuple[_AxisFilter, _AxisFilter]:
        return (
            _AxisFilter(self.shape_in[0], self.shape_out[0]),
            _AxisFilter(self.shape_in[1], self.shape_out[1]),
        )

    def source(self, window: Window, readable: Window | None = None) -> Window:
        """Return the input pixels that an output window depends on.

        Args:
            window: window of the output grid.
            readable: window of the input grid that has pixels; None: the whole grid, without a margin.
        """
        rows, cols = self._axes
        limits = Window.whole(self.shape_in) if readable is None else readable
        return Window(
            *rows.source(window.row_start, window.row_stop, (limits.row_start, limits.row_stop)),
            *cols.source(window.col_start, window.col_stop, (limits.col_start, limits.col_stop)),
        )

    def covering(self, margin: Margin) -> Margin:
        """Return the margin of the input grid that a margin of the output grid is made from."""
        rows, cols = self._axes
        top, bottom = (math.ceil(side * rows.factor + rows.radius) if side else 0 for side in margin.sides[:2])
        left, right = (math.ceil(side * cols.factor + cols.radius) if side else 0 for side in margin.sides[2:])
        return Margin(top=top, bottom=bottom, left=left, right=right)

    def apply(self, values: Array, window_in: Window, window_out: Window) -> Array:
        """Resample an array.

        Args:
            values: (..., y, x) over ``window_in`` of the input grid.
            window_in: window of ``values`` on the input grid; pixels outside it count as missing.
            window_out: requested window of the output grid.

        Returns:
            (..., y, x) float32 over ``window_out``: weighted means of the pixels present.
        """
        rows, cols = self._axes
        down = rows.matrix(window_out.row_start, window_out.row_stop, (window_in.row_start, window_in.row_stop))
        right = cols.matrix(window_out.col_start, window_out.col_stop, (window_in.col_start, window_in.col_stop))
        down = sparse.diags_array(1.0 / np.maximum(down.sum(axis=1), 1e-12).astype(np.float32)) @ down
        right = sparse.diags_array(1.0 / np.maximum(right.sum(axis=1), 1e-12).astype(np.float32)) @ right
        planes = values.reshape(-1, *window_in.shape).astype(np.float32, copy=False)
        out = np.empty((len(planes), *window_out.shape), np.float32)
        for plane, target in zip(planes, out, strict=True):
            target[...] = (right @ (down @ plane).T).T
        return out.reshape(*values.shape[:-2], *window_out.shape)

    def apply_valid(
        self, values: Array, valid: npt.NDArray[np.bool_], window_in: Window, window_out: Window
    ) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Resample from valid pixels only; an output pixel is valid if at least half of its weight is.

        Args:
            values: (..., y, x) over ``window_in``.
            valid: (y, x) bool over ``window_in``.
            window_in: window of the input grid.
            window_out: requested window of the output grid.

        Returns:
            (..., y, x) float32 and (y, x) bool over ``window_out``.
        """
        share = self.apply(valid.astype(np.float32), window_in, window_out)
        mixed = self.apply(np.where(valid, values, np.float32(0)), window_in, window_out)
        good = share >= 0.5
        return np.where(good, mixed / np.maximum(share, 1e-6), np.float32(0)).astype(np.float32), good
