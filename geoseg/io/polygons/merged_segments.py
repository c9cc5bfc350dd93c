"""The polygons of many scenes in one GeoPackage, each with the name of its scene."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyogrio

from geoseg.core.layer import SEGMENTS
from geoseg.core.legend import Legend
from geoseg.io.checks.geopackage import check_geopackage
from geoseg.io.files.gdal_messages import suppress_gdal_messages
from geoseg.io.files.sqlite_file import read_only
from geoseg.io.files.writing import whole_file
from geoseg.io.polygons.geopackage import add_style, settle
from geoseg.io.polygons.ogr_file import OGR_ERRORS, arrow_stream, plainly_named
from geoseg.io.polygons.segment_stream import ATTRIBUTES, GEOMETRY
from geoseg.io.publish.segment_style import segments_qml
from geoseg.io.vectors.content import VectorFormat
from geoseg.io.vectors.ogr_features import shown_alone

LAYER = SEGMENTS
_SCHEMA = pa.schema(
    [
        pa.field("scene", pa.string()),
        *ATTRIBUTES,
        pa.field(GEOMETRY, pa.binary(), metadata={"ARROW:extension:name": "geoarrow.wkb"}),
    ]
)


def merge_segments(path: Path, sources: Sequence[tuple[str, Path]], *, crs_wkt: str, legend: Legend) -> list[str]:
    """Copy the segments of scenes in one CRS into one layer, with its default style.

    Args:
        path: the final ``.gpkg``.
        sources: name of each scene and its GeoPackage, at least one; one batch is in memory at a time.
        crs_wkt: CRS of all of them.
        legend: names and colours.

    Returns:
        Names of the scenes whose polygons cannot be read completely.

    Raises:
        WriteError: the disk is full or fails; ``path`` is unchanged.
    """
    rows = 0
    unreadable: list[str] = []

    def verify(part: Path) -> None:
        check_geopackage(part)
        with read_only(part) as db:
            (found,) = db.execute(f"SELECT count(*) FROM {LAYER}").fetchone()  # noqa: S608 - a constant
        if found != rows:
            raise OSError(f"{found} polygons read back, {rows} went in")

    def stream() -> Iterator[pa.RecordBatch]:
        nonlocal rows
        for name, source in sources:
            try:
                for columns in segment_columns(source):
                    rows += len(columns[0])
                    named = pa.array([name] * len(columns[0]), pa.string())
                    yield pa.RecordBatch.from_arrays([named, *columns], schema=_SCHEMA)
            except (ValueError, KeyError, OSError, *OGR_ERRORS):  # a damaged file must not take the others with it
                unreadable.append(name)

    with whole_file(path, verify=verify) as part:
        with suppress_gdal_messages(), plainly_named(part, ".gpkg") as name, arrow_stream(_SCHEMA, stream()) as arrow:
            pyogrio.write_arrow(
                arrow,
                name,
                layer=LAYER,
                driver="GPKG",
                geometry_name=GEOMETRY,
                geometry_type="Polygon",
                crs=crs_wkt,
                dataset_options={"VERSION": "1.3"},
                layer_options={"GEOMETRY_NAME": GEOMETRY, "SPATIAL_INDEX": "YES"},
            )
        add_style(part, LAYER, segments_qml(legend))
        settle(part)
    return unreadable


def segment_columns(source: Path) -> Iterator[list[pa.Array]]:
    """Read the segments of a scene as columns."""
    with (
        shown_alone(source, VectorFormat.geopackage) as path,
        pyogrio.open_arrow(path, layer=LAYER, columns=ATTRIBUTES.names, use_pyarrow=True) as (facts, reader),
    ):
        geometry = facts["geometry_name"] or "wkb_geometry"
        for batch in reader:
            named = batch.rename_columns([GEOMETRY if name == geometry else name for name in batch.schema.names])
            yield [named.column(field.name).cast(field.type) for field in _SCHEMA if field.name != "scene"]
