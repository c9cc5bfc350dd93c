"""Edits of objects in a class map: what they paint, so that the objects around them keep their outlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from scipy import ndimage
from shapely.geometry.base import BaseGeometry
from shapely.ops import split

from geoseg.core.window import Window
from geoseg.edits.finished_map import FinishedMap
from geoseg.edits.object_masks import Mask, ObjectMasks, Surroundings
from geoseg.edits.planes import EditedPlanes
from geoseg.edits.polygon_area import polygon_area
from geoseg.errors import UsageError
from geoseg.io.edits.areas import burn, in_pixels, in_world, outline, window_of
from geoseg.io.edits.edit import AUTOMATIC, Edit, EditLog, Paint, paints_of

Bools = npt.NDArray[np.bool_]
Resolved = tuple[tuple[Paint, ...], int]
_SIDES = ndimage.generate_binary_structure(2, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectTask:
    """One edit of objects.

    Attributes:
        finished: the map.
        planes: its planes with the edits before this one.
        masks: its objects.
        edit: the edit.
        next_number: the next free number of an object by hand.
    """

    finished: FinishedMap
    planes: EditedPlanes
    masks: ObjectMasks
    edit: Edit
    next_number: int

    def area(self, inside: Bools, window: Window) -> BaseGeometry:
        """Draw pixels as polygons in map coordinates."""
        return in_world(outline(inside, window), self.finished.grid)

    def fill(self, mask: Mask) -> int:
        """Choose the class of pixels that an object leaves: the edit's, the background, or the one around it.

        Raises:
            UsageError: only pixels without a class are around it.
        """
        legend = self.finished.legend
        if self.edit.class_code is not None:
            return self.edit.class_code
        if legend.background is not None:
            return legend.background
        near = mask.window.expanded(1).intersection(Window.whole(self.planes.shape))
        inside = np.zeros(near.shape, np.bool_)
        inside[mask.window.within(near)] = mask.inside
        codes = self.planes.edited(near).codes
        ring = codes[ndimage.binary_dilation(inside, _SIDES) & ~inside]
        counts = np.bincount(ring, minlength=256)
        counts[[mask.code, legend.nodata]] = 0
        if not counts.any():
            raise UsageError(f"{self.edit.kind}: no other class is around the object. Give the class of its pixels.")
        return int(counts.argmax())

    def kept(self, around: Surroundings, changed: Bools, named: Sequence[int], number: int) -> Resolved:
        """Make the objects that are connected to a change keep their outlines.

        Args:
            around: objects around the change.
            changed: (y, x) pixels that change.
            named: numbers of the objects that are edited themselves.
            number: the next free number.
        """
        paints = []
        for label in around.connected(changed):
            rest = (around.labels == label) & ~changed
            if label in named or not rest.any():
                continue
            paints.append(Paint(area=self.area(rest, around.window), code=None, number=number, kept=True))
            number += 1
        return tuple(paints), number


def resolve_objects(finished: FinishedMap, log: EditLog, edit: Edit) -> Resolved:
    """Return the areas that an edit of objects paints.

    Raises:
        UsageError: the map has no objects, or the edit makes no sense on it.
    """
    if edit.kind == "add_object" and finished.options.get("objects") is None:
        return (Paint(area=polygon_area(finished, edit), code=edit.class_code),), log.next_number
    with EditedPlanes(finished, paints_of(log.active)) as planes:
        masks = ObjectMasks(finished, planes)
        task = ObjectTask(finished=finished, planes=planes, masks=masks, edit=edit, next_number=log.next_number)
        return {
            "add_object": _add,
            "reshape_object": _reshape,
            "delete_object": _delete,
            "split_object": _split,
            "merge_objects": _merge,
            "set_class": _set_class,
        }[edit.kind](task)


def _add(task: ObjectTask) -> Resolved:
    _refuse_uncounted(task)
    return _draw(task, polygon_area(task.finished, task.edit), None)


def _reshape(task: ObjectTask) -> Resolved:
    return _draw(task, polygon_area(task.finished, task.edit), task.edit.ids[0])


def _draw(task: ObjectTask, area: BaseGeometry, ident: int | None) -> Resolved:
    """Draw the outline of a new object, or of one that is there."""
    area_px = in_pixels(area, task.finished.grid)
    core = window_of(area_px, task.planes.shape)
    old = None if ident is None else task.masks.named(ident)[0]
    if old is not None:
        core = core.union(_box(old))
    around = task.masks.around(core)
    codes = around.codes
    inside = burn(area_px, around.window) & (codes != task.finished.legend.nodata)
    if not inside.any():
        raise UsageError(f"{task.edit.kind}: no pixel of the map has its centre inside of the outline.")
    before = np.zeros(around.window.shape, np.bool_)
    paints: tuple[Paint, ...] = ()
    code = task.edit.class_code
    if old is not None:
        before[old.window.intersection(around.window).within(around.window)] = old.inside[
            around.window.intersection(old.window).within(old.window)
        ]
        code = old.code
        left = before & ~inside
        if left.any():
            fill = task.fill(old)
            paints = (Paint(area=task.area(left, around.window), code=fill),)
    number = task.next_number
    named = np.unique(around.labels[before]).tolist()
    kept, after = task.kept(around, inside | before, named, number + 1)
    drawn = Paint(area=task.area(inside, around.window), code=code, number=number)
    return (*kept, *paints, drawn), after


def _delete(task: ObjectTask) -> Resolved:
    paints: tuple[Paint, ...] = ()
    number = task.next_number
    for ident in task.edit.ids:
        mask, around, label = task.masks.named(ident)
        kept, number = task.kept(around, mask.inside, [label], number)
        area = task.area(mask.inside, mask.window)
        paints = (*paints, *kept, Paint(area=area, code=task.fill(mask)))
    return _deleted_last(paints), number


def _split(task: ObjectTask) -> Resolved:
    mask, around, label = task.masks.named(task.edit.ids[0])
    parts = _parts(task, mask)
    kept, number = task.kept(around, mask.inside, [label], task.next_number)
    drawn = []
    for part in parts:
        drawn.append(Paint(area=task.area(part, mask.window), code=None, number=number))
        number += 1
    return (*kept, *drawn), number


def _parts(task: ObjectTask, mask: Mask) -> list[Bools]:
    """Part the pixels of an object along a line."""
    assert task.edit.geometry is not None  # noqa: S101 - Edit checks it
    pieces = [outline(mask.inside, mask.window)]
    for line in shapely.get_parts(in_pixels(task.edit.geometry, task.finished.grid)):
        pieces = [part for piece in pieces for part in _halves(piece, line)]
    masks = [burn(piece, mask.window) & mask.inside for piece in pieces]
    rest = mask.inside.copy()
    parts = []
    for one in masks:
        if (one & rest).any():
            parts.append(one & rest)
            rest &= ~one
    if len(parts) < 2:
        raise UsageError(f"split_object: the line does not part object {task.edit.ids[0]}: draw it right across.")
    parts[0] = parts[0] | rest
    return parts


def _halves(piece: BaseGeometry, line: BaseGeometry) -> list[BaseGeometry]:
    return [part for one in shapely.get_parts(piece) for part in split(one, line).geoms]


def _merge(task: ObjectTask) -> Resolved:
    named = [task.masks.named(ident) for ident in task.edit.ids]
    first = named[0][0]
    core = _box(first)
    for mask, _, _ in named[1:]:
        core = core.union(_box(mask))
    around = task.masks.around(core)
    whole = np.zeros(around.window.shape, np.bool_)
    for mask, _, _ in named:
        part = mask.window.intersection(around.window)
        whole[part.within(around.window)] |= mask.inside[part.within(mask.window)]
    if ndimage.label(whole, _SIDES)[1] != 1:
        raise UsageError(f"merge_objects: the objects {list(task.edit.ids)} do not touch each other along an edge.")
    codes = {mask.code for mask, _, _ in named}
    code = task.edit.class_code if task.edit.class_code is not None else None if len(codes) == 1 else first.code
    labels = np.unique(around.labels[whole]).tolist()
    kept, number = task.kept(around, whole, labels, task.next_number)
    return (*kept, Paint(area=task.area(whole, around.window), code=code, number=number)), number + 1


def _set_class(task: ObjectTask) -> Resolved:
    paints: tuple[Paint, ...] = ()
    number = task.next_number
    counted = task.edit.class_code in task.finished.object_spec.codes
    for ident in task.edit.ids:
        mask, around, label = task.masks.named(ident)
        kept, number = task.kept(around, mask.inside, [label], number)
        area = task.area(mask.inside, mask.window)
        paints = (*paints, *kept, Paint(area=area, code=task.edit.class_code, number=number if counted else AUTOMATIC))
        number += 1
    return _deleted_last(paints), number


def _deleted_last(paints: tuple[Paint, ...]) -> tuple[Paint, ...]:
    """Paint what keeps its outline first: an object named later may be among it."""
    return (*(p for p in paints if p.kept), *(p for p in paints if not p.kept))


def _box(mask: Mask) -> Window:
    rows, cols = np.nonzero(mask.inside)
    box = Window(int(rows.min()), int(rows.max()) + 1, int(cols.min()), int(cols.max()) + 1)
    return box.shifted(mask.window.row_start, mask.window.col_start)


def _refuse_uncounted(task: ObjectTask) -> None:
    codes = task.finished.object_spec.codes
    if task.edit.class_code not in codes:
        listed = ", ".join(f"{code} ({task.finished.legend.by_code(code).name})" for code in codes)
        raise UsageError(
            f"{task.edit.kind}: objects of this map are of the classes {listed}, not {task.edit.class_code}."
            " Repaint areas of other classes."
        )
