"""Edit: one correction by hand to a finished map, and the areas that it paints."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, get_args

import shapely
from shapely.geometry.base import BaseGeometry

from geoseg.errors import UsageError

EditKind = Literal[
    "repaint",
    "set_class",
    "move_vertex",
    "add_object",
    "reshape_object",
    "delete_object",
    "split_object",
    "merge_objects",
]
VectorName = Literal["segments", "objects"]
EditState = Literal["active", "undone", "dropped"]

AUTOMATIC: Final = 0
"""Object number of painted pixels that belong to no object drawn by hand."""

BY_HAND_PERCENT: Final = 100
"""Confidence of pixels that were edited by hand, percent."""

_GEOMETRY: Final[dict[str, tuple[str, ...]]] = {
    "repaint": ("Polygon", "MultiPolygon", "LineString", "MultiLineString", "Point", "MultiPoint"),
    "set_class": (),
    "move_vertex": ("LineString",),
    "add_object": ("Polygon", "MultiPolygon"),
    "reshape_object": ("Polygon", "MultiPolygon"),
    "delete_object": (),
    "split_object": ("LineString", "MultiLineString"),
    "merge_objects": (),
}
_LEAST_IDS: Final[dict[str, int]] = {
    "set_class": 1,
    "reshape_object": 1,
    "delete_object": 1,
    "split_object": 1,
    "merge_objects": 2,
}
_FARTHEST: Final = 1e15
"""Largest coordinate: in farther ones a pixel would be lost in the rounding."""
_NEEDS_CLASS: Final = frozenset({"repaint", "set_class", "add_object"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One correction by hand, as it is asked for.

    Attributes:
        kind: what is done.
        geometry: where, in the CRS of the scene: the polygon or brush stroke that is repainted, the outline of an
            object, the line that splits one, or the line from the old to the new place of a vertex. None for kinds that
            name ids only.
        class_code: code of the new class; ``nodata`` of the legend erases. For a deleted object, the class that its
            pixels get; None: the background, or the class around it.
        ids: polygons that are meant: ``object_id`` of objects, ``fid`` of segments.
        layer: layer of the ids or of the vertex.
        width_px: width of a brush stroke, pixels of the scene.
        author: who edits.
        time: when, with time zone.
        answer: digest of the run that is corrected; filled in when the edit is applied.
        id: unique.

    Raises:
        UsageError: a field is missing or has no meaning for the kind.

    Example:
        >>> edit = Edit(kind="repaint", geometry=shapely.box(0, 0, 4, 4), class_code=1)
        >>> edit.kind
        'repaint'
    """

    kind: EditKind
    geometry: BaseGeometry | None = None
    class_code: int | None = None
    ids: tuple[int, ...] = ()
    layer: VectorName = "objects"
    width_px: float | None = None
    author: str = ""
    time: datetime = field(default_factory=lambda: datetime.now(UTC))
    answer: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        if self.kind not in _GEOMETRY:
            raise UsageError(f"there is no edit {self.kind!r}; the kinds are {', '.join(_GEOMETRY)}.")
        if self.layer not in get_args(VectorName):
            raise UsageError(f"{self.kind}: there is no layer {self.layer!r}; give segments or objects.")
        self._check_geometry()
        if self.kind in _NEEDS_CLASS and self.class_code is None:
            raise UsageError(f"{self.kind} needs a class.")
        if not all(abs(ident) < 2**63 for ident in self.ids):
            raise UsageError(f"{self.kind}: an id is beyond 9223372036854775807.")
        least = _LEAST_IDS.get(self.kind, 0)
        if len(set(self.ids)) != len(self.ids) or len(self.ids) < least or (self.ids and not least):
            expected = f"{least} or more different ids" if least else "no ids"
            raise UsageError(f"{self.kind} takes {expected}, not {list(self.ids)}.")
        if self.kind in {"reshape_object", "split_object"} and len(self.ids) != 1:
            raise UsageError(f"{self.kind} takes one id, not {list(self.ids)}.")
        if self.time.tzinfo is None:
            raise UsageError(f"{self.kind}: the time {self.time} has no time zone.")
        if not self.author.isprintable() or len(self.author) > 200:
            raise UsageError("the author's name holds characters that cannot be printed, or more than 200.")

    def _check_geometry(self) -> None:
        allowed = _GEOMETRY[self.kind]
        if self.geometry is None or self.geometry.is_empty:
            if allowed:
                raise UsageError(f"{self.kind} needs a geometry: {' or '.join(allowed)}.")
            return
        if self.geometry.geom_type not in allowed:
            wanted = f"a {' or '.join(allowed)}" if allowed else "no geometry"
            raise UsageError(f"{self.kind} takes {wanted}, not a {self.geometry.geom_type}.")
        coordinates = shapely.get_coordinates(self.geometry)
        if not bool((abs(coordinates) <= _FARTHEST).all()):
            raise UsageError(f"{self.kind}: a coordinate is no number, or beyond {_FARTHEST:g}.")
        is_line = self.kind == "repaint" and "Polygon" not in self.geometry.geom_type
        if is_line and not (self.width_px is not None and 0 < self.width_px <= 10_000):
            raise UsageError(
                f"a brush stroke needs width_px, more than 0 and at most 10000 pixels, not {self.width_px}."
            )
        if self.kind == "move_vertex" and len(coordinates) != 2:
            raise UsageError(
                f"move_vertex takes a line of two points, from the old to the new place, not {len(coordinates)}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Paint:
    """An area that an edit paints; the areas of one edit are painted in order.

    Attributes:
        area: polygons in the CRS of the scene; pixels whose centres lie inside are painted.
        code: class that the pixels get; None: they keep theirs.
        number: number of the object by hand that the pixels belong to; ``AUTOMATIC``: to none.
        kept: True if the area is an object that only keeps its outline, because one next to it was edited.
    """

    area: BaseGeometry
    code: int | None
    number: int = AUTOMATIC
    kept: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEdit:
    """An edit in the log of a bundle.

    Attributes:
        edit: what was asked for.
        paints: what it paints.
        state: ``active``; ``undone``, which can be redone; or ``dropped``: undone, and then something else was done.
        saved: True if the layers of the bundle show it.
    """

    edit: Edit
    paints: tuple[Paint, ...]
    state: EditState = "active"
    saved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EditLog:
    """All edits of a bundle in the order in which they were made; none is ever removed.

    Attributes:
        revision: number that every change of the log or of the layers raises by one.
        entries: the edits.
        next_number: the next free number of an object by hand.
        next_fid: of each vector layer that was saved, the next free feature id.
    """

    revision: int = 0
    entries: tuple[LoggedEdit, ...] = ()
    next_number: int = 1
    next_fid: tuple[tuple[str, int], ...] = ()

    @property
    def active(self) -> tuple[LoggedEdit, ...]:
        """Edits that count, in order."""
        return tuple(entry for entry in self.entries if entry.state == "active")

    @property
    def pending(self) -> tuple[LoggedEdit, ...]:
        """Edits that the layers of the bundle do not show yet, or show although they were undone."""
        return tuple(entry for entry in self.entries if entry.saved != (entry.state == "active"))


def paints_of(entries: Iterable[LoggedEdit]) -> tuple[Paint, ...]:
    """List the areas that edits paint, in order."""
    return tuple(paint for entry in entries for paint in entry.paints)
