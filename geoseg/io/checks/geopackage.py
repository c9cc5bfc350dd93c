"""Check of GeoPackage: all tables that the standard requires, and a spatial index of all rows."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt

from geoseg.io.files.sqlite_file import read_header, read_only

F64 = npt.NDArray[np.float64]

_APPLICATION_ID = int.from_bytes(b"GPKG")
_OLDEST_VERSION = 10200
_TABLES = ("gpkg_contents", "gpkg_spatial_ref_sys", "gpkg_geometry_columns", "gpkg_extensions")
_ROWS_AT_ONCE = 4096
_HEAD_BYTES = 40
_BLOB_POINT_BYTES = 29
# the index keeps 32-bit floats, the minimum rounded down and the maximum up
_ROUNDING = 2.0**-22
# GDAL writes the extent as text
_DIGITS = 1e-13


def check_geopackage(path: Path) -> None:
    """Check a GeoPackage as a whole.

    Raises:
        OSError: a page, a table, an entry of the standard's tables, or a row of an index is missing or wrong.
        sqlite3.Error: SQLite cannot read it.

    Source:
        OGC GeoPackage 1.3, https://www.geopackage.org/spec130/; the index is its extension ``gpkg_rtree_index``.
    """
    _check_header(path)
    with read_only(path) as db:
        problem = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if problem != "ok":
            raise OSError(f"SQLite finds the file broken: {problem}")
        if db.execute("PRAGMA foreign_key_check").fetchone() is not None:
            raise OSError("a row refers to one that is not there")
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        missing = [name for name in _TABLES if name not in tables]
        if missing:
            raise OSError(f"it has no table {', '.join(missing)}")
        contents = db.execute("SELECT table_name, data_type, srs_id FROM gpkg_contents").fetchall()
        if not contents:
            raise OSError("it lists no layer")
        for table, kind, srs_id in contents:
            if table not in tables:
                raise OSError(f"the table of layer {table!r} is missing")
            if kind == "features":
                _check_layer(db, table, srs_id, tables)
        if "layer_styles" in tables:
            for (style,) in db.execute("SELECT styleQML FROM layer_styles WHERE styleQML <> ''"):
                _check_style(style)


def _check_header(path: Path) -> None:
    header = read_header(path)
    if header.application_id != _APPLICATION_ID or header.user_version < _OLDEST_VERSION:
        raise OSError(f"its header says version {header.user_version} of 0x{header.application_id:08x}, not GeoPackage")
    size = path.stat().st_size
    in_use = path.with_name(path.name + "-wal").exists()
    if header.change_counter == header.valid_for and size != header.pages * header.page_bytes and not in_use:
        raise OSError(f"it has {size} bytes, its {header.pages} pages are {header.pages * header.page_bytes}")


def _check_layer(db: sqlite3.Connection, table: str, srs_id: int, tables: set[str]) -> None:
    places = db.execute(
        "SELECT column_name, srs_id FROM gpkg_geometry_columns WHERE table_name = ?", (table,)
    ).fetchall()
    if len(places) != 1 or places[0][1] != srs_id:
        raise OSError(f"gpkg_geometry_columns does not describe layer {table!r}")
    crs = db.execute("SELECT definition FROM gpkg_spatial_ref_sys WHERE srs_id = ?", (srs_id,)).fetchone()
    if crs is None or not crs[0]:
        raise OSError(f"gpkg_spatial_ref_sys has no CRS {srs_id}, which layer {table!r} lies in")
    column = places[0][0]
    index = f"rtree_{table}_{column}"
    if not {index, f"{index}_node", f"{index}_parent", f"{index}_rowid"} <= tables:
        raise OSError(f"layer {table!r} has no spatial index")
    registered = db.execute(
        "SELECT count(*) FROM gpkg_extensions WHERE table_name = ? AND column_name = ?"
        " AND extension_name = 'gpkg_rtree_index'",
        (table, column),
    ).fetchone()
    if registered != (1,):
        raise OSError(f"gpkg_extensions does not name the spatial index of layer {table!r}")
    _check_triggers(db, table, index, counted="gpkg_ogr_contents" in tables)
    problem = db.execute("SELECT rtreecheck(?)", (index,)).fetchone()[0]
    if problem != "ok":
        raise OSError(f"the spatial index of layer {table!r} is broken: {problem}")
    rows, extent = _check_index(db, table, column)
    _check_extent(db, table, extent)
    (entries,) = db.execute(f"SELECT count(*) FROM {quoted(index + '_rowid')}").fetchone()  # noqa: S608 - quoted
    if entries != rows:
        raise OSError(f"the spatial index of layer {table!r} has {entries} entries, {rows} rows have a geometry")
    if "gpkg_ogr_contents" in tables:
        counted = db.execute("SELECT feature_count FROM gpkg_ogr_contents WHERE table_name = ?", (table,)).fetchone()
        (found,) = db.execute(f"SELECT count(*) FROM {quoted(table)}").fetchone()  # noqa: S608 - quoted
        if counted is None or counted[0] not in {None, found}:
            raise OSError(f"gpkg_ogr_contents does not count the {found} rows of layer {table!r}")


def _check_triggers(db: sqlite3.Connection, table: str, index: str, *, counted: bool) -> None:
    there = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")}
    names = {f"{index}_insert", f"{index}_delete"}
    if counted:
        names |= {f"trigger_{event}_feature_count_{table}" for event in ("insert", "delete")}
    if not names <= there:
        raise OSError(f"layer {table!r} lacks the triggers {', '.join(sorted(names - there))}")


def _check_extent(db: sqlite3.Connection, table: str, extent: F64) -> None:
    """Check that the extent in gpkg_contents contains the box (x min, x max, y min, y max) of all rows."""
    stated = db.execute(
        "SELECT min_x, max_x, min_y, max_y FROM gpkg_contents WHERE table_name = ?", (table,)
    ).fetchone()
    if np.isnan(extent).any():
        return
    if (
        None in stated
        or ((np.array(stated, np.float64) - extent) * np.array([-1, 1, -1, 1]) < -_DIGITS * np.abs(extent)).any()
    ):
        raise OSError(f"gpkg_contents has a wrong extent of layer {table!r} ({stated} for {extent.tolist()})")


def _check_index(db: sqlite3.Connection, table: str, column: str) -> tuple[int, F64]:
    """Compare the box of each geometry with the index; return the number of geometries and the box of all."""
    index = quoted(f"rtree_{table}_{column}")
    rows, extent = 0, np.full(4, np.nan)
    found = db.execute(
        f"SELECT substr(t.{quoted(column)}, 1, {_HEAD_BYTES}), r.minx, r.maxx, r.miny, r.maxy"  # noqa: S608 - quoted
        f" FROM {quoted(table)} t LEFT JOIN {index} r ON r.id = t.rowid WHERE t.{quoted(column)} IS NOT NULL"
    )
    while some := found.fetchmany(_ROWS_AT_ONCE):
        heads, boxes = [row[0] for row in some], [row[1:] for row in some]
        there = [i for i, head in enumerate(heads) if not _is_empty(head)]
        if any(boxes[i][0] is None for i in there):
            raise OSError(f"the spatial index of layer {table!r} lacks rows")
        envelopes = _envelopes([heads[i] for i in there])
        _compare(envelopes, np.array([boxes[i] for i in there], np.float64).reshape(-1, 4), table)
        rows += len(there)
        all_x, all_y = np.vstack([envelopes, extent]).reshape(-1, 2, 2).transpose(1, 0, 2).reshape(2, -1)
        if not np.isnan(envelopes).all():
            extent = np.array([np.nanmin(all_x), np.nanmax(all_x), np.nanmin(all_y), np.nanmax(all_y)])
    return rows, extent


def _compare(envelopes: F64, boxes: F64, table: str) -> None:
    known = np.isfinite(envelopes).all(axis=1)
    envelopes, boxes = envelopes[known], boxes[known]
    beyond = (boxes - envelopes) * np.array([-1, 1, -1, 1])  # >= 0: the box holds the geometry
    if ((beyond < 0) | (beyond > np.abs(envelopes) * _ROUNDING + 1e-30)).any():
        raise OSError(f"the spatial index of layer {table!r} does not lie where the rows are")


def _is_empty(head: bytes) -> bool:
    if len(head) < 8 or head[:2] != b"GP":
        raise OSError("a geometry is not in GeoPackage's encoding")
    return bool(head[3] & 0b10000)


def _envelopes(heads: Sequence[bytes]) -> F64:
    """Read the boxes (geometry, (x min, x max, y min, y max)); NaN where the encoding has no envelope."""
    return np.array([*_boxes(heads)], np.float64).reshape(-1, 4)


def _boxes(heads: Sequence[bytes]) -> Iterator[tuple[float, ...]]:
    for head in heads:
        order = "<" if head[3] & 1 else ">"
        if head[3] & 0b1110:
            yield struct.unpack_from(f"{order}4d", head, 8)
        elif len(head) == _BLOB_POINT_BYTES:
            x, y = struct.unpack_from(f"{'<' if head[8] else '>'}2d", head, 13)
            yield x, x, y, y
        else:
            yield (np.nan,) * 4


def _check_style(text: str) -> None:
    try:
        ET.fromstring(text)  # noqa: S314 - well-formed or not; expat refuses entities that grow
    except ET.ParseError as error:
        raise OSError(f"a style is no XML: {error}") from error


def quoted(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'
