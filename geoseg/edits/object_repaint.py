"""Repainting with a class of objects, where every pixel of it belongs to an object: areas join one, or become one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from geoseg.core.window import Window
from geoseg.edits.finished_map import FinishedMap
from geoseg.edits.label_masks import LabelMasks
from geoseg.edits.object_edits import ObjectTask, Resolved, object_task
from geoseg.edits.object_masks import Surroundings
from geoseg.edits.polygon_area import polygon_area
from geoseg.errors import UsageError
from geoseg.io.edits.areas import burn, in_pixels, window_of
from geoseg.io.edits.edit import Edit, EditLog, Paint

Bools = npt.NDArray[np.bool_]
I32 = npt.NDArray[np.int32]
_SIDES = ndimage.generate_binary_structure(2, 1)
_BESIDE = (
    ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
    ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
    ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
)
"""Indices of the pixels that have a neighbour above, below, to the left and to the right, and of these neighbours."""


def resolve_object_repaint(finished: FinishedMap, log: EditLog, edit: Edit) -> Resolved:
    """Return the objects that an area becomes part of.

    Pixels that objects of the class have already stay theirs. Each connected region of the others joins the object of
    the class with which it shares the longest border, of several the one with the lowest label; without any it becomes
    an object.

    Raises:
        UsageError: nothing changes.
    """
    area_px = in_pixels(polygon_area(finished, edit), finished.grid)
    with object_task(finished, log, edit) as task:
        around = task.masks.around(window_of(area_px, task.planes.shape))
        own = (around.labels > 0) & (around.codes == edit.class_code)
        regions, count = ndimage.label(burn(area_px, around.window) & around.valid & ~own, _SIDES)
        if not count:
            raise UsageError("repaint: every pixel inside is of such an object already, or outside of the map.")
        joined = _longest_borders(regions, np.where(own, around.labels, 0), count)
        paints, number = list[Paint](), log.next_number
        for label in np.unique(joined).tolist():
            new = np.isin(regions, np.flatnonzero(joined == label) + 1)
            for window, inside in _objects(task, around, new, label):
                paints.append(Paint(area=task.area(inside, window), code=edit.class_code, number=number))
                number += 1
    return tuple(paints), number


def _objects(task: ObjectTask, around: Surroundings, new: Bools, label: int) -> list[tuple[Window, Bools]]:
    """Put pixels to those of an object; for label 0 each region of them is one."""
    if label == 0:
        regions, count = ndimage.label(new, _SIDES)
        return [(around.window, regions == region) for region in range(1, count + 1)]
    assert isinstance(task.masks, LabelMasks)  # noqa: S101 - on other maps painted pixels belong to no object by hand
    mask = task.masks.of_label(label)
    window = mask.window.union(around.window)
    inside = np.zeros(window.shape, np.bool_)
    inside[mask.window.within(window)] |= mask.inside
    inside[around.window.within(window)] |= new
    return [(window, inside)]


def _longest_borders(regions: I32, labels: I32, count: int) -> I32:
    """Return the label that each region, counted from 1, touches most; 0: none."""
    pairs = [
        np.stack([regions[at], labels[beside]])[:, (regions[at] > 0) & (labels[beside] > 0)] for at, beside in _BESIDE
    ]
    found, length = np.unique(np.concatenate(pairs, axis=1), axis=1, return_counts=True)
    best = np.zeros(count, np.int32)
    order = np.lexsort((-found[1], length))  # the longest last, of equal ones that of the lowest label
    best[found[0, order] - 1] = found[1, order]
    return best
