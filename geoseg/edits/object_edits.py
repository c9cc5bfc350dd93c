"""Edits of objects in a class map: what they paint, so that the objects around them keep their outlines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from scipy import ndimage
from shapely.geometry.base import BaseGeometry
from shapely.ops import split

from geoseg.core.window import Window
from geoseg.edits.finished_map import FinishedMap
from geoseg.edits.label_masks import LabelMasks
from geoseg.edits.object_masks import Mask, Masks, ObjectMasks, Surroundings
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
    masks: Masks
    edit: Edit
    next_number: int

    def area(self, inside: Bools, window: Window) -> BaseGeometry:
        """Draw pixels as polygons in map coordinates."""
        return in_world(outline(inside, window), self.finished.grid)

    def fill(self, mask: Mask) -> int:
        """Choose the class of pixels that an object leaves: the edit's, the background, or the one around it.

        Raises:
            UsageError: only pixels without a class are around it, or its pixels would be of no object.
        """
        legend = self.finished.legend
        taken = () if self.masks.parts_classes else self.masks.codes
        if self.edit.class_code in taken:
            raise UsageError(
                f"{self.edit.kind}: pixels of class {self.edit.class_code} belong to an object. Give another class."
            )
        if self.edit.class_code is not None:
            return self.edit.class_code
        if legend.background is not None and legend.background not in taken:
            return legend.background
        if self.finished.paints_anywhere:
            return legend.nodata
        near = mask.window.expanded(1).intersection(Window.whole(self.planes.shape))
        inside = np.zeros(near.shape, np.bool_)
        inside[mask.window.within(near)] = mask.inside
        codes = self.planes.edited(near).codes
        ring = codes[ndimage.binary_dilation(inside, _SIDES) & ~inside]
        counts = np.bincount(ring, minlength=256)
        counts[[mask.code, legend.nodata, *taken]] = 0
        if not counts.any():
            raise UsageError(f"{self.edit.kind}: no other class is around the object. Give the class of its pixels.")
        return int(counts.argmax())

    def drawn_code(self, code: int) -> int | None:
        """Return the class of an object by hand; None where its pixels keep theirs."""
        return None if self.masks.parts_classes else code

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
    if edit.kind == "add_object" and not finished.has_objects:
        return (Paint(area=polygon_area(finished, edit), code=edit.class_code),), log.next_number
    with object_task(finished, log, edit) as task:
        return {
            "add_object": _add,
            "reshape_object": _reshape,
            "delete_object": _delete,
            "split_object": _split,
            "merge_objects": _merge,
            "set_class": _set_class,
        }[edit.kind](task)


@contextmanager
def object_task(finished: FinishedMap, log: EditLog, edit: Edit) -> Iterator[ObjectTask]:
    """Open the objects of a map with its edits for one more.

    Raises:
        UsageError: the map has no objects.
    """
    with EditedPlanes(finished, paints_of(log.active)) as planes, ExitStack() as opened:
        masks: Masks
        if finished.kind == "classes":
            masks = ObjectMasks(finished, planes)
        else:
            masks = opened.enter_context(LabelMasks(finished, planes, log))
        yield ObjectTask(finished=finished, planes=planes, masks=masks, edit=edit, next_number=log.next_number)


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
    inside = burn(area_px, around.window) & around.valid
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
        drawn.append(Paint(area=task.area(part, mask.window), code=task.drawn_code(mask.code), number=number))
        number += 1
    return (*kept, *drawn), number


def _parts(task: ObjectTask, mask: Mask) -> list[Bools]:
    """Part the pixels of an object along a line; pieces that it does not cross stay with the nearest part."""
    assert task.edit.geometry is not None  # noqa: S101 - Edit checks it
    lines = shapely.get_parts(in_pixels(task.edit.geometry, task.finished.grid)).tolist()
    whole = outline(mask.inside, mask.window)
    cut, apart = list[BaseGeometry](), list[BaseGeometry]()
    for piece in shapely.get_parts(whole).tolist():
        halves = _cut(piece, lines)
        (cut if len(halves) > 1 else apart).extend(halves)
    rest = mask.inside.copy()
    parts, sides = list[Bools](), list[BaseGeometry]()
    for side in cut or _cut(shapely.convex_hull(whole), lines):
        part = burn(side, mask.window) & rest
        if part.any():
            parts.append(part)
            sides.append(side)
            rest &= ~part
    if len(parts) < 2:
        raise UsageError(f"split_object: the line does not part object {task.edit.ids[0]}: draw it right across.")
    for piece in apart:
        nearest = int(np.argmin(shapely.distance(piece, sides)))
        inside = burn(piece, mask.window) & rest
        parts[nearest] = parts[nearest] | inside
        rest &= ~inside
    parts[0] = parts[0] | rest
    return parts


def _cut(piece: BaseGeometry, lines: Sequence[BaseGeometry]) -> list[BaseGeometry]:
    pieces = [piece]
    for line in lines:
        pieces = [part for one in pieces for part in _halves(one, line)]
    return pieces


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
    if not _all_touch(np.array([around.labels == label for label in np.unique(around.labels[whole])])):
        raise UsageError(f"merge_objects: the objects {list(task.edit.ids)} do not touch each other along an edge.")
    codes = {mask.code for mask, _, _ in named}
    code = task.edit.class_code
    if code is None:
        code = task.drawn_code(first.code) if len(codes) == 1 else first.code
    elif not task.masks.parts_classes:
        _refuse_uncounted(task)
    labels = np.unique(around.labels[whole]).tolist()
    kept, number = task.kept(around, whole, labels, task.next_number)
    return (*kept, Paint(area=task.area(whole, around.window), code=code, number=number)), number + 1


def _all_touch(masks: Bools) -> bool:
    """Return True if objects, (object, y, x) bool, touch each other along edges, each at least one that others do."""
    reached = np.zeros(len(masks), np.bool_)
    reached[0] = True
    while True:
        near = ndimage.binary_dilation(masks[reached].any(axis=0), _SIDES)
        now = reached | (masks & near).any(axis=(1, 2))
        if (now == reached).all():
            return bool(now.all())
        reached = now


def _set_class(task: ObjectTask) -> Resolved:
    paints: tuple[Paint, ...] = ()
    number = task.next_number
    counted = task.edit.class_code in task.masks.codes
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
    codes = task.masks.codes
    if task.edit.class_code not in codes:
        listed = ", ".join(f"{code} ({task.finished.legend.by_code(code).name})" for code in codes)
        raise UsageError(
            f"{task.edit.kind}: objects of this map are of the classes {listed}, not {task.edit.class_code}."
            " Repaint areas of other classes."
        )
