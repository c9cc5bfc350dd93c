"""FlatGeobuf of segments: one flat file with a packed Hilbert R-tree, read over HTTP by bounding box."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from geoseg.core.segments import Segments
from geoseg.io.checks.flatgeobuf import check_flatgeobuf
from geoseg.io.files.writing import whole_file
from geoseg.io.polygons.ogr_file import OgrFormat, read_sums, write_layer
from geoseg.io.polygons.segment_stream import SegmentStream
from geoseg.io.polygons.vector_schema import VectorSchema

_FLATGEOBUF = OgrFormat(driver="FlatGeobuf", suffix=".fgb", layer_options={"SPATIAL_INDEX": "YES"})


def write_flatgeobuf(
    path: Path,
    batches: Iterable[Segments],
    schema: VectorSchema,
) -> int:
    """Write polygons as FlatGeobuf with its spatial index.

    The polygons are kept in a temporary file next to the target until they are sorted; GDAL keeps some 60 bytes of each
    in memory.

    Args:
        path: the final ``.fgb``.
        batches: polygons, batch by batch; no batches give an empty layer.
        schema: CRS, legend, name and columns of the layer.

    Returns:
        Number of polygons written.

    Raises:
        WriteError: the disk is full or fails; nothing is left at ``path``.
        LegendError: a polygon's code is not in the legend.

    Source:
        https://flatgeobuf.org, written by https://gdal.org/en/stable/drivers/vector/flatgeobuf.html.
    """
    stream = SegmentStream(batches, schema)

    def verify(part: Path) -> None:
        check_flatgeobuf(part)
        stream.expect_sums(read_sums(part, stream.schema))

    with whole_file(path, verify=verify) as part:
        write_layer(part, stream, _FLATGEOBUF, schema)
    return stream.rows
