"""PolygonTable: the polygons of a GeoPackage by map tile, by id and by confidence, read by SQLite through its index."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError

from geoseg.core.types.json_value import UntypedDict
from geoseg.errors import SceneError
from geoseg.io.checks.geopackage import quoted
from geoseg.io.files.sqlite_file import read_only
from geoseg.io.polygons.tile_cut import EXTENT, cut_tile
from geoseg.io.polygons.to_wgs84 import ToWgs84
from geoseg.io.polygons.vector_tile import encode_tile
from geoseg.io.tiles.address import MAX_ZOOM, Bounds, TileAddress

MOST_POLYGONS: Final = 20_000
"""Polygons in one tile; of more, the largest are shown."""

TILE_LAYER: Final = "polygons"
"""Name of the layer in vector tiles."""

MVT: Final = "application/vnd.mapbox-vector-tile"

_SHOWN = ("class_code", "class_name", "confidence", "object_id")
_LEAST_UNITS2 = (EXTENT / 512) ** 2
_ENVELOPE_BYTES = (0, 32, 48, 48, 64)
_HEAD_BYTES = 8
_MOST_FIELDS = 64
_BUFFER = 1 / 64  # of a tile, as the cut
_EDGE_M = TileAddress(0, 0, 0).bounds[2] * (1 - 1e-12)


@dataclass(frozen=True, slots=True, kw_only=True)
class Polygon:
    """One polygon.

    Attributes:
        id: its row in the file.
        attributes: values by field.
        bounds: west, south, east and north, degrees.
    """

    id: int
    attributes: UntypedDict
    bounds: Bounds


class PolygonTable:
    """One layer of polygons of a GeoPackage. Each question opens the file anew, so it may be replaced meanwhile.

    Args:
        path: the GeoPackage.
        layer: name of the layer; if there is none of this name, the first.

    Attributes:
        fields: attributes of the polygons.
        count: number of polygons when it was opened.
        zooms: coarsest and finest zoom that tiles can be made for.
        searched: True, since ids are found.

    Raises:
        SceneError: it is no GeoPackage with polygons and a spatial index, or has no place on Earth.
    """

    zooms = (0, MAX_ZOOM)
    searched = True

    def __init__(self, path: Path, layer: str) -> None:
        self.path = path
        with self._reading() as db:
            self._find(db, layer)
            extent = db.execute(
                "SELECT min_x, max_x FROM gpkg_contents WHERE table_name = ?", (self._table,)
            ).fetchone()
        self._circle = 2 * np.pi / self._crs.axis_info[0].unit_conversion_factor if self._crs.is_geographic else 0.0
        self._turns = self._turns_of(extent)
        self._lonlat = ToWgs84(path, self._crs.to_wkt())
        self._from_mercator = Transformer.from_crs(3857, self._crs, always_xy=True)
        self._to_lonlat = Transformer.from_crs(self._crs, 4326, always_xy=True)

    def _find(self, db: sqlite3.Connection, layer: str) -> None:
        rows = db.execute(
            "SELECT g.table_name, g.column_name, s.definition, s.organization, s.organization_coordsys_id"
            " FROM gpkg_geometry_columns g JOIN gpkg_spatial_ref_sys s ON g.srs_id = s.srs_id ORDER BY g.table_name"
        ).fetchall()
        if not rows:
            raise SceneError(str(self.path), "it has no layer of polygons.")
        found = next((row for row in rows if row[0] == layer), rows[0])
        self._table, self._geometry = str(found[0]), str(found[1])
        self._index = f"rtree_{self._table}_{self._geometry}"
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (self._index,)).fetchone():
            raise SceneError(str(self.path), "its polygons have no spatial index.", "Write it with ogr2ogr.")
        columns = db.execute(f"PRAGMA table_info({quoted(self._table)})").fetchall()
        self._key = next((str(name) for _, name, *_, primary in columns if primary), "rowid")
        names = [str(name) for _, name, *_ in columns]
        self._booleans = {str(name) for _, name, kind, *_ in columns if str(kind).upper() == "BOOLEAN"}
        self.fields = tuple(name for name in names if name not in {self._key, self._geometry})[:_MOST_FIELDS]
        self.count = int(db.execute(f"SELECT count(*) FROM {quoted(self._table)}").fetchone()[0])  # noqa: S608 - quoted
        definition = str(found[2])
        try:
            known = definition.upper() not in {"", "UNDEFINED"}
            self._crs = CRS.from_wkt(definition) if known else CRS.from_authority(found[3], found[4])
        except (CRSError, ProjError) as error:
            raise SceneError(str(self.path), f"its CRS is unknown ({error}).") from error

    def _turns_of(self, extent: tuple[float | None, float | None] | None) -> tuple[float, ...]:
        """List what leads from longitudes on Earth to those of the file, which may go on beyond 180 degrees."""
        if not self._circle or extent is None or None in extent:
            return (0.0,)
        first, last = (int(np.floor(side / self._circle + 0.5)) for side in extent if side is not None)
        return tuple(turn * self._circle for turn in range(max(first, -3), min(last, 3) + 1)) or (0.0,)

    def tile(self, address: TileAddress) -> bytes:
        """Encode the polygons of a tile as a Mapbox vector tile; those smaller than a pixel are left out.

        Raises:
            SceneError: the file is damaged.
        """
        west, south, east, north = address.bounds
        side = east - west
        edge = _EDGE_M if self._circle else np.inf  # beyond it longitudes begin anew
        around = (
            max(west - side * _BUFFER, -edge),
            south - side * _BUFFER,
            min(east + side * _BUFFER, edge),
            north + side * _BUFFER,
        )
        try:
            own = self._from_mercator.transform_bounds(*around, densify_pts=21)
        except ProjError:
            return b""
        if not np.isfinite(own).all():
            return b""
        shown = [name for name in _SHOWN if name in self.fields]
        with self._reading() as db:
            boxes = [(own[0] + turn, own[1], own[2] + turn, own[3]) for turn in self._turns]
            rows = list({row[0]: row for box in boxes for row in self._inside(db, box, shown)}.values())
            outlines = _polygons([row[1] for row in rows])
        if not rows:
            return b""
        ids = np.array([row[0] for row in rows], np.int64)
        lonlat = self._lonlat(outlines)
        pieces = cut_tile(lonlat, zoom=address.zoom, column=address.column, row=address.row, least_units2=_LEAST_UNITS2)
        if pieces is None:
            return b""
        columns = {
            name: _column([rows[owner][place] for owner in pieces.owner.tolist()])
            for place, name in enumerate(shown, start=2)
        }
        return encode_tile(TILE_LAYER, pieces.geometry, ids[pieces.owner], columns)

    def polygon(self, row: int) -> Polygon | None:
        """Find a polygon by its row; None if there is none.

        Raises:
            SceneError: the file is damaged.
        """
        return next(iter(self._polygons(f"t.{quoted(self._key)} = ?", (row,), most=1)), None)

    def with_object(self, object_id: int) -> Polygon | None:
        """Find a polygon by its ``object_id``; None if there is none, or no such field."""
        if "object_id" not in self.fields:
            return None
        return next(iter(self._polygons("t.object_id = ?", (object_id,), most=1)), None)

    def at(self, lon: float, lat: float) -> Polygon | None:
        """Find the smallest polygon that covers a point, degrees."""
        x, y = self._to_lonlat.transform(lon, lat, direction="INVERSE")
        if not np.isfinite([x, y]).all():
            return None
        sql = (
            f"SELECT t.{quoted(self._key)}, t.{quoted(self._geometry)} FROM {quoted(self._index)} r"  # noqa: S608 - quoted
            f" JOIN {quoted(self._table)} t ON t.{quoted(self._key)} = r.id"
            " WHERE r.minx <= ? AND r.maxx >= ? AND r.miny <= ? AND r.maxy >= ? LIMIT 1000"
        )
        for place in (x + turn for turn in self._turns):
            with self._reading() as db:
                rows = db.execute(sql, (place, place, y, y)).fetchall()
                shapes = _polygons([row[1] for row in rows])
            hits = np.flatnonzero(shapely.covers(shapes, shapely.Point(place, y)))
            if len(hits):
                return self.polygon(int(rows[int(hits[np.argmin(shapely.area(shapes[hits]))])][0]))
        return None

    def least_certain(self, *, most: int, hidden: Sequence[int], least_m2: float) -> list[Polygon]:
        """List the polygons of least confidence, the worst first.

        Args:
            most: longest list.
            hidden: class codes that are left out.
            least_m2: polygons of less area are left out.
        """
        if "confidence" not in self.fields:
            return []
        where, values, order = ["t.confidence IS NOT NULL"], list[float](), "t.confidence"
        if "class_code" in self.fields and hidden:
            where.append(f"t.class_code NOT IN ({', '.join('?' * len(hidden))})")
            values += hidden
        if "area_m2" in self.fields:
            where.append("t.area_m2 >= ?")
            values.append(least_m2)
            order += ", t.area_m2 DESC"
        return self._polygons(" AND ".join(where), tuple(values), most=most, order=f"{order}, 1")

    def _polygons(self, where: str, values: tuple[float, ...], *, most: int, order: str = "1") -> list[Polygon]:
        fields = ", ".join(f"t.{quoted(name)}" for name in self.fields)
        sql = (
            f"SELECT t.{quoted(self._key)}, r.minx, r.miny, r.maxx, r.maxy{', ' if fields else ''}{fields}"  # noqa: S608 - quoted
            f" FROM {quoted(self._table)} t JOIN {quoted(self._index)} r ON r.id = t.{quoted(self._key)}"
            f" WHERE {where} ORDER BY {order} LIMIT ?"
        )
        with self._reading() as db:
            rows = db.execute(sql, (*values, most)).fetchall()
        found = []
        for row, *rest in rows:
            minx, miny, maxx, maxy = rest[:4]
            attributes = {name: self._value(name, value) for name, value in zip(self.fields, rest[4:], strict=True)}
            bounds = self._on_earth(minx, miny, maxx, maxy)
            found.append(Polygon(id=int(row), attributes=attributes, bounds=bounds))
        return found

    def _on_earth(self, minx: float, miny: float, maxx: float, maxy: float) -> Bounds:
        """Return bounds in degrees; west over east across the antimeridian."""
        if not self._circle or max(-minx, maxx) <= self._circle / 2:
            west, south, east, north = self._to_lonlat.transform_bounds(minx, miny, maxx, maxy, densify_pts=5)
            return west, south, east, north
        half = self._circle / 2
        left, right = ((side + half) % self._circle - half for side in (minx, maxx))
        (west, east), (south, north) = self._to_lonlat.transform((left, right), (miny, maxy))
        return west, south, east, north

    def _value(self, name: str, value: Any) -> Any:
        if isinstance(value, bytes):
            return None
        return bool(value) if name in self._booleans and value is not None else value

    def _inside(self, db: sqlite3.Connection, own: Sequence[float], shown: Sequence[str]) -> list[Any]:
        west, south, east, north = own
        least = min(east - west, north - south) / 512 / 2
        fields = "".join(f", t.{quoted(name)}" for name in shown)
        sql = (
            f"SELECT t.{quoted(self._key)}, t.{quoted(self._geometry)}{fields}"  # noqa: S608 - quoted
            f" FROM (SELECT id, minx, maxx, miny, maxy FROM {quoted(self._index)}"
            "  WHERE minx <= ? AND maxx >= ? AND miny <= ? AND maxy >= ? AND (maxx - minx > ? OR maxy - miny > ?)"
            f"  ORDER BY (maxx - minx) * (maxy - miny) DESC LIMIT {MOST_POLYGONS}) r"
            f" JOIN {quoted(self._table)} t ON t.{quoted(self._key)} = r.id ORDER BY 1"
        )
        return db.execute(sql, (east, west, north, south, least, least)).fetchall()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            with read_only(self.path) as db:
                yield db
        except (sqlite3.Error, shapely.errors.ShapelyError, LookupError, TypeError) as error:
            raise SceneError(str(self.path), f"its polygons cannot be read ({error}).") from error


def _polygons(blobs: Sequence[bytes]) -> npt.NDArray[np.object_]:
    """Decode GeoPackage geometries.

    Source:
        OGC GeoPackage 1.3, section 2.1.3: "GP", version, flags, CRS, box, WKB.
    """
    return np.asarray(shapely.from_wkb([_wkb(blob) for blob in blobs]), object)


def _wkb(blob: bytes) -> bytes:
    kind = blob[3] >> 1 & 7
    return blob[_HEAD_BYTES + _ENVELOPE_BYTES[min(kind, 4)] :]


def _column(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # SQLite lets one column hold several types
        return pa.array([None if value is None else str(value) for value in values])
