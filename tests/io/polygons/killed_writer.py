"""Write polygons until killed: says on stdout when the file is half written, then waits.

usage: killed_writer.py FILE
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # where pytest finds the tests' shared modules

from geoseg.io.polygons.vector_formats import write_vectors
from geoseg.io.polygons.vector_schema import VectorSchema
from geoseg.testing.segments import LEGEND, UTM, segments_of


def batches():
    for seed in range(3):
        yield segments_of(1000, seed)
    sys.stdout.write("half\n")
    sys.stdout.flush()
    time.sleep(600)


write_vectors(Path(sys.argv[1]), batches(), VectorSchema(crs_wkt=UTM, legend=LEGEND))
