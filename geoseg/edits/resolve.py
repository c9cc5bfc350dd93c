"""Resolving of edits: what an edit asks for becomes areas that are painted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from geoseg.core.layer import SEGMENTS
from geoseg.edits.finished_map import FinishedMap
from geoseg.edits.object_edits import resolve_objects
from geoseg.edits.object_repaint import resolve_object_repaint
from geoseg.edits.polygon_area import polygon_area
from geoseg.edits.segment_edits import resolve_segments
from geoseg.edits.vertex_edits import resolve_vertex
from geoseg.errors import UsageError
from geoseg.io.edits.edit import Edit, EditLog, LoggedEdit, Paint

Resolver = Callable[[FinishedMap, EditLog, Edit], tuple[tuple[Paint, ...], int]]
"""Returns the areas that an edit paints, and the next free number of an object by hand."""


def resolved(finished: FinishedMap, log: EditLog, edit: Edit) -> EditLog:
    """Add an edit to the log.

    Raises:
        UsageError: the edit makes no sense on this map.
    """
    if any(entry.edit.id == edit.id for entry in log.entries):
        raise UsageError(f"the edit {edit.id} was applied already.")
    if finished.refusal is not None:
        raise UsageError(f"{finished.bundle.directory}: {finished.refusal}")
    code = edit.class_code
    if code is not None and code not in {*finished.legend.codes, finished.legend.nodata}:
        raise UsageError(f"there is no class {code}; the classes are {_classes(finished)}.")
    paints, next_number = _RESOLVERS[edit.kind](finished, log, edit)
    entries = (*log.entries, LoggedEdit(edit=edit, paints=paints))
    return replace(log, entries=entries, next_number=next_number)


def _repaint(finished: FinishedMap, log: EditLog, edit: Edit) -> tuple[tuple[Paint, ...], int]:
    if finished.kind != "classes" and edit.class_code in finished.counted:
        return resolve_object_repaint(finished, log, edit)
    return (Paint(area=polygon_area(finished, edit), code=edit.class_code),), log.next_number


def _set_class(finished: FinishedMap, log: EditLog, edit: Edit) -> tuple[tuple[Paint, ...], int]:
    return (resolve_segments if edit.layer == SEGMENTS else resolve_objects)(finished, log, edit)


def _classes(finished: FinishedMap) -> str:
    return ", ".join(f"{entry.code} ({entry.name})" for entry in finished.legend.classes)


_RESOLVERS: Final[Mapping[str, Resolver]] = MappingProxyType(
    {
        "repaint": _repaint,
        "set_class": _set_class,
        "move_vertex": resolve_vertex,
        "add_object": resolve_objects,
        "reshape_object": resolve_objects,
        "delete_object": resolve_objects,
        "split_object": resolve_objects,
        "merge_objects": resolve_objects,
    }
)
