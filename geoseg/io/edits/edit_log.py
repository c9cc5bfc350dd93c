"""The log of edits, ``edits.gpkg``: one row for each edit, one for each area that it paints; written whole or not."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyogrio.raw
import shapely
from shapely.geometry.base import BaseGeometry

from geoseg.core.types.json_value import UntypedDict
from geoseg.errors import GeosegError, SceneError
from geoseg.io.checks.geopackage import check_geopackage
from geoseg.io.edits.edit import Edit, EditLog, LoggedEdit, Paint
from geoseg.io.edits.edit_style import edits_qml
from geoseg.io.edits.layer_tables import wkb_of
from geoseg.io.files.gdal_messages import suppress_gdal_messages
from geoseg.io.files.sqlite_file import read_only
from geoseg.io.files.writing import whole_file
from geoseg.io.polygons.geopackage import add_style
from geoseg.io.polygons.ogr_file import OGR_ERRORS, plainly_named
from geoseg.io.polygons.segment_stream import GEOMETRY

EDITS_FILE: Final = "edits.gpkg"
"""Name of the log in the folder of a bundle."""

EDITS_LAYER: Final = "edits"
EDITED_LAYER: Final = "edited"
"""Layer of the areas that active edits painted."""

_PAINTS, _STATE = "paints", "edit_state"
_VERSION = 1

_BROKEN = (
    *(sqlite3.Error, LookupError, ArithmeticError, ValueError, TypeError, AttributeError, RecursionError),
    *(shapely.errors.ShapelyError, GeosegError),
)


def read_log(path: Path) -> EditLog:
    """Read a log; an empty one if there is no file.

    Raises:
        SceneError: the file is damaged or was made by another program.
    """
    if not path.exists():
        return EditLog()
    try:
        return _log(path)
    except _BROKEN as error:
        raise SceneError(str(path), f"it is no log of edits: {error}.", "Restore it from a copy.") from error


def write_log(path: Path, log: EditLog, *, crs_wkt: str | None, names: Mapping[int, str]) -> None:
    """Write a log in the place of the old one.

    Args:
        path: the file.
        log: all edits.
        crs_wkt: CRS of the scene.
        names: names of the classes, for the attribute table.

    Raises:
        WriteError: the disk is full or fails; the old log stands.
    """
    edits, paints = _edit_table(log, names), _paint_table(log, names)
    with whole_file(path, verify=check_geopackage) as part:
        try:
            with suppress_gdal_messages(), plainly_named(part, ".gpkg") as name:
                _write_table(name, EDITS_LAYER, edits, crs_wkt)
                _write_table(name, _PAINTS, paints, crs_wkt)
                _write_table(name, EDITED_LAYER, _edited_table(log), crs_wkt)
        except OGR_ERRORS as error:
            raise OSError(str(error)) from error
        add_style(part, EDITS_LAYER, edits_qml(), "Edits by state")
        _add_state(part, log)


def _log(path: Path) -> EditLog:
    with read_only(path) as db:
        state = json.loads(db.execute("SELECT value FROM edit_state").fetchone()[0])
        rows = db.execute("SELECT edit_id, request, state, saved FROM edits ORDER BY fid").fetchall()
        painted = db.execute("SELECT edit_id, class_code, number, kept, geom FROM paints ORDER BY fid").fetchall()
    if state["version"] != _VERSION:
        raise ValueError(f"it has version {state['version']}, not {_VERSION}")
    paints: dict[str, list[Paint]] = {}
    for ident, code, number, kept, blob in painted:
        paint = Paint(
            area=shapely.from_wkb(wkb_of(blob)),
            code=None if code is None else int(code),
            number=int(number),
            kept=bool(kept),
        )
        paints.setdefault(ident, []).append(paint)
    return EditLog(
        revision=int(state["revision"]),
        entries=tuple(_entry(row, paints) for row in rows),
        next_number=int(state["next_number"]),
        next_fid=tuple(sorted((str(name), int(fid)) for name, fid in state["next_fid"].items())),
    )


def _entry(row: Sequence[Any], paints: Mapping[str, Sequence[Paint]]) -> LoggedEdit:
    ident, text, state, saved = row
    if state not in {"active", "undone", "dropped"}:
        raise ValueError(f"state {state!r}")
    asked = json.loads(text)
    edit = Edit(
        kind=asked["kind"],
        geometry=None if asked["geometry"] is None else shapely.from_wkb(bytes.fromhex(asked["geometry"])),
        class_code=asked["class_code"],
        ids=tuple(asked["ids"]),
        layer=asked["layer"],
        width_px=asked["width_px"],
        author=asked["author"],
        time=datetime.fromisoformat(asked["time"]),
        answer=asked["answer"],
        id=ident,
    )
    return LoggedEdit(edit=edit, paints=tuple(paints.get(ident, ())), state=state, saved=bool(saved))


def _request(edit: Edit) -> str:
    geometry = None if edit.geometry is None else shapely.to_wkb(edit.geometry, hex=True)
    fields: UntypedDict = {
        "kind": edit.kind,
        "geometry": geometry,
        "class_code": edit.class_code,
        "ids": list(edit.ids),
    }
    fields |= {"layer": edit.layer, "width_px": edit.width_px, "author": edit.author}
    return json.dumps(fields | {"time": edit.time.isoformat(), "answer": edit.answer})


Table = dict[str, tuple[list[Any], str]]


def _edit_table(log: EditLog, names: Mapping[int, str]) -> Table:
    entries, edits = log.entries, [entry.edit for entry in log.entries]
    return {
        "edit_id": ([edit.id for edit in edits], "O"),
        "kind": ([edit.kind for edit in edits], "O"),
        "class_code": ([edit.class_code for edit in edits], "f8"),
        "class_name": ([names.get(-1 if edit.class_code is None else edit.class_code) for edit in edits], "O"),
        "author": ([edit.author for edit in edits], "O"),
        "time": ([edit.time.isoformat(timespec="seconds") for edit in edits], "O"),
        "answer": ([edit.answer for edit in edits], "O"),
        "state": ([entry.state for entry in entries], "O"),
        "saved": ([int(entry.saved) for entry in entries], "i4"),
        "request": ([_request(edit) for edit in edits], "O"),
        GEOMETRY: (
            [_edited(entry.paints) for entry in entries],
            "O",
        ),
    }


def _paint_table(log: EditLog, names: Mapping[int, str]) -> Table:
    rows = [(entry.edit.id, paint) for entry in log.entries for paint in entry.paints]
    return {
        "edit_id": ([ident for ident, _ in rows], "O"),
        "class_code": ([paint.code for _, paint in rows], "f8"),
        "class_name": ([names.get(-1 if paint.code is None else paint.code) for _, paint in rows], "O"),
        "number": ([paint.number for _, paint in rows], "i4"),
        "kept": ([int(paint.kept) for _, paint in rows], "i4"),
        GEOMETRY: ([_multi(paint.area) for _, paint in rows], "O"),
    }


def _edited_table(log: EditLog) -> Table:
    ids = [entry.edit.id for entry in log.active]
    return {"edit_id": (ids, "O"), GEOMETRY: ([_edited(entry.paints) for entry in log.active], "O")}


def _write_table(name: str, layer: str, table: Table, crs_wkt: str | None) -> None:
    columns = {field: _column(values, kind) for field, (values, kind) in table.items() if field != GEOMETRY}
    pyogrio.raw.write(
        name,
        geometry=np.asarray(shapely.to_wkb(np.array(table[GEOMETRY][0], object)), object),
        field_data=list(columns.values()),
        fields=np.array(list(columns), object),
        layer=layer,
        driver="GPKG",
        geometry_type="MultiPolygon",
        crs=crs_wkt,
        layer_options={"GEOMETRY_NAME": GEOMETRY},
        dataset_options={"VERSION": "1.3"},
        append=False,
    )


def _column(values: list[Any], kind: str) -> Any:
    if kind == "f8":
        return np.array([np.nan if value is None else value for value in values], "f8")
    return np.array(values, object if kind == "O" else kind)


def _add_state(part: Path, log: EditLog) -> None:
    state = {
        "version": _VERSION,
        "revision": log.revision,
        "next_number": log.next_number,
        "next_fid": dict(log.next_fid),
    }
    with closing(sqlite3.connect(part)) as db, db:
        db.execute("PRAGMA journal_mode = MEMORY")  # a part that breaks is thrown away
        db.execute(f"CREATE TABLE {_STATE} (id INTEGER PRIMARY KEY, value TEXT NOT NULL)")
        db.execute(f"INSERT INTO {_STATE} (value) VALUES (?)", (json.dumps(state),))  # noqa: S608 - a constant
        db.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, srs_id)"
            " VALUES (?, 'attributes', ?, 'Revision of the edits', 0)",
            (_STATE, _STATE),
        )


def _edited(paints: Sequence[Paint]) -> BaseGeometry:
    """Return the area that an edit changes, without the objects that only keep their outlines."""
    return _multi(shapely.union_all([paint.area for paint in paints if not paint.kept]))


def _multi(geometry: BaseGeometry) -> BaseGeometry:
    parts = [part for part in shapely.get_parts(geometry) if part.geom_type == "Polygon"]
    parts += [p for part in shapely.get_parts(geometry) if part.geom_type == "MultiPolygon" for p in part.geoms]
    return shapely.MultiPolygon(parts)
