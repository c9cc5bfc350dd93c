"""Edits of outlines: a vertex is moved, and the pixels that change sides get the class or object of their new side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from geoseg.core.layer import OBJECTS, SEGMENTS
from geoseg.core.window import Window
from geoseg.edits.finished_map import FinishedMap
from geoseg.edits.object_edits import ObjectTask, object_task
from geoseg.edits.topology import moved_vertex, nearest_vertex
from geoseg.errors import UsageError
from geoseg.io.edits.areas import burn, in_pixels, in_world, outline, window_of
from geoseg.io.edits.edit import Edit, EditLog, Paint
from geoseg.io.edits.layer_tables import polygons_near
from geoseg.io.labels.panoptic_raster import PER_THING, codes_of

Bools = npt.NDArray[np.bool_]
Resolved = tuple[tuple[Paint, ...], int]
_NEAR_PX: Final = 3.0


class _Pair(NamedTuple):
    """A polygon before and after its vertex was moved, in columns and rows."""

    before: BaseGeometry
    after: BaseGeometry


def resolve_vertex(finished: FinishedMap, log: EditLog, edit: Edit) -> Resolved:
    """Return the areas that change sides when a vertex of a saved layer is moved.

    Raises:
        UsageError: the map has no such layer, no vertex is near, an outline would cross another one, or edits there
            are not saved yet.
    """
    assert edit.geometry is not None  # noqa: S101 - Edit checks it
    panoptic = finished.kind == "panoptic"
    if edit.layer == OBJECTS and not panoptic:
        path, layer, column = finished.objects, OBJECTS, "object_id"
    else:
        path, layer, column = finished.bundle.segments, SEGMENTS, "segment_id" if panoptic else "fid"
    if not path.exists():
        raise UsageError(f"{edit.kind}: the map has no layer of {edit.layer}.")
    line_px = in_pixels(edit.geometry, finished.grid)
    reach = in_world(shapely.buffer(line_px, _NEAR_PX), finished.grid)
    near = polygons_near(path, layer, column, reach)
    polygons = [in_pixels(polygon, finished.grid) for _, polygon, _ in near]
    (start, end) = (tuple(point) for point in shapely.get_coordinates(line_px).tolist())
    old = nearest_vertex(polygons, start, _NEAR_PX)
    moved = moved_vertex(polygons, old, end)
    swept = shapely.union_all([shapely.symmetric_difference(polygons[k], after) for k, after in moved.items()])
    _refuse_pending(finished, log, [*moved.values(), *(polygons[k] for k in moved)])
    window = window_of(swept, finished.grid.shape)
    if not window.pixels:
        raise UsageError("move_vertex: no pixel changes sides.")
    if layer == SEGMENTS and not panoptic:
        return _of_classes(finished, log, window, [(polygons[k], after, near[k][2]) for k, after in moved.items()])
    pairs = [(near[k][0], _Pair(before=polygons[k], after=after)) for k, after in moved.items()]
    objects = {ident: pair for ident, pair in pairs if not panoptic or ident >= PER_THING}
    stuff = [(codes_of(np.array(ident)), pair) for ident, pair in pairs if ident not in objects]
    with object_task(finished, log, edit) as task:
        return _of_objects(task, objects, [(int(code), pair) for code, pair in stuff])


def _of_classes(
    finished: FinishedMap, log: EditLog, window: Window, moved: list[tuple[BaseGeometry, BaseGeometry, int]]
) -> Resolved:
    gained, lost = _sides([_Pair(before=before, after=after) for before, after, _ in moved], window)
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


def _of_objects(task: ObjectTask, moved: dict[int, _Pair], stuff: list[tuple[int, _Pair]]) -> Resolved:
    """Move the sides of objects, by id, and of the stuff around them, by its class."""
    masks, nodata = task.masks, task.finished.legend.nodata
    named = {ident: masks.named(ident) for ident in moved}
    pairs = [*moved.values(), *(pair for _, pair in stuff)]
    core = window_of(shapely.union_all([shape for pair in pairs for shape in pair]), task.planes.shape)
    around = masks.around(core)
    gained, lost = _sides(pairs, around.window)
    inside = {}
    for ident, more in zip(moved, gained, strict=False):  # stuff comes after the objects
        mask = named[ident][0]
        part = mask.window.intersection(around.window)
        own = np.zeros(around.window.shape, np.bool_)
        own[part.within(around.window)] = mask.inside[part.within(mask.window)]
        others = np.logical_or.reduce([g for g in gained if g is not more] + [lost])
        inside[ident] = ((own & ~others) | more) & around.valid
    changed = np.logical_or.reduce([*inside.values(), *gained, lost])
    labels = np.unique(around.labels[changed]).tolist()
    own_labels = [label for label in labels if any((around.labels[one] == label).any() for one in inside.values())]
    kept, number = task.kept(around, changed, own_labels, task.next_number)
    paints = list(kept)
    if lost.any():
        fill = nodata if stuff or not named else task.fill(next(iter(named.values()))[0])
        paints.append(Paint(area=task.area(lost, around.window), code=fill))
    for (code, _), more in zip(stuff, gained[len(moved) :], strict=True):
        if more.any():
            paints.append(Paint(area=task.area(more, around.window), code=code))
    for ident, pixels in inside.items():
        if pixels.any():
            paints.append(Paint(area=task.area(pixels, around.window), code=named[ident][0].code, number=number))
            number += 1
    if not paints:
        raise UsageError("move_vertex: no pixel changes sides.")
    return tuple(paints), number


def _sides(pairs: Sequence[_Pair], window: Window) -> tuple[list[Bools], Bools]:
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
