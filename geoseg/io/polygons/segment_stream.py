"""SegmentStream: batches of segments as Arrow record batches, checked and counted on the way into a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from geoseg.core.segments import Segments
from geoseg.errors import LegendError
from geoseg.io.files.column_sums import ColumnSums
from geoseg.io.polygons.vector_schema import VectorSchema

GEOMETRY = "geom"
ATTRIBUTES = pa.schema(
    [
        pa.field("class_code", pa.int32()),
        pa.field("class_name", pa.string()),
        pa.field("area_m2", pa.float64()),
        pa.field("perimeter_m", pa.float64()),
        pa.field("confidence", pa.float64()),
        pa.field("confidence_min", pa.float64()),
        pa.field("pixels", pa.int64()),
    ]
)
_WKB = pa.field(GEOMETRY, pa.binary(), metadata={"ARROW:extension:name": "geoarrow.wkb"})
_KINDS = {"f": pa.float64(), "i": pa.int64(), "U": pa.string()}
# an Arrow array of bytes holds 2 GiB
_LARGEST_BATCH_BYTES = 2**29


class SegmentStream:
    """One-pass stream of segments that checks and counts them.

    Args:
        batches: polygons, batch by batch.
        schema: legend and columns of the layer.

    Attributes:
        attributes: schema of all columns but the geometry.
        schema: of the record batches.
        rows: polygons that passed.
        pixels: sum of their pixels.
        codes: sum of their class codes.
        sums: of all columns of the record batches.
    """

    def __init__(self, batches: Iterable[Segments], schema: VectorSchema) -> None:
        self._batches = batches
        legend, extra = schema.legend, schema.extra
        self._extra = extra.names or ()
        self.attributes = pa.schema([*ATTRIBUTES, *(pa.field(n, _KINDS[extra[n].kind]) for n in self._extra)])
        self.schema = self.attributes.append(_WKB)
        self._names = np.full(256, None, dtype=object)
        self._names[list(legend.codes)] = legend.names
        self._known = set(legend.codes)
        self.rows = self.pixels = self.codes = 0
        self.sums = ColumnSums()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield record batches of ``schema``, none of them empty."""
        for segments in self.segments():
            arrays = [*self.columns(segments), pa.array(to_wkb(segments.geometry), pa.binary())]
            self.sums.add(dict(zip(self.schema.names, arrays, strict=True)))
            yield pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def segments(self) -> Iterator[Segments]:
        """Yield the batches, none of them empty and none too large for one Arrow array.

        Raises:
            LegendError: a polygon's code is not in the legend.
        """
        for batch in self._batches:
            for segments in _portions(batch):
                unknown = sorted(set(np.unique(segments.class_code).tolist()) - self._known)
                if unknown:
                    raise LegendError(
                        f"class codes {', '.join(map(str, unknown))} are not in the legend. Add them to it, or give"
                        " the one that belongs to these codes."
                    )
                self.rows += len(segments)
                self.pixels += int(segments.pixels.sum())
                self.codes += int(segments.class_code.sum(dtype=np.int64))
                yield segments

    def columns(self, segments: Segments) -> list[pa.Array]:
        """Make the columns of ``attributes``; unknown values are null."""
        columns = [
            segments.class_code.astype(np.int32),
            self._names[segments.class_code],
            segments.area_m2,
            segments.perimeter_m,
            _probability(segments.confidence),
            _probability(segments.confidence_min),
            segments.pixels,
            *(segments.extra[name] for name in self._extra),
        ]
        return [pa.array(c, type=f.type, from_pandas=True) for c, f in zip(columns, self.attributes, strict=True)]

    def expect_sums(self, found: ColumnSums) -> None:
        """Compare the column sums of a finished file with those of the record batches.

        Raises:
            OSError: they differ.
        """
        difference = self.sums.difference(found)
        if difference is not None:
            raise OSError(f"the polygons read back with {difference}")

    def expect(self, rows: int, pixels: int, codes: int) -> None:
        """Compare the counts of a finished file with those of the stream.

        Args:
            rows: number of polygons.
            pixels: sum of their pixels.
            codes: sum of their class codes.

        Raises:
            OSError: they differ.
        """
        if (rows, pixels, codes) != (self.rows, self.pixels, self.codes):
            raise OSError(
                f"{rows} polygons with {pixels} pixels read back, {self.rows} with {self.pixels} went in"
                + ("" if codes == self.codes else "; class codes differ")
            )


def to_wkb(geometry: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Encode geometries as ISO WKB, little-endian on every machine."""
    return np.asarray(shapely.to_wkb(geometry, flavor="iso", byte_order=1))


def _portions(segments: Segments) -> Iterator[Segments]:
    size_bytes = np.cumsum(shapely.get_num_coordinates(segments.geometry) * 16)
    if not len(size_bytes):
        return
    cuts = np.flatnonzero(np.diff(size_bytes // _LARGEST_BATCH_BYTES)) + 1
    for start, stop in zip([0, *cuts], [*cuts, len(segments)], strict=True):
        yield segments[start:stop]


def _probability(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    # six digits are all a float32 holds; more would show as 0.10000000149
    return np.asarray(np.round(values.astype(np.float64), 6))
