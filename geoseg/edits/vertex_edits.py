"""Edits of outlines: a vertex is moved, and the pixels that change sides get the class or object of their new side."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from geoseg.core.layer import OBJECTS, SEGMENTS
from geoseg.core.window import Window
from geoseg.edits.finished_map import FinishedMap
from geoseg.edits.object_edits import ObjectTask
from geoseg.edits.object_masks import ObjectMasks
from geoseg.edits.planes import EditedPlanes
from geoseg.edits.topology import moved_vertex, nearest_vertex
from geoseg.errors import UsageError
from geoseg.io.edits.areas import burn, in_pixels, in_world, outline, window_of
from geoseg.io.edits.edit import Edit, EditLog, Paint, paints_of
from geoseg.io.edits.layer_tables import polygons_near

Bools = npt.NDArray[np.bool_]
Resolved = tuple[tuple[Paint, ...], int]
_NEAR_PX: Final = 3.0


def resolve_vertex(finished: FinishedMap, log: EditLog, edit: Edit) -> Resolved:
    """Return the areas that change sides when a vertex of a saved layer is moved.

    Raises:
        UsageError: the map has no such layer, no vertex is near, an outline would cross another one, or edits there
            are not saved yet.
    """
    assert edit.geometry is not None  # noqa: S101 - Edit checks it
    path, column = (finished.objects, "object_id") if edit.layer == OBJECTS else (finished.bundle.segments, "fid")
    if not path.exists():
        raise UsageError(f"{edit.kind}: the map has no layer of {edit.layer}.")
    line_px = in_pixels(edit.geometry, finished.grid)
    reach = in_world(shapely.buffer(line_px, _NEAR_PX), finished.grid)
    near = polygons_near(path, edit.layer, column, reach)
    polygons = [in_pixels(polygon, finished.grid) for _, polygon, _ in near]
    (start, end) = (tuple(point) for point in shapely.get_coordinates(line_px).tolist())
    old = nearest_vertex(polygons, start, _NEAR_PX)
    moved = moved_vertex(polygons, old, end)
    swept = shapely.union_all([shapely.symmetric_difference(polygons[k], after) for k, after in moved.items()])
    _refuse_pending(finished, log, [*moved.values(), *(polygons[k] for k in moved)])
    window = window_of(swept, finished.grid.shape)
    if not window.pixels:
        raise UsageError("move_vertex: no pixel changes sides.")
    if edit.layer == SEGMENTS:
        return _of_classes(finished, log, window, [(polygons[k], after, near[k][2]) for k, after in moved.items()])
    return _of_objects(finished, log, edit, {near[k][0]: (polygons[k], after) for k, after in moved.items()})


def _of_classes(
    finished: FinishedMap, log: EditLog, window: Window, moved: list[tuple[BaseGeometry, BaseGeometry, int]]
) -> Resolved:
    gained, lost = _sides([(before, after) for before, after, _ in moved], window)
    paints = [
        Paint(area=_area(finished, inside, window), code=code)
        for inside, (_, _, code) in zip(gained, moved, strict=True)
        if inside.any()
    ]
    if lost.any():
        paints.append(Paint(area=_area(finished, lost, window), code=finished.legend.nodata))
    if not paints:
        raise UsageError("move_vertex: no pixel changes sides.")
    return tuple(paints), log.next_number


def _of_objects(
    finished: FinishedMap, log: EditLog, edit: Edit, moved: dict[int, tuple[BaseGeometry, BaseGeometry]]
) -> Resolved:
    with EditedPlanes(finished, paints_of(log.active)) as planes:
        masks = ObjectMasks(finished, planes)
        task = ObjectTask(finished=finished, planes=planes, masks=masks, edit=edit, next_number=log.next_number)
        named = {ident: masks.named(ident) for ident in moved}
        core = window_of(shapely.union_all([shape for pair in moved.values() for shape in pair]), planes.shape)
        around = masks.around(core)
        gained, lost = _sides(list(moved.values()), around.window)
        inside = {}
        for ident, more in zip(moved, gained, strict=True):
            mask = named[ident][0]
            part = mask.window.intersection(around.window)
            own = np.zeros(around.window.shape, np.bool_)
            own[part.within(around.window)] = mask.inside[part.within(mask.window)]
            others = np.logical_or.reduce([g for g in gained if g is not more] + [lost])
            inside[ident] = ((own & ~others) | more) & (around.codes != finished.legend.nodata)
        changed = np.logical_or.reduce([*inside.values(), lost])
        labels = np.unique(around.labels[changed]).tolist()
        own_labels = [label for label in labels if any((around.labels[one] == label).any() for one in inside.values())]
        kept, number = task.kept(around, changed, own_labels, log.next_number)
        paints = list(kept)
        first = next(iter(named.values()))[0]
        if lost.any():
            paints.append(Paint(area=task.area(lost, around.window), code=task.fill(first)))
        for ident, pixels in inside.items():
            code = named[ident][0].code
            if pixels.any():
                paints.append(Paint(area=task.area(pixels, around.window), code=code, number=number))
                number += 1
        return tuple(paints), number


def _sides(pairs: list[tuple[BaseGeometry, BaseGeometry]], window: Window) -> tuple[list[Bools], Bools]:
    """Return the pixels that each polygon gains, and those that no polygon has any more."""
    before = [burn(old, window) for old, _ in pairs]
    after = [burn(new, window) for _, new in pairs]
    gained = [new & ~old for old, new in zip(before, after, strict=True)]
    lost = np.logical_or.reduce(before) & ~np.logical_or.reduce(after)
    return gained, np.asarray(lost, np.bool_)


def _area(finished: FinishedMap, inside: Bools, window: Window) -> BaseGeometry:
    return in_world(outline(inside, window), finished.grid)


def _refuse_pending(finished: FinishedMap, log: EditLog, outlines: list[BaseGeometry]) -> None:
    """Refuse to move a vertex where the saved layer does not show the edits yet."""
    around = shapely.union_all(outlines)
    for entry in log.pending:
        for paint in entry.paints:
            if shapely.intersects(in_pixels(paint.area, finished.grid), around):
                raise UsageError("move_vertex: edits of these outlines are not in the layers yet. Save first.")
