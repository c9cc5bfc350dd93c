"""Suppression of repeated detections of one object in a tile, by intersection over union of masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from geoseg.core.choices import Suppression
from geoseg.core.window import Window

Mask = npt.NDArray[np.bool_]

_SIGMA = 0.5
"""Width of the Gaussian by which scores decay. Source: Bodla et al. 2017, Soft-NMS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """One detected object.

    Attributes:
        code: its class.
        score: 0 to 1.
        window: window that holds its mask.
        mask: (y, x) bool over ``window``.
    """

    code: int
    score: float
    window: Window
    mask: Mask

    @property
    def pixels(self) -> int:
        """Pixels of the mask."""
        return int(np.count_nonzero(self.mask))


def shared_pixels(one: Detection, other: Detection) -> int:
    """Count the pixels that two masks share."""
    a, b = one.window, other.window
    apart = a.row_stop <= b.row_start or b.row_stop <= a.row_start
    if apart or a.col_stop <= b.col_start or b.col_stop <= a.col_start:  # most pairs, told without an object more
        return 0
    common = a.intersection(b)
    return int(np.count_nonzero(one.mask[common.within(one.window)] & other.mask[common.within(other.window)]))


def suppress(detections: Sequence[Detection], method: Suppression, iou: float, least: float) -> list[Detection]:
    """Keep one detection of each object.

    Args:
        detections: detections of one tile.
        method: ``hard``: of detections of one class whose intersection over union is larger than ``iou`` the one with
            the highest score is kept; ``merge``: they are united under the highest score; ``soft``: every score decays
            with the overlap by better ones of its class (Soft-NMS, Gaussian), and ``iou`` only bounds what is kept.
        iou: intersection over union from which two detections are one object.
        least: detections below this score are left out.

    Returns:
        Detections by falling score.
    """
    left = sorted(detections, key=lambda one: -one.score)
    kept: list[Detection] = []
    while left:
        best, *rest = left
        if best.score < least:
            break
        overlaps = [_iou(best, other) for other in rest]
        same = [value > iou for value in overlaps]
        if method == "merge":
            best = _united([best, *(one for one, is_same in zip(rest, same, strict=True) if is_same)])
        kept.append(best)
        left = [one for one, is_same in zip(rest, same, strict=True) if not is_same]
        if method == "soft":
            decay = [np.exp(-(value**2) / _SIGMA) for value, is_same in zip(overlaps, same, strict=True) if not is_same]
            left = [replace(one, score=float(one.score * by)) for one, by in zip(left, decay, strict=True)]
            left.sort(key=lambda one: -one.score)
    return kept


def _iou(one: Detection, other: Detection) -> float:
    if one.code != other.code:
        return 0.0
    shared = shared_pixels(one, other)
    return shared / (one.pixels + other.pixels - shared) if shared else 0.0


def _united(detections: Sequence[Detection]) -> Detection:
    first = detections[0]
    window = first.window
    for other in detections[1:]:
        window = window.union(other.window)
    mask = np.zeros(window.shape, bool)
    for one in detections:
        mask[one.window.within(window)] |= one.mask
    return replace(first, window=window, mask=mask)
