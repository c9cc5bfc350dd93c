"""Footprints of an archive's scenes as a GeoPackage, styled by state, for desktop GIS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyogrio
import shapely

from geoseg.io.checks.geopackage import check_geopackage
from geoseg.io.files.sqlite_file import read_only
from geoseg.io.files.writing import whole_file
from geoseg.io.polygons.geopackage import add_style, settle
from geoseg.io.polygons.ogr_file import arrow_stream, plainly_named
from geoseg.io.polygons.segment_stream import to_wkb
from geoseg.io.publish.scene_index import GEOMETRY, columns_of, read_batches
from geoseg.io.publish.state_style import states_qml

LAYER = "scenes"
_GEOM = "geom"
_LEFT_OUT = {GEOMETRY, "bbox"}
_WKB = pa.field(_GEOM, pa.binary(), metadata={"ARROW:extension:name": "geoarrow.wkb"})


def write_footprints(path: Path, index: Path) -> int:
    """Write the rows of an index as layer ``scenes`` of a GeoPackage, with a default style by state.

    Args:
        path: the final ``.gpkg``.
        index: the file that ``scene_index.write_scene_index`` wrote; some thousand rows are in memory at a time.

    Returns:
        Number of scenes written; those without footprint are rows without geometry.

    Raises:
        WriteError: the disk is full or fails; ``path`` is unchanged.

    Source:
        OGC GeoPackage 1.3 (QGIS 3.22 warns of 1.4).
    """
    rows = 0

    def verify(part: Path) -> None:
        check_geopackage(part)
        with read_only(part) as db:
            (found,) = db.execute(f"SELECT count(*) FROM {LAYER}").fetchone()  # noqa: S608 - a constant
        if found != rows:
            raise OSError(f"{found} scenes read back, {rows} went in")

    def stream(schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        nonlocal rows
        for batch in read_batches(index):
            rows += batch.num_rows
            kept = [batch[name] for name in schema.names if name != _GEOM]
            yield pa.RecordBatch.from_arrays([*kept, _multipolygons(batch[GEOMETRY])], schema=schema)

    known = columns_of(index)
    schema = pa.schema([*(field for field in known if field.name not in _LEFT_OUT), _WKB])
    with whole_file(path, verify=verify) as part:
        with plainly_named(part, ".gpkg") as name, arrow_stream(schema, stream(schema)) as arrow:
            pyogrio.write_arrow(
                arrow,
                name,
                layer=LAYER,
                driver="GPKG",
                geometry_name=_GEOM,
                geometry_type="MultiPolygon",
                crs="EPSG:4326",
                dataset_options={"VERSION": "1.3"},
                layer_options={"GEOMETRY_NAME": _GEOM, "SPATIAL_INDEX": "YES"},
            )
        add_style(part, LAYER, states_qml(), "Scenes by state")
        settle(part)
    return rows


def _multipolygons(column: pa.Array) -> pa.Array:
    shapes = shapely.from_wkb(column.to_numpy(zero_copy_only=False))
    multi = [None if one is None else shapely.MultiPolygon(list(shapely.get_parts(one))) for one in shapes]
    return pa.array(to_wkb(np.array(multi, dtype=object)), pa.binary())
