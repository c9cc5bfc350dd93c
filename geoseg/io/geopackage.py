"""GeoPackage of segments: streamed in, styled from inside, the same bytes for the same input."""

from __future__ import annotations

import os
import re
import sqlite3
import warnings
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyogrio
import shapely
from pyogrio.errors import CRSError, DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError

from geoseg.core.legend import Legend
from geoseg.core.segments import Segments
from geoseg.io.styles import segments_qml
from geoseg.io.writing import whole_file

# RuntimeError bare is what pyogrio makes of a stream that breaks
_OGR_ERRORS = (
    CRSError,
    DataLayerError,
    DataSourceError,
    FeatureError,
    FieldError,
    GeometryError,
    RuntimeError,
    pa.ArrowException,
)
_GEOMETRY = "geom"
_SCHEMA = pa.schema(
    [
        pa.field("class_code", pa.int32()),
        pa.field("class_name", pa.string()),
        pa.field("area_m2", pa.float64()),
        pa.field("perimeter_m", pa.float64()),
        pa.field("confidence", pa.float64()),
        pa.field("confidence_min", pa.float64()),
        pa.field("pixels", pa.int64()),
        pa.field(_GEOMETRY, pa.binary(), metadata={"ARROW:extension:name": "geoarrow.wkb"}),
    ]
)
# the run's own time stands in its record; here it would make two runs of the same input differ
_LAST_CHANGE = "1970-01-01T00:00:00.000Z"
_LAYER_STYLES = """CREATE TABLE layer_styles (
  id INTEGER PRIMARY KEY AUTOINCREMENT, f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256),
  f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN,
  description TEXT, owner TEXT(30), ui TEXT(30), update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))"""


def write_segments(
    path: Path,
    batches: Iterable[Segments],
    *,
    crs_wkt: str | None,
    legend: Legend,
    layer: str = "segments",
    multi: bool = False,
) -> int:
    """Write polygons as one GeoPackage layer with its default style inside.

    Args:
        path: the final ``.gpkg``.
        batches: polygons, batch by batch; one batch at a time is in memory. None at all gives an empty layer.
        crs_wkt: CRS of the coordinates; None when the scene has none.
        legend: names and colours of the class codes.
        layer: the layer's name.
        multi: the geometries are multipolygons.

    Returns:
        How many polygons were written.

    Raises:
        WriteError: the disk is full or fails; nothing is left at ``path``.
        KeyError: a polygon's code is not in the legend.

    Source:
        OGC GeoPackage 1.3 (QGIS 3.22 warns of 1.4); ``layer_styles`` as QGIS keeps it.
    """
    stream = _Stream(batches, legend)

    def verify(part: Path) -> None:
        _verify(part, layer, stream)

    with whole_file(path, verify=verify) as part:
        _write_polygons(part, layer, crs_wkt, stream, geometry_type="MultiPolygon" if multi else "Polygon")
        _add_style(part, layer, segments_qml(legend))
    return stream.rows


