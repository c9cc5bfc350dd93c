"""Segments read back, batch by batch, from the GeoPackages and GeoParquet files that geoseg writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from geoseg.core.segments import Segments
from geoseg.core.types.arrays import AnyArray
from geoseg.errors import SceneError
from geoseg.io.polygons.merged_segments import segment_columns
from geoseg.io.polygons.ogr_file import OGR_ERRORS
from geoseg.io.polygons.segment_stream import ATTRIBUTES, GEOMETRY

OBJECT_ID = "object_id"
WITH_ID: np.dtype[np.void] = np.dtype([(OBJECT_ID, np.int64)])
"""Columns of ``Segments.extra`` that hold the id of an object."""


def read_segments(path: Path) -> Iterator[Segments]:
    """Read the polygons of a scene's GeoPackage.

    Raises:
        SceneError: the file is damaged or holds other columns.
    """
    try:
        for columns in segment_columns(path):
            yield _segments(dict(zip([*ATTRIBUTES.names, GEOMETRY], columns, strict=True)), GEOMETRY)
    except (ValueError, KeyError, OSError, *OGR_ERRORS) as error:
        raise SceneError(str(path), f"its polygons cannot be read ({error}).", "Segment the scene again.") from error


def read_parquet(path: Path) -> Iterator[Segments]:
    """Read the polygons of a GeoParquet file, with their ``object_id`` if they have one, a row group at a time.

    Raises:
        SceneError: the file is damaged or holds other columns.
    """
    try:
        with path.open("rb") as source, pq.ParquetFile(source, page_checksum_verification=True) as file:
            for index in range(file.num_row_groups):
                group = file.read_row_group(index)
                yield _segments({name: group.column(name) for name in group.schema.names}, "geometry")
    except (ValueError, KeyError, OSError, pa.ArrowException) as error:
        raise SceneError(str(path), f"its polygons cannot be read ({error}).", "Remove it and run again.") from error


def with_ids(segments: Segments, ids: npt.NDArray[np.int64]) -> Segments:
    """Return segments with an ``object_id`` each."""
    extra = np.zeros(len(segments), WITH_ID)
    extra[OBJECT_ID] = ids
    columns = {name: getattr(segments, name) for name in Segments.__dataclass_fields__}
    return Segments(**(columns | {"extra": extra}))


def _segments(columns: dict[str, pa.Array | pa.ChunkedArray], geometry: str) -> Segments:
    def numbers(name: str, dtype: type) -> AnyArray:
        return np.asarray(columns[name].to_pandas().to_numpy(), dtype=dtype)

    shapes = shapely.from_wkb(np.asarray(columns[geometry].to_pandas().to_numpy(), dtype=object))
    extra = np.zeros(len(shapes), WITH_ID) if OBJECT_ID in columns else np.zeros(len(shapes), [])
    if OBJECT_ID in columns:
        extra[OBJECT_ID] = numbers(OBJECT_ID, np.int64)
    return Segments(
        geometry=np.asarray(shapes, dtype=object),
        class_code=numbers("class_code", np.uint8),
        area_m2=numbers("area_m2", np.float64),
        perimeter_m=numbers("perimeter_m", np.float64),
        confidence=numbers("confidence", np.float32),
        confidence_min=numbers("confidence_min", np.float32),
        pixels=numbers("pixels", np.int64),
        extra=extra,
    )
