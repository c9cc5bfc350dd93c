"""GeoParquet 1.1 of segments: compressed columns in spatial order, so that readers can skip distant row groups."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from math import pi
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely
from pyproj import CRS

from geoseg.core.segments import Segments
from geoseg.core.types.json_value import JsonDict
from geoseg.io.checks.geoparquet import check_geoparquet
from geoseg.io.files.sorted_spill import SortedSpill
from geoseg.io.files.writing import whole_file
from geoseg.io.polygons.hilbert import hilbert_keys
from geoseg.io.polygons.segment_stream import SegmentStream, to_wkb
from geoseg.io.polygons.vector_schema import VectorSchema

F64 = npt.NDArray[np.float64]

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_SHAPE = [
    pa.field("geometry", pa.binary()),
    pa.field("bbox", pa.struct([pa.field(corner, pa.float64()) for corner in _CORNERS])),
]
_KEY = pa.field("key", pa.int64())
_GROUP_ROWS = 65536
_GROUP_BYTES = 2**28
# the curve runs over a square that holds every projected CRS, in cells of 3 cm, or every longitude and latitude
_BITS = 31
_HALF_SIDE_M = 2.0**25
_HALF_SIDE_DEGREES = 512.0
_SMALL = 1 << 2 * _BITS
_LARGE_PX = 2048


def write_geoparquet(
    path: Path,
    batches: Iterable[Segments],
    schema: VectorSchema,
) -> int:
    """Write polygons as GeoParquet 1.1, compressed by Zstandard, with a ``bbox`` covering column.

    The rows follow the Hilbert curve, in row groups of 65,536, so that each group covers a compact piece of the map;
    the few polygons wider than 2048 pixels come first, in groups of their own. They are sorted on disk: memory does not
    grow with their number.

    Args:
        path: the final ``.parquet``.
        batches: polygons, batch by batch; no batches give an empty layer.
        schema: CRS, legend and columns of the layer; the format keeps no name.

    Returns:
        Number of polygons written.

    Raises:
        WriteError: the disk is full or fails; nothing is left at ``path``.
        LegendError: a polygon's code is not in the legend.

    Source:
        OGC GeoParquet 1.1.0, https://geoparquet.org/releases/v1.1.0/.
    """
    stream = SegmentStream(batches, schema)
    crs = None if schema.crs_wkt is None else CRS.from_wkt(schema.crs_wkt)

    def verify(part: Path) -> None:
        check_geoparquet(part)
        stream.expect(*_totals(part))

    with whole_file(path, verify=verify) as part:
        columns = pa.schema([*stream.attributes, *_SHAPE])
        spill = SortedSpill(part, columns.append(_KEY))
        seen = _Seen()
        half_side = _half_side(crs)
        for segments in stream.segments():
            spill.add(_rows(stream, segments, seen, half_side))
        with part.open("wb") as file, _parquet(file, columns) as writer:
            for group in _groups(spill.read()):
                writer.write_table(group, row_group_size=len(group))
            writer.add_key_value_metadata(
                {"geo": json.dumps(_metadata(seen, crs, multi=schema.multi), allow_nan=False)}
            )
    return stream.rows


class _Seen:
    """Totals over all polygons, for the metadata."""

    def __init__(self) -> None:
        self.types: set[str] = set()
        self.bounds: F64 | None = None

    def add(self, geometry: npt.NDArray[np.object_], bounds: F64) -> None:
        kinds = np.unique(shapely.get_type_id(geometry))
        self.types |= {"MultiPolygon" if kind == shapely.GeometryType.MULTIPOLYGON else "Polygon" for kind in kinds}
        known = bounds if self.bounds is None else np.vstack([bounds, self.bounds])
        self.bounds = np.r_[known[:, :2].min(axis=0), known[:, 2:].max(axis=0)]


def _rows(stream: SegmentStream, segments: Segments, seen: _Seen, half_side: float) -> pa.RecordBatch:
    geometry = shapely.orient_polygons(segments.geometry, exterior_cw=False)
    bounds = shapely.bounds(geometry)
    seen.add(geometry, bounds)
    box = pa.StructArray.from_arrays([pa.array(column) for column in bounds.T.copy()], list(_CORNERS))
    arrays = [*stream.columns(segments), pa.array(to_wkb(geometry), pa.binary()), box]
    arrays.append(pa.array(_places(segments, bounds, half_side)))
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema([*stream.attributes, *_SHAPE, _KEY]))


def _places(segments: Segments, bounds: F64, half_side: float) -> npt.NDArray[np.int64]:
    """Sort keys of polygons: large ones first, then along the curve, by the centres of their boxes."""
    middle = (bounds[:, :2] + bounds[:, 2:]) / 2
    cell = np.floor((middle / half_side + 1) * 2 ** (_BITS - 1))
    cell = np.clip(cell, 0, 2**_BITS - 1).astype(np.int64)
    side = (bounds[:, 2:] - bounds[:, :2]).max(axis=1)
    small = side**2 * segments.pixels <= _LARGE_PX**2 * shapely.area(segments.geometry)
    return hilbert_keys(cell[:, 0], cell[:, 1], _BITS) + np.where(small, _SMALL, 0)


def _half_side(crs: CRS | None) -> float:
    """Half the side of the square that the curve runs over, in CRS units."""
    if crs is None or not crs.axis_info:
        return _HALF_SIDE_M
    unit = crs.axis_info[0].unit_conversion_factor
    return (_HALF_SIDE_DEGREES * pi / 180 if crs.is_geographic else _HALF_SIDE_M) / unit


def _groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Cut sorted rows into row groups: when one is full or holds many bytes, and after the large polygons."""
    held: list[pa.RecordBatch] = []
    rows = size_bytes = 0
    large = False
    for batch in batches:
        size = np.cumsum(pc.binary_length(batch["geometry"]).to_numpy())
        large_rows = int(np.searchsorted(batch["key"].to_numpy(), _SMALL))
        start = 0
        while start < batch.num_rows:
            if not rows:
                large = start < large_rows
            alike = large_rows if large else batch.num_rows
            before = int(size[start - 1]) if start else 0
            fitting = int(np.searchsorted(size, before + _GROUP_BYTES - size_bytes, "right"))
            stop = max(start + (not rows), min(alike, fitting, start + _GROUP_ROWS - rows))
            if start == stop:
                yield _group(held)
                held, rows, size_bytes = [], 0, 0
                continue
            held.append(batch.slice(start, stop - start))
            rows, size_bytes = rows + stop - start, size_bytes + int(size[stop - 1]) - before
            start = stop
    if held:
        yield _group(held)


