"""Verdicts on reference objects: right, joined, doubled, cut, lost or off.

An output covers an object if it has more than half of the object's pixels; it lies in an object if more than half of
its own pixels do. The verdict on an object is the first that holds:

* joined: an output that covers it covers another object too;
* doubled: two outputs or more cover it;
* right: an output has an intersection over union (IoU) of at least ``least_iou`` with it;
* cut: two outputs or more lie in it, or the output that has most of it lies in it and lacks a tenth of it or more;
* lost: no output covers it;
* off: anything else, such as an outline that is too wide.

Spare outputs are those that have the largest IoU with no object: leftover pieces and repetitions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

VERDICTS = ("right", "joined", "doubled", "cut", "lost", "off")


def verdicts(
    labels: npt.NDArray[np.int64], outputs: Sequence[npt.NDArray[np.int64]], least_iou: float
) -> tuple[npt.NDArray[np.str_], int]:
    """Judge the objects of a label image.

    Args:
        labels: (y, x) numbers of objects without gaps, 0 for none.
        outputs: of each output the numbers of its pixels, ``row * width + column``; outputs may overlap.
        least_iou: of an object that is right.

    Returns:
        The verdict on each object, in the order of numbers, and the count of spare outputs.
    """
    flat = labels.ravel()
    areas = np.bincount(flat)
    held = [np.bincount(flat[pixels], minlength=len(areas))[1:] for pixels in outputs]
    both = np.array(held, np.float64).reshape(len(outputs), len(areas) - 1)
    area, size = areas[1:].astype(np.float64), np.array([len(pixels) for pixels in outputs], np.float64)
    covers, lies_in = both > area / 2, both > size[:, None] / 2
    iou = both / (area + size[:, None] - both)
    found = []
    for at in range(len(area)):
        covering = np.flatnonzero(covers[:, at])
        best = int(both[:, at].argmax()) if len(outputs) else -1
        if (covers[covering].sum(axis=1) > 1).any():
            found.append("joined")
        elif len(covering) > 1:
            found.append("doubled")
        elif len(outputs) and iou[:, at].max() >= least_iou:
            found.append("right")
        elif lies_in[:, at].sum() > 1 or (len(covering) and lies_in[best, at] and both[best, at] <= 0.9 * area[at]):
            found.append("cut")
        else:
            found.append("off" if len(covering) else "lost")
    matched = {int(iou[:, at].argmax()) for at in range(len(area)) if len(outputs) and iou[:, at].max() > 0}
    return np.array(found, dtype="<U7"), len(outputs) - len(matched)
