"""Simulated clicks: where somebody who wants an object would click next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from geoseg.interactive.clicks import Click

Mask = npt.NDArray[np.bool_]
Truth = npt.NDArray[np.int8]
"""(y, x): 1 on the object, 0 on the rest, ``IGNORED`` where nothing is known."""

IGNORED = -1


def next_click(truth: Truth, answer: Mask, clicks: Sequence[Click] = ()) -> Click:
    """Click at the middle of the largest error, as the authors' evaluation does.

    The middle is the pixel that is farthest from what is right; missed ground wins over wrong ground if it is deeper.
    Pixels that were clicked before are left out.

    Args:
        truth: (y, x) of the object.
        answer: (y, x) of the last answer.
        clicks: those so far.
    """
    known = truth != IGNORED
    missed, wrong = (truth == 1) & ~answer & known, (truth != 1) & answer & known
    depth = [ndimage.distance_transform_edt(np.pad(error, 1))[1:-1, 1:-1] for error in (missed, wrong)]
    for click in clicks:
        for plane in depth:
            plane[int(click.row), int(click.col)] = 0
    positive = bool(depth[0].max() > depth[1].max())
    plane = depth[0] if positive else depth[1]
    row, col = np.unravel_index(int(plane.argmax()), plane.shape)
    return Click(float(row), float(col), positive)


def overlap(truth: Truth, answer: Mask) -> float:
    """Intersection over union of an answer and the object; unknown pixels are left out."""
    known, wanted = truth != IGNORED, truth == 1
    union = ((answer | wanted) & known).sum()
    return float((answer & wanted & known).sum() / union) if union else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickSampling:
    """Settings of the clicks that a training draws at random (Sofiiuk et al. 2020; Mahadevan et al. 2018).

    Attributes:
        most: most clicks of each kind.
        falling: probability of n + 1 clicks over that of n.
        eroded: probability that positive clicks keep away from the edge,
        eroded_px: by this much.
        anywhere, others, border: shares of the places of negative clicks: anywhere off the object, on other objects,
            and close to the object's edge.
    """

    most: int = 10
    falling: float = 0.7
    eroded: float = 0.9
    eroded_px: int = 3
    anywhere: float = 0.1
    others: float = 0.4
    border: float = 0.5


def random_clicks(truth: Truth, others: Mask, sampling: ClickSampling, rng: np.random.Generator) -> list[Click]:
    """Draw the first clicks on an object and off it.

    Args:
        truth: (y, x) of the object, not empty.
        others: (y, x) of other objects.
        sampling: settings.
        rng: the only source of randomness.
    """
    wanted = truth == 1
    inside = wanted
    if rng.random() < sampling.eroded:
        smaller = ndimage.binary_erosion(wanted, iterations=sampling.eroded_px)
        inside = smaller if smaller.sum() > 10 else wanted
    off = ~wanted & (truth != IGNORED)
    kind = int(rng.choice(3, p=[sampling.anywhere, sampling.others, sampling.border]))
    if kind == 1 and (others & off).any():
        off = others & off
    elif kind == 2:
        near = ndimage.binary_dilation(wanted, iterations=max(1, int(np.ceil(0.1 * np.sqrt(wanted.sum()))))) & off
        off = near if near.any() else off
    count = 1 + _count(sampling.most - 1, sampling.falling, rng)
    clicks = [Click(row, col) for row, col in _places(inside, count, rng)]
    return clicks + [Click(r, c, False) for r, c in _places(off, _count(sampling.most, sampling.falling, rng), rng)]


def correcting_click(truth: Truth, answer: Mask, rng: np.random.Generator) -> Click | None:
    """Draw a click inside the largest error of an answer, half as far from its edge as its middle or farther.

    Args:
        truth: (y, x) of the object.
        answer: (y, x) of an answer to earlier clicks.
        rng: the only source of randomness.

    Returns:
        The click; None where nothing is wrong.
    """
    known = truth != IGNORED
    missed, wrong = (truth == 1) & ~answer & known, (truth != 1) & answer & known
    depth = [ndimage.distance_transform_edt(np.pad(error, 1))[1:-1, 1:-1] for error in (missed, wrong)]
    positive = bool(depth[0].max() > depth[1].max())
    plane = depth[0] if positive else depth[1]
    if plane.max() == 0:
        return None
    ((row, col),) = _places(plane >= 0.5 * plane.max(), 1, rng)
    return Click(row, col, positive)


def _count(most: int, falling: float, rng: np.random.Generator) -> int:
    shares = falling ** np.arange(most + 1)
    return int(rng.choice(most + 1, p=shares / shares.sum()))


def _places(mask: Mask, count: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    found = np.argwhere(mask)
    if not len(found):
        return []
    return [(float(row), float(col)) for row, col in found[rng.integers(len(found), size=count)]]
