"""Write segments in a process of its own and be interrupted while GDAL takes them from Arrow's stream.

usage: interrupted_writer.py PATH NUMBER

Prints ``Stop`` where the exception of the signal's handler arrives at the caller.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType

import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[2]))  # where pytest finds the tests' shared modules

from geoseg.io.polygons import ogr_file
from geoseg.io.polygons.vector_formats import write_vectors
from geoseg.io.polygons.vector_schema import VectorSchema
from geoseg.testing.segments import LEGEND, UTM, segments_of


class Stop(BaseException):
    """The handler's own."""


def stop(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise Stop


if __name__ == "__main__":
    path, number = Path(sys.argv[1]), int(sys.argv[2])

    def interrupted(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        signal.raise_signal(number)
        yield from batches

    ogr_file._even = interrupted
    signal.signal(number, stop)
    try:
        write_vectors(path, [segments_of(9)], VectorSchema(crs_wkt=UTM, legend=LEGEND))
    except Stop:
        sys.stdout.write("Stop\n")
