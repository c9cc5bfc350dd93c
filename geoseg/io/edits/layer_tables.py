"""Reading the tables of polygons that a run wrote: ids, outlines and attributes."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from geoseg.errors import GeosegError, OutputError
from geoseg.io.checks.geopackage import check_geopackage, quoted
from geoseg.io.files.sqlite_file import read_only
from geoseg.io.polygons.segment_stream import GEOMETRY

_ENVELOPE_BYTES = (0, 32, 48, 48, 64)
_ROWS_AT_ONCE = 4096


def wkb_of(blob: bytes) -> bytes:
    """Return the WKB in a geometry of a GeoPackage.

    Source:
        OGC GeoPackage 1.3, 2.1.3 BLOB Format.
    """
    return blob[8 + _ENVELOPE_BYTES[(blob[3] >> 1) & 0x7] :]


def is_geopackage(path: Path) -> bool:
    """Return True if a file is a whole GeoPackage."""
    try:
        check_geopackage(path)
    except (OSError, ValueError, sqlite3.Error):
        return False
    return True


@contextmanager
def reading_layer(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a GeoPackage of a finished map for reading.

    Raises:
        OutputError: the file, or what is read in the context, is damaged.
    """
    with naming_damage(path), read_only(path) as db:
        yield db


@contextmanager
def naming_damage(path: Path) -> Iterator[None]:
    """Let errors over what was read from a layer name its file.

    Raises:
        OutputError: what was read is damaged.
    """
    try:
        yield
    except (sqlite3.Error, LookupError, TypeError, ValueError, shapely.errors.ShapelyError) as error:
        if isinstance(error, GeosegError):
            raise
        raise OutputError(
            f"{path}: is damaged: {error}. Restore it from a copy, or run geoseg predict again."
        ) from error


def has_column(path: Path, layer: str, column: str) -> bool:
    """Return True if a layer of a GeoPackage has a column."""
    return column in read_columns(path, layer)


def read_columns(path: Path, layer: str) -> list[str]:
    """List the columns of a layer of a GeoPackage.

    Raises:
        OutputError: the file is damaged or missing.
    """
    with reading_layer(path) as db:
        return [row[1] for row in db.execute(f"PRAGMA table_info({quoted(layer)})")]


def read_rows(path: Path, layer: str, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Read columns of all rows of a layer, in the order of its feature ids; geometries as blobs of the GeoPackage."""
    with reading_layer(path) as db:
        names = ", ".join(quoted(name) for name in columns)
        found = db.execute(f"SELECT {names} FROM {quoted(layer)} ORDER BY fid")  # noqa: S608 - quoted
        while rows := found.fetchmany(_ROWS_AT_ONCE):
            yield from rows


def polygons_by_id(path: Path, layer: str, column: str, ids: Sequence[int]) -> dict[int, tuple[BaseGeometry, int]]:
    """Read the polygons of ids with their class codes; parts of one id are united.

    Args:
        path: the GeoPackage.
        layer: its layer.
        column: column of the ids.
        ids: the ids.
    """
    found: dict[int, tuple[BaseGeometry, int]] = {}
    with reading_layer(path) as db:
        for ident in ids:
            rows = db.execute(
                f"SELECT {quoted(GEOMETRY)}, class_code FROM {quoted(layer)} WHERE {quoted(column)} = ?",  # noqa: S608
                (int(ident),),
            ).fetchall()
            if rows:
                area = shapely.union_all([shapely.from_wkb(wkb_of(blob)) for blob, _ in rows])
                found[int(ident)] = area, int(rows[0][1])
    return found


def polygons_near(path: Path, layer: str, column: str, around: BaseGeometry) -> list[tuple[int, BaseGeometry, int]]:
    """Read id, polygon and class code of the polygons whose boxes touch that of a geometry."""
    left, low, right, high = around.bounds
    index = quoted(f"rtree_{layer}_{GEOMETRY}")
    query = (
        f"SELECT {quoted(column)}, {quoted(GEOMETRY)}, class_code FROM {quoted(layer)} WHERE fid IN"  # noqa: S608
        f" (SELECT id FROM {index} WHERE minx <= ? AND maxx >= ? AND miny <= ? AND maxy >= ?) ORDER BY fid"
    )
    with reading_layer(path) as db:
        rows = db.execute(query, (right, left, high, low)).fetchall()
        return [(int(ident), shapely.from_wkb(wkb_of(blob)), int(code)) for ident, blob, code in rows]


def fids_by_shape(path: Path, layer: str) -> dict[bytes, list[int]]:
    """Map each polygon of a layer, by a digest of its class and outline, to its feature ids in ascending order."""
    fids: dict[bytes, list[int]] = {}
    for fid, code, blob in read_rows(path, layer, ("fid", "class_code", GEOMETRY)):
        fids.setdefault(shape_key(int(code), wkb_of(blob)), []).append(int(fid))
    return fids


def shape_key(code: int, wkb: bytes) -> bytes:
    """Return the digest by which ``fids_by_shape`` finds a polygon."""
    return hashlib.blake2b(wkb, digest_size=16, key=str(code).encode()).digest()