def _group(held: list[pa.RecordBatch]) -> pa.Table:
    return pa.Table.from_batches(held).drop_columns(["key"]).combine_chunks()


def _parquet(file: object, schema: pa.Schema) -> pq.ParquetWriter:
    measured = [name for name in schema.names if name not in ("geometry", "bbox")]  # bounds of WKB bytes mean nothing
    return pq.ParquetWriter(
        file,
        schema,
        compression="zstd",
        use_dictionary=["class_code", "class_name"],
        write_statistics=[*measured, *(f"bbox.{corner}" for corner in _CORNERS)],
        write_page_index=True,
        write_page_checksum=True,
        store_schema=False,  # Arrow's own copy of the schema would hide the file's metadata from it
    )


def _metadata(seen: _Seen, crs: CRS | None, *, multi: bool) -> JsonDict:
    column = {
        "encoding": "WKB",
        "geometry_types": sorted(seen.types or {"MultiPolygon" if multi else "Polygon"}),
        "crs": None if crs is None else crs.to_json_dict(),
        "edges": "planar",
        "orientation": "counterclockwise",
        "covering": {"bbox": {corner: ["bbox", corner] for corner in _CORNERS}},
    }
    if seen.bounds is not None:
        column["bbox"] = seen.bounds.tolist()
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


def _totals(part: Path) -> tuple[int, int, int]:
    """Read every page of a finished file, by its checksum, one row group in memory at a time."""
    rows = pixels = codes = 0
    try:
        with part.open("rb") as source, pq.ParquetFile(source, page_checksum_verification=True) as file:
            for index in range(file.num_row_groups):
                group = file.read_row_group(index)
                rows += group.num_rows
                pixels += pc.sum(group["pixels"]).as_py()
                codes += pc.sum(group["class_code"]).as_py()
    except pa.ArrowException as error:
        raise OSError(str(error)) from error
    return rows, pixels, codes
