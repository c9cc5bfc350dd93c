"""Check of GeoParquet: page checksums, the ``geo`` metadata, and the bounding boxes of the geometries."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from geoseg.core.types.json_value import UntypedDict

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def check_geoparquet(path: Path) -> None:
    """Read every row group of a GeoParquet file and compare its geometries with the metadata.

    Raises:
        OSError: the footer or a page is damaged, the metadata is missing, or a box is not that of its geometry.

    Source:
        OGC GeoParquet 1.1.0, https://geoparquet.org/releases/v1.1.0/.
    """
    try:
        with path.open("rb") as source, pq.ParquetFile(source, page_checksum_verification=True) as file:
            geo = json.loads((file.metadata.metadata or {}).get(b"geo", b"null"))
            if not isinstance(geo, dict) or not {"version", "primary_column", "columns"} <= geo.keys():
                raise OSError("its footer has no geo metadata")
            name = geo["primary_column"]
            column = geo["columns"][name]
            rows = sum(_check(batch, name, column) for batch in file.iter_batches(4096))
            if rows != file.metadata.num_rows:
                raise OSError(f"it has {rows} rows, its footer says {file.metadata.num_rows}")
    except (pa.ArrowException, KeyError) as error:
        raise OSError(str(error)) from error


def _check(batch: pa.RecordBatch, name: str, column: UntypedDict) -> int:
    try:
        shapes = shapely.from_wkb(batch[name].to_numpy(zero_copy_only=False))
    except shapely.GEOSException as error:
        raise OSError(f"a geometry is broken: {error}") from error
    there = np.flatnonzero(shapely.is_geometry(shapes))
    kinds = {shape.geom_type for shape in shapes[there]}
    if not kinds <= set(column["geometry_types"]):
        raise OSError(f"it holds {', '.join(sorted(kinds))}, its metadata says {', '.join(column['geometry_types'])}")
    bounds = shapely.bounds(shapes[there])
    if "bbox" in batch.schema.names:
        box = batch["bbox"].take(pa.array(there))
        boxes = np.column_stack([box.field(corner).to_numpy(zero_copy_only=False) for corner in _CORNERS])
        if not np.array_equal(boxes, bounds, equal_nan=True):
            raise OSError("a box of its bbox column is not that of its geometry")
    if len(there) and "bbox" in column:
        low, high = np.array(column["bbox"][:2]), np.array(column["bbox"][-2:])
        if not ((bounds[:, :2] >= low) & (bounds[:, 2:] <= high)).all():
            raise OSError("a geometry lies outside the bbox of its metadata")
    return int(batch.num_rows)
