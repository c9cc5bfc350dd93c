"""Writing of segments with GDAL's vector drivers: streamed, and verified by reading back."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyogrio
from pyogrio.errors import CRSError, DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError

from geoseg.io.files.column_sums import ColumnSums
from geoseg.io.files.gdal_messages import suppress_gdal_messages
from geoseg.io.polygons.segment_stream import GEOMETRY, SegmentStream
from geoseg.io.polygons.vector_schema import VectorSchema

# RuntimeError bare is what pyogrio makes of a stream that cannot be used
OGR_ERRORS = (
    CRSError,
    DataLayerError,
    DataSourceError,
    FeatureError,
    FieldError,
    GeometryError,
    RuntimeError,
    pa.ArrowException,
)

_BATCH_ROWS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class OgrFormat:
    """GDAL driver and options of a file.

    Attributes:
        driver: GDAL's name of the format.
        suffix: suffix by which GDAL recognises a file of the format, and not a folder.
        dataset_options: the driver's creation options.
        layer_options: creation options of the layer.
    """

    driver: str
    suffix: str
    dataset_options: Mapping[str, str] = field(default_factory=dict)
    layer_options: Mapping[str, str] = field(default_factory=dict)


def silence_ogr() -> None:
    """Permanently suppress GDAL's warnings on stderr; its errors are still raised.

    pyogrio catches warnings only in the thread that imported it; a worker of a cluster writes in any thread.
    """
    pyogrio.set_gdal_config_options({"CPL_LOG": os.devnull})


def write_layer(part: Path, stream: SegmentStream, how: OgrFormat, schema: VectorSchema) -> None:
    """Write all segments of a stream as one layer of a new or existing file.

    Args:
        part: the file to write or extend.
        stream: the polygons.
        how: driver and options.
        schema: name and CRS of the layer.

    Raises:
        OSError: GDAL cannot write the file.
        BaseException: an error of the stream itself, unchanged.
    """
    with (
        suppress_gdal_messages(),
        plainly_named(part, how.suffix) as path,
        arrow_stream(stream.schema, _even(stream)) as arrow,
    ):
        pyogrio.write_arrow(
            arrow,
            path,
            layer=schema.layer,
            driver=how.driver,
            geometry_name=GEOMETRY,
            geometry_type="MultiPolygon" if schema.multi else "Polygon",
            crs=schema.crs_wkt,
            dataset_options=dict(how.dataset_options),
            layer_options=dict(how.layer_options),
        )


@contextmanager
def arrow_stream(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatchReader]:
    """Give batches to GDAL as an Arrow stream that never fails.

    An exception of the batches, an interruption too, ends the stream early and is raised when the body is left. C code
    can carry none: Arrow would format its traceback, which runs Python code, inside of the callback.

    Args:
        schema: of the batches.
        batches: read once, in the thread that writes.

    Yields:
        For ``pyogrio.write_arrow``. The file that was written so far is to be thrown away where the body is left by an
        exception.

    Raises:
        OSError: GDAL cannot write the file.
        BaseException: whatever the batches raised, as it was.
    """
    broke: list[BaseException] = []

    def contained() -> Iterator[pa.RecordBatch]:
        try:
            yield from batches
        except GeneratorExit:  # GDAL did not read to the end
            raise
        except BaseException as error:  # noqa: BLE001 - raised again below
            broke.append(error)

    try:
        yield pa.RecordBatchReader.from_batches(schema, contained())
    except OGR_ERRORS as error:
        raise broke[0] if broke else OSError(str(error)) from error
    if broke:
        raise broke[0]


def read_sums(part: Path, schema: pa.Schema) -> ColumnSums:
    """Compute the column sums of a finished file of one layer, with one batch in memory at a time.

    Args:
        part: the file.
        schema: schema of its columns.

    Raises:
        OSError: GDAL cannot read the file.
    """
    sums = ColumnSums()
    names = [name for name in schema.names if name != GEOMETRY]
    try:
        with part.open("rb") as file:
            name = f"/proc/self/fd/{file.fileno()}"
            with pyogrio.open_arrow(name, columns=names, use_pyarrow=True) as (meta, reader):
                shapes = meta["geometry_name"] or "wkb_geometry"
                for batch in reader:
                    sums.add({**{column: batch[column] for column in names}, GEOMETRY: batch[shapes]})
    except OGR_ERRORS as error:
        raise OSError(str(error)) from error
    return sums


def _even(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Re-chunk batches to equal lengths, since the files of some drivers depend on batch boundaries."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            part = batch.slice(start, _BATCH_ROWS - rows)
            held.append(part)
            rows += part.num_rows
            start += part.num_rows
            if rows == _BATCH_ROWS:
                yield from pa.Table.from_batches(held).combine_chunks().to_batches()
                held, rows = [], 0
    if held:
        yield from pa.Table.from_batches(held).combine_chunks().to_batches()


@contextmanager
def plainly_named(part: Path, suffix: str) -> Iterator[str]:
    """Return a path of a file by which pyogrio and GDAL recognise it correctly.

    pyogrio looks for archives and addresses in a path, GDAL's drivers for a suffix.
    """
    odd = r"[!?\s\ud800-\udfff]"
    plain = re.sub(odd, "_", part.name) + suffix
    folder = os.open(part.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with suppress(FileNotFoundError):  # a second layer goes into the file that is there
            os.replace(part.name, plain, src_dir_fd=folder, dst_dir_fd=folder)
        yield f"/proc/self/fd/{folder}/{plain}" if re.search(odd, str(part.parent)) else str(part.with_name(plain))
        os.replace(plain, part.name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(plain, dir_fd=folder)
        os.close(folder)
