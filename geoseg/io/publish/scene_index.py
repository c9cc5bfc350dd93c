"""The index of an archive's scenes: GeoParquet 1.1, one row per scene, streamed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from shapely.geometry import shape

from geoseg.core.legend import Legend
from geoseg.core.types.json_value import JsonObject, UntypedDict, UntypedMapping
from geoseg.io.checks.geoparquet import check_geoparquet
from geoseg.io.files.writing import whole_file
from geoseg.io.polygons.segment_stream import to_wkb

GEOMETRY = "geometry"
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_MOMENT = pa.timestamp("ms", tz="UTC")
_BEFORE_AREAS = [
    pa.field("name", pa.string(), nullable=False),
    pa.field("state", pa.string(), nullable=False),
    pa.field("cause", pa.string()),
    pa.field("exit_code", pa.int32()),
    pa.field("attempts", pa.int32()),
    pa.field("uri", pa.string()),
    pa.field("pixels", pa.int64()),
    pa.field("valid_pixels", pa.int64()),
]
_AFTER_AREAS = [
    pa.field("seconds", pa.float64()),
    pa.field("predict_s", pa.float64()),
    pa.field("layers_s", pa.float64()),
    pa.field("publish_s", pa.float64()),
    pa.field("blocks", pa.int32()),
    pa.field("started", _MOMENT),
    pa.field("finished", _MOMENT),
    pa.field("scene_digest", pa.string()),
    pa.field("model_digest", pa.string()),
    pa.field("options_digest", pa.string()),
    pa.field("layers", pa.string()),
    pa.field("item", pa.string()),
    pa.field("classes", pa.string()),
    pa.field("segments", pa.string()),
    pa.field("preview", pa.string()),
]
_SHAPE = [
    pa.field(GEOMETRY, pa.binary()),
    pa.field("bbox", pa.struct([pa.field(corner, pa.float64()) for corner in _CORNERS])),
]
_GROUP_ROWS = 2000


def area_columns(legend: Legend | None) -> dict[str, str]:
    """Map class names to unique area columns ``area_m2_NAME`` of letters and digits."""
    found: dict[str, str] = {}
    for entry in () if legend is None else legend.classes:
        column = "area_m2_" + (re.sub(r"\W+", "_", entry.name).strip("_").lower() or f"class_{entry.code}")
        found[entry.name] = column if column not in found.values() else f"{column}_{entry.code}"
    return found


def write_scene_index(path: Path, rows: Iterable[UntypedMapping], legend: Legend | None) -> int:
    """Write the index; row groups of 2,000 scenes are in memory at a time.

    Args:
        path: the final ``.parquet``.
        rows: values by column; ``geometry`` is a GeoJSON geometry in longitude and latitude or None. A column that a
            row leaves out is null there.
        legend: classes that get a column of areas, see ``area_columns``.

    Returns:
        Number of rows written.

    Raises:
        WriteError: the disk is full or fails; ``path`` is unchanged.

    Source:
        OGC GeoParquet 1.1.0, https://geoparquet.org/releases/v1.1.0/. Without a ``crs`` the coordinates are those of
        OGC:CRS84.
    """
    areas = [pa.field(column, pa.float64()) for column in area_columns(legend).values()]
    schema = pa.schema([*_BEFORE_AREAS, *areas, *_AFTER_AREAS, *_SHAPE])
    count = 0

    def verify(part: Path) -> None:
        check_geoparquet(part)
        found = sum(batch.num_rows for batch in _checked(part))
        if found != count:
            raise OSError(f"{found} scenes read back, {count} went in")

    with whole_file(path, verify=verify) as part:
        kinds: set[str] = set()
        bounds = np.array([np.inf, np.inf, -np.inf, -np.inf])
        with part.open("wb") as file, _writer(file, schema) as writer:
            for group in _groups(rows):
                table = _table(group, schema, kinds, bounds)
                writer.write_table(table, row_group_size=len(table))
                count += len(group)
            writer.add_key_value_metadata({"geo": json.dumps(_metadata(kinds, bounds), allow_nan=False)})
    return count


def read_batches(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Read an index back, some thousand rows at a time.

    Args:
        path: the index.
        columns: columns to read; None: all.
    """
    with path.open("rb") as source, pq.ParquetFile(source) as file:
        yield from file.iter_batches(4096, columns=None if columns is None else list(columns))


def columns_of(path: Path) -> pa.Schema:
    """Read the column names of an index."""
    return pq.read_schema(path)


def _groups(rows: Iterable[JsonObject]) -> Iterator[list[UntypedMapping]]:
    source = iter(rows)
    while group := list(islice(source, _GROUP_ROWS)):
        yield group


def _table(group: list[UntypedMapping], schema: pa.Schema, kinds: set[str], bounds: Any) -> pa.Table:
    """Convert rows to columns; extends the totals for the metadata."""
    shapes = np.array([None if row.get(GEOMETRY) is None else shape(row[GEOMETRY]) for row in group], dtype=object)
    shapes = shapely.orient_polygons(shapes, exterior_cw=False)
    there = np.flatnonzero(shapely.is_valid_input(shapes) & ~shapely.is_empty(shapes) & (shapes != None))  # noqa: E711
    boxes: list[dict[str, float] | None] = [None] * len(group)
    wkb: list[bytes | None] = [None] * len(group)
    if there.size:
        corners = shapely.bounds(shapes[there])
        bounds[:2] = np.minimum(bounds[:2], corners[:, :2].min(axis=0))
        bounds[2:] = np.maximum(bounds[2:], corners[:, 2:].max(axis=0))
        kinds |= {one.geom_type for one in shapes[there]}
        for index, box, code in zip(there, corners.tolist(), to_wkb(shapes[there]), strict=True):
            boxes[index], wkb[index] = dict(zip(_CORNERS, box, strict=True)), code
    made = {GEOMETRY: wkb, "bbox": boxes}
    columns = [made.get(field.name) or [row.get(field.name) for row in group] for field in schema]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _writer(file: object, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(
        file,
        schema,
        compression="zstd",
        use_dictionary=["state", "cause", "model_digest", "options_digest"],
        write_page_checksum=True,
        store_schema=False,  # Arrow's own copy of the schema would hide the file's metadata from it
    )


def _metadata(kinds: set[str], bounds: Any) -> UntypedDict:
    column: dict[str, object] = {
        "encoding": "WKB",
        "geometry_types": sorted(kinds),
        "edges": "planar",
        "orientation": "counterclockwise",
        "covering": {"bbox": {corner: ["bbox", corner] for corner in _CORNERS}},
    }
    if np.isfinite(bounds).all():
        column["bbox"] = bounds.tolist()
    return {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}


def _checked(part: Path) -> Iterator[pa.RecordBatch]:
    """Read every page of a finished file, by its checksum."""
    try:
        with part.open("rb") as source, pq.ParquetFile(source, page_checksum_verification=True) as file:
            yield from file.iter_batches(4096)
    except pa.ArrowException as error:
        raise OSError(str(error)) from error
