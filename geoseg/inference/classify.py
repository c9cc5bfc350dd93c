"""Classification: the most probable class of each pixel and its probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from geoseg.core.legend import Legend
from geoseg.errors import ModelError

Probs = npt.NDArray[np.float32]
Part = tuple[slice, slice]
WHOLE: Final[Part] = (slice(None), slice(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifiedPixels:
    """Output arrays of the classification of a block.

    Attributes:
        valid: (y, x) bool: pixels that get a class.
        codes: (y, x) uint8, class codes.
        confidence: (y, x) uint8, probability of the class in percent.
    """

    valid: npt.NDArray[np.bool_]
    codes: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.uint8]


def classify(probs: Probs, legend: Legend, target: ClassifiedPixels, here: Part = WHOLE) -> None:
    """Write the class of every valid pixel of a part of a block, and its probability.

    Args:
        probs: (class, y, x) over the part.
        legend: codes of the classes.
        target: arrays that are written.
        here: the part, within the block.

    Raises:
        ModelError: a valid pixel has NaN or infinity.
    """
    channel, best = most_probable(probs)
    known = target.valid[here]
    whole = bool(known.all())
    if not np.isfinite(best.sum()) and not np.isfinite(best[known]).all():
        raise ModelError("the network answers NaN or infinity on this scene; its weights or arithmetic are broken.")
    codes_of = np.asarray(legend.codes, np.uint8)
    where: npt.NDArray[np.bool_] | Literal[True] = True if whole else known
    np.copyto(target.codes[here], codes_of[channel], where=where)
    np.copyto(target.confidence[here], as_percent(best if whole else np.where(known, best, 0)), where=where)


def most_probable(probs: Probs) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Return the most probable class index of (class, y, x), the first of equals; NaN in any class gives NaN.

    Returns:
        Class index (y, x) uint8 and its probability (y, x) float32.
    """
    if len(probs) == 1:
        return np.zeros(probs.shape[1:], np.uint8), np.array(probs[0], np.float32)
    channel = (probs[1] > probs[0]).view(np.uint8)
    best = np.maximum(probs[0], probs[1])
    for index in range(2, len(probs)):
        np.copyto(channel, np.uint8(index), where=probs[index] > best)
        np.maximum(best, probs[index], out=best)
    return channel, best


def as_percent(probability: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Round probabilities (0 to 1, up to rounding errors) to whole percent, uint8."""
    percent = probability * np.float32(100)
    np.rint(percent, out=percent)
    np.clip(percent, 0, 100, out=percent)
    return percent.astype(np.uint8)