class _Stream:
    """Record batches of segments; remembers what passed and what broke, which Arrow's C stream cannot carry."""

    def __init__(self, batches: Iterable[Segments], legend: Legend) -> None:
        self._batches = batches
        self._names = np.full(256, None, dtype=object)
        self._names[list(legend.codes)] = legend.names
        self._known = set(legend.codes)
        self.rows = self.pixels = self.codes = 0
        self.broke: BaseException | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            for segments in self._batches:
                if len(segments):
                    yield self._record(segments)
        except BaseException as error:  # an interruption too would be lost on the way through C
            self.broke = error
            raise

    def _record(self, segments: Segments) -> pa.RecordBatch:
        names = self._names[segments.class_code]
        unknown = sorted(set(np.unique(segments.class_code).tolist()) - self._known)
        if unknown:
            raise KeyError(f"class codes {unknown} are not in the legend")
        self.rows += len(segments)
        self.pixels += int(segments.pixels.sum())
        self.codes += int(segments.class_code.sum(dtype=np.int64))
        columns = [
            segments.class_code.astype(np.int32),
            names,
            segments.area_m2,
            segments.perimeter_m,
            _probability(segments.confidence),
            _probability(segments.confidence_min),
            segments.pixels,
            shapely.to_wkb(segments.geometry, flavor="iso"),
        ]
        arrays = [pa.array(c, type=f.type, from_pandas=True) for c, f in zip(columns, _SCHEMA, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA)


def _probability(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    # six digits are all a float32 holds; more would show as 0.10000000149
    return np.asarray(np.round(values.astype(np.float64), 6))


def _write_polygons(part: Path, layer: str, crs_wkt: str | None, stream: _Stream, *, geometry_type: str) -> None:
    try:
        with warnings.catch_warnings(), _plainly_named(part) as path:
            warnings.filterwarnings("ignore", message=".*'crs' was not provided")
            warnings.filterwarnings("ignore", message=".*filename extension should be")
            pyogrio.write_arrow(
                pa.RecordBatchReader.from_batches(_SCHEMA, iter(stream)),
                path,
                layer=layer,
                driver="GPKG",
                geometry_name=_GEOMETRY,
                geometry_type=geometry_type,
                crs=crs_wkt,
                dataset_options={"VERSION": "1.3"},
                layer_options={"GEOMETRY_NAME": _GEOMETRY, "SPATIAL_INDEX": "YES"},
            )
    except _OGR_ERRORS as error:
        if stream.broke is not None:
            raise stream.broke from error
        raise OSError(str(error)) from error


@contextmanager
def _plainly_named(part: Path) -> Iterator[str]:
    """Name a file so that pyogrio, which looks for archives and addresses in a path, takes it for a plain file."""
    if not re.search(r"[!?\s]", str(part)):
        yield str(part)
        return
    folder = os.open(part.parent, os.O_RDONLY | os.O_DIRECTORY)
    plain = f"segments.{os.getpid()}.part"
    try:
        yield f"/proc/self/fd/{folder}/{plain}"
        os.replace(plain, part.name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(plain, dir_fd=folder)
        os.close(folder)


def _add_style(part: Path, layer: str, qml: str) -> None:
    with closing(sqlite3.connect(part)) as db, db:
        db.execute("PRAGMA journal_mode = MEMORY")  # a part that breaks is thrown away: nothing to roll back to
        db.execute(_LAYER_STYLES)
        db.execute(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName,"
            " styleQML, styleSLD, useAsDefault, description, owner, update_time)"
            " VALUES ('', '', ?, ?, 'classes', ?, '', 1, 'Classes by colour', '', ?)",
            (layer, _GEOMETRY, qml, _LAST_CHANGE),
        )
        db.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, last_change, srs_id)"
            " VALUES ('layer_styles', 'attributes', 'layer_styles', '', ?, 0)",
            (_LAST_CHANGE,),
        )
        db.execute("UPDATE gpkg_contents SET last_change = ?", (_LAST_CHANGE,))


def _verify(part: Path, layer: str, stream: _Stream) -> None:
    """Check the finished file against what went in.

    Raises:
        OSError: rows are missing, or SQLite finds the file broken.
    """
    name = '"' + layer.replace('"', '""') + '"'
    with closing(sqlite3.connect(f"file:{_uri(part)}?mode=ro", uri=True)) as db:
        problem = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if problem != "ok":
            raise OSError(f"SQLite finds the file broken: {problem}")
        found = db.execute(
            f"SELECT count(*), coalesce(sum(pixels), 0), coalesce(sum(class_code), 0) FROM {name}"  # noqa: S608 - quoted
        ).fetchone()
    if found != (stream.rows, stream.pixels, stream.codes):
        raise OSError(
            f"{found[0]} polygons with {found[1]} pixels read back, {stream.rows} with {stream.pixels} went in"
        )


def _uri(path: Path) -> str:
    return path.absolute().as_uri().removeprefix("file://")
