"""Refine the probabilities of a window by its colours."""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from geoseg.core.crf_spec import CrfSpec
from geoseg.inference.crf.exact import Pairs
from geoseg.inference.crf.lattice import Lattice
from geoseg.inference.crf.mean_field import Messages, PairKernel, mean_field
from geoseg.inference.crf.plane import Plane
from geoseg.inference.prepare import HasColour
from geoseg.inference.tasks.task import Refine

Values = npt.NDArray[np.float32]

_LEAST = 1e-8
"""Lower bound of probabilities; its logarithm is so low that all messages together cannot outweigh it."""


def refine(
    probs: Values,
    colour: Values,
    valid: npt.NDArray[np.bool_],
    spec: CrfSpec,
    *,
    origin: tuple[int, int] = (0, 0),
    exact: bool = False,
) -> Values:
    """Run mean-field inference over one window.

    Args:
        probs: (class, y, x) float32 in [0, 1], sums to 1 over class.
        colour: (band, y, x) float32, 0 to 255, up to 3 bands.
        valid: (y, x) bool; other pixels are excluded from the CRF.
        spec: the CRF.
        origin: (row, column) of the window's corner in the scene.
        exact: sum over every pair of pixels instead of the lattice; small windows only.

    Returns:
        (class, y, x) float32: marginals where valid, ``probs`` elsewhere. A single class is unchanged.

    Raises:
        ValueError: the window is too large for ``exact``.

    Examples:
        >>> half, grey = np.full((2, 4, 4), 0.5, np.float32), np.zeros((3, 4, 4), np.float32)
        >>> refine(half, grey, np.ones((4, 4), bool), CrfSpec(weight=1, xy_px=3, rgb=9))[0, 0, 0]
        np.float32(0.5)
    """
    classes = len(probs)
    pixels = np.flatnonzero(valid)
    if classes == 1 or not len(pixels):
        return probs
    own = np.log(np.maximum(probs.reshape(classes, -1)[:, pixels].T, np.float32(_LEAST)), order="C")
    kernels = (_exact if exact else _fast)(pixels, colour, spec, origin)
    terms = [Messages(pairs, weight, spec.normalise, len(pixels)) for weight, pairs in kernels]
    out = probs.copy()
    out.reshape(classes, -1)[:, pixels] = mean_field(own, terms, spec.iterations).T
    return out


def refiner(spec: CrfSpec) -> Refine:
    """Return the refinement of the probabilities of a block: a CRF over its pixels."""
    return partial(_refine_block, spec)


def _refine_block(spec: CrfSpec, probs: Values, source: HasColour) -> Values:
    assert source.colour is not None  # noqa: S101 - a plan with a CRF asks for colours
    corner = source.block.window.row_start, source.block.window.col_start
    return refine(probs, source.colour, source.valid, spec, origin=corner)


def _fast(
    pixels: npt.NDArray[np.int64], colour: Values, spec: CrfSpec, origin: tuple[int, int]
) -> list[tuple[float, PairKernel]]:
    shape = (colour.shape[1], colour.shape[2])
    kernels: list[tuple[float, PairKernel]] = []
    if spec.weight:
        kernels.append((spec.weight, Lattice(pixels, shape, colour, spec.xy_px, spec.rgb, origin)))
    if spec.smooth_weight:
        kernels.append((spec.smooth_weight, Plane(pixels, shape, spec.smooth_xy_px)))
    return kernels


def _exact(
    pixels: npt.NDArray[np.int64], colour: Values, spec: CrfSpec, _origin: tuple[int, int]
) -> list[tuple[float, PairKernel]]:
    place = np.stack(np.unravel_index(pixels, colour.shape[1:]), axis=1).astype(np.float64)
    seen = colour.reshape(len(colour), -1)[:, pixels].T.astype(np.float64)
    both = np.concatenate([place / spec.xy_px, seen / spec.rgb], axis=1)
    kernels: list[tuple[float, PairKernel]] = []
    if spec.weight:
        kernels.append((spec.weight, Pairs(both)))
    if spec.smooth_weight:
        kernels.append((spec.smooth_weight, Pairs(place / spec.smooth_xy_px)))
    return kernels
