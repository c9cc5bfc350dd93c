"""The permutohedral lattice: a Gaussian over place and colour, in time linear in the pixels.

Adams, Baek and Davis, Fast High-Dimensional Filtering Using the Permutohedral Lattice, 2010. Pixels are points in
d dimensions, scaled so that the Gaussian has a standard deviation of 1. Each lies in a simplex of d + 1 lattice points,
among which its value is shared out (splat); values are blurred from lattice point to lattice point along the d + 1 axes
and gathered again (slice).

A lattice point has d + 1 integer coordinates that sum to 0 and leave the same remainder modulo d + 1. It is kept as one
integer: the remainder, then the quotients of all coordinates but the first. In the order of these integers the
neighbours of successive points of one remainder are successive points of the next, so that they are found, and later
read, in one go.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from geoseg.inference.crf.lattice_kernels import REMAINDER_AT, blur, meet, rename, slice_, splat, splat_points

Values = npt.NDArray[np.float32]

_MAX_BITS = 20


class Lattice:
    """The bilateral kernel among the pixels of a window.

    Args:
        pixels: (pixel) int64, indices into the flattened window of the pixels that take part.
        shape: (rows, columns) of the window.
        colour: (band, y, x) float32 over the window, up to 3 bands.
        xy_px, rgb: standard deviations of the Gaussian in place and colour.
        origin: (row, column) of the window's corner in the scene. The lattice lies still in the scene, so that a pair
            of pixels has nearly the same weight in every window.

    Raises:
        ValueError: place or colour spans too many standard deviations to be counted.
    """

    def __init__(
        self,
        pixels: npt.NDArray[np.int64],
        shape: tuple[int, int],
        colour: Values,
        xy_px: float,
        rgb: float,
        origin: tuple[int, int] = (0, 0),
    ) -> None:
        dims = len(colour) + 2
        # a blur along every axis spreads as a Gaussian of this standard deviation, in steps of the lattice
        steps = math.sqrt(2.0 / 3.0) * (dims + 1) / np.sqrt(np.arange(1.0, dims + 1) * np.arange(2.0, dims + 2))
        scale = steps / np.array([*[rgb] * len(colour), xy_px, xy_px])
        shift = _fraction_of_lattice(_elevated(np.array([*[0] * len(colour), *origin], np.float64) * scale))
        flat = np.ascontiguousarray(colour.reshape(len(colour), -1), np.float32)
        bits = min(_MAX_BITS, REMAINDER_AT // dims)
        self._points = np.empty((len(pixels), dims + 1), np.int32)
        self._shares = np.empty((len(pixels), dims + 1), np.float32)
        keys = splat_points(pixels, shape[1], flat, scale, shift, bits, self._points, self._shares)
        if not len(keys) and len(pixels):
            raise ValueError(
                f"colours or {shape[0]} x {shape[1]} px span too many standard deviations ({xy_px}, {rgb})"
            )
        order = np.argsort(keys)
        rename(self._points, np.argsort(order).astype(np.int32))
        self._neighbours = np.empty((dims + 1, 2, len(keys)), np.int32)
        meet(keys[order], bits, self._neighbours)

    @property
    def size(self) -> int:
        """Lattice points in use."""
        return self._neighbours.shape[2]

    def apply(self, values: Values) -> Values:
        """Sum ``values`` (pixel, channel) float32 over all pixels, weighted by the kernel up to one common factor.

        Where lattice points are missing the order of the axes matters: the mean of one order and its reverse is nearer
        to the Gaussian, and two pixels have the same weight for each other.
        """
        held = np.zeros((self.size + 1, values.shape[1]), np.float32)  # the last row is every missing neighbour: 0
        splat(self._points, self._shares, values, held)
        spread = self._blurred(held, self._neighbours)
        spread += self._blurred(held, self._neighbours[::-1])
        out = np.empty_like(values)
        slice_(self._points, self._shares, spread, out)
        return out

    def _blurred(self, held: Values, neighbours: npt.NDArray[np.int32]) -> Values:
        out, spare = np.zeros_like(held), np.zeros_like(held)
        for pair in neighbours:
            blur(pair, held, out)
            held, out, spare = out, spare, out
        return held


def _elevated(scaled: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Embed a scaled point in the hyperplane of points whose d + 1 coordinates sum to 0."""
    dims = len(scaled)
    out = np.empty(dims + 1)
    total = 0.0
    for axis in range(dims, 0, -1):
        out[axis] = total - axis * scaled[axis - 1]
        total += scaled[axis - 1]
    out[0] = total
    return out


def _fraction_of_lattice(point: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the point minus a lattice point near it: its position modulo the lattice."""
    whole = np.round(point / len(point))
    whole[0] -= whole.sum()
    fraction: npt.NDArray[np.float64] = point - whole * len(point)
    return fraction
