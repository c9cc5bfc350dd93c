"""GeoPackage of segments: streamed, with its style inside, deterministic bytes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from geoseg.core.legend import Legend
from geoseg.core.segments import Segments
from geoseg.io.checks.geopackage import check_geopackage, quoted
from geoseg.io.files.column_sums import ColumnSums
from geoseg.io.files.sqlite_file import read_only, settle_change_counter
from geoseg.io.files.writing import whole_file
from geoseg.io.polygons.derived_layer import DerivedLayer, Spill
from geoseg.io.polygons.ogr_file import OgrFormat, write_layer
from geoseg.io.polygons.segment_stream import GEOMETRY, SegmentStream
from geoseg.io.polygons.vector_schema import VectorSchema
from geoseg.io.publish.about import About
from geoseg.io.publish.segment_style import segments_qml

_GEOPACKAGE = OgrFormat(
    driver="GPKG",
    suffix=".gpkg",
    dataset_options={"VERSION": "1.3"},
    layer_options={"GEOMETRY_NAME": GEOMETRY, "SPATIAL_INDEX": "YES"},
)
_ROWS_AT_ONCE = 4096
# "GP", version, flags, CRS and the box of a polygon; the WKB follows
_BLOB_HEAD_BYTES = 8 + 4 * 8
# the run's own time stands in its record; here it would make two runs of the same input differ
_LAST_CHANGE = "1970-01-01T00:00:00.000Z"
_LAYER_STYLES = """CREATE TABLE IF NOT EXISTS layer_styles (
  id INTEGER PRIMARY KEY AUTOINCREMENT, f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256),
  f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN,
  description TEXT, owner TEXT(30), ui TEXT(30), update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')))"""


def write_segments(
    path: Path,
    batches: Iterable[Segments],
    schema: VectorSchema,
    *,
    second: DerivedLayer | None = None,
    about: About | None = None,
) -> int:
    """Write polygons as one GeoPackage layer with its default style, and optionally a second layer made from them.

    Args:
        path: the final ``.gpkg``.
        batches: polygons, batch by batch; one batch at a time is in memory. No batches give an empty layer.
        schema: CRS, legend, name and columns of the layer.
        second: a layer made from polygons of this one, with the same columns and colours.
        about: title and description of the layers, which QGIS shows.

    Returns:
        Number of polygons written to the first layer.

    Raises:
        WriteError: the disk is full or fails; nothing is left at ``path``.
        LegendError: a polygon's code is not in the legend.

    Source:
        OGC GeoPackage 1.3 (QGIS 3.22 warns of 1.4); ``layer_styles`` as QGIS keeps it.
    """
    streams: dict[str, SegmentStream] = {}

    def write(part: Path, layer: str, some: Iterable[Segments], names: Legend) -> None:
        streams[layer] = SegmentStream(some, schema)
        write_layer(part, streams[layer], _described(layer, about), replace(schema, layer=layer))
        add_style(part, layer, segments_qml(names, schema.extra.names or ()))

    with whole_file(path, verify=lambda part: _verify(part, streams)) as part:
        if second is None:
            write(part, schema.layer, batches, schema.legend)
        else:
            with Spill(path.absolute().parent, second.codes) as kept:
                write(part, schema.layer, kept.passing(batches), schema.legend)
                write(part, second.name, second.make(kept), second.of_legend(schema.legend))
        settle(part)
    return streams[schema.layer].rows


def _described(layer: str, about: About | None) -> OgrFormat:
    if about is None:
        return _GEOPACKAGE
    metadata = {"IDENTIFIER": f"{about.title} {layer}", "DESCRIPTION": about.text()}
    return replace(_GEOPACKAGE, layer_options={**_GEOPACKAGE.layer_options, **metadata})


def add_style(part: Path, layer: str, qml: str, description: str = "Classes by colour") -> None:
    """Add a layer's default style to an unfinished GeoPackage."""
    with closing(sqlite3.connect(part)) as db, db:
        db.execute("PRAGMA journal_mode = MEMORY")  # a part that breaks is thrown away: nothing to roll back to
        db.execute(_LAYER_STYLES)
        db.execute(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName,"
            " styleQML, styleSLD, useAsDefault, description, owner, update_time)"
            " VALUES ('', '', ?, ?, 'classes', ?, '', 1, ?, '', ?)",
            (layer, GEOMETRY, qml, description, _LAST_CHANGE),
        )
        db.execute(
            "INSERT OR IGNORE INTO gpkg_contents (table_name, data_type, identifier, description, last_change, srs_id)"
            " VALUES ('layer_styles', 'attributes', 'layer_styles', '', ?, 0)",
            (_LAST_CHANGE,),
        )


def settle(part: Path) -> None:
    """Reset time stamps and the change counter of a complete GeoPackage, so that its bytes are deterministic."""
    with closing(sqlite3.connect(part)) as db, db:
        db.execute("PRAGMA journal_mode = MEMORY")
        db.execute("UPDATE gpkg_contents SET last_change = ?", (_LAST_CHANGE,))
    settle_change_counter(part)


def _verify(part: Path, streams: Mapping[str, SegmentStream]) -> None:
    """Check the format of the finished file, and compare every value with the input.

    Raises:
        OSError: the file is damaged, or a value differs.
    """
    check_geopackage(part)
    with read_only(part) as db:
        for layer, stream in streams.items():
            stream.expect_sums(_sums(db, layer, stream.schema))
            styled = db.execute(
                "SELECT count(*) FROM layer_styles WHERE f_table_name = ? AND useAsDefault = 1", (layer,)
            ).fetchone()
            if styled != (1,):
                raise OSError(f"layer {layer!r} has no default style")


def _sums(db: sqlite3.Connection, layer: str, schema: pa.Schema) -> ColumnSums:
    sums = ColumnSums()
    columns = ", ".join(quoted(name) for name in schema.names)
    found = db.execute(f"SELECT {columns} FROM {quoted(layer)}")  # noqa: S608 - quoted
    while rows := found.fetchmany(_ROWS_AT_ONCE):
        *values, blobs = zip(*rows, strict=True)
        columns_of = [*values, [blob[_BLOB_HEAD_BYTES:] for blob in blobs]]
        sums.add({f.name: pa.array(column, f.type) for f, column in zip(schema, columns_of, strict=True)})
    return sums
