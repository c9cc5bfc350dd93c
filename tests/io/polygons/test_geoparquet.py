"""GeoParquet that says the truth of itself, in an order that makes far row groups easy to skip."""

import json
from collections.abc import Iterable
from pathlib import Path

import geopandas
import jsonschema
import numpy as np
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from geoseg.core.segments import Segments
from geoseg.io.polygons import geoparquet
from geoseg.io.polygons.geoparquet import write_geoparquet
from geoseg.io.polygons.hilbert import hilbert_keys
from geoseg.io.polygons.vector_schema import VectorSchema
from geoseg.testing.segments import LEGEND, UTM, plain, segments_of

SCHEMA = VectorSchema(crs_wkt=UTM, legend=LEGEND)


def write(path: Path, batches: Iterable[Segments], schema: VectorSchema = SCHEMA) -> int:
    return write_geoparquet(path, batches, schema)


CORNER = {
    corner: {
        "type": "array",
        "prefixItems": [{"type": "string"}, {"const": corner}],
        "items": False,
        "minItems": 2,
    }
    for corner in ("xmin", "ymin", "xmax", "ymax")
}
COLUMN = {
    "type": "object",
    "required": ["encoding", "geometry_types"],
    "additionalProperties": False,
    "properties": {
        "encoding": {"const": "WKB"},
        "geometry_types": {
            "type": "array",
            "uniqueItems": True,
            "items": {"enum": ["Polygon", "MultiPolygon"]},
        },
        "crs": {"oneOf": [{"type": "null"}, {"type": "object", "required": ["$schema", "type", "name"]}]},
        "edges": {"enum": ["planar", "spherical"]},
        "orientation": {"const": "counterclockwise"},
        "bbox": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4},
        "covering": {
            "type": "object",
            "required": ["bbox"],
            "properties": {"bbox": {"type": "object", "required": list(CORNER), "properties": CORNER}},
        },
    },
}
GEO_1_1 = {
    "type": "object",
    "required": ["version", "primary_column", "columns"],
    "properties": {
        "version": {"const": "1.1.0"},
        "primary_column": {"type": "string", "minLength": 1},
        "columns": {"type": "object", "minProperties": 1, "additionalProperties": COLUMN},
    },
}


def squares(count, seed=0, side=1.0, extent=1000.0):
    """Squares like those of a map in one row after the other: the order in which they come from a vectoriser."""
    rng = np.random.default_rng(seed)
    x, y = 5e5 + rng.random(count) * extent, 3e6 + np.sort(rng.random(count) * extent)
    return shapely.box(x, y, x + side, y + side)


def geo(path):
    return json.loads(pq.read_schema(path).metadata[b"geo"])


@pytest.mark.parametrize("wkt", [None, UTM, 'LOCAL_CS["site",UNIT["metre",1]]', CRS.from_epsg(4326).to_wkt()])
@pytest.mark.parametrize("count", [0, 30])
@pytest.mark.parametrize("multi", [False, True])
def test_the_metadata_follow_the_specification(tmp_path, wkt, count, multi):
    segments = segments_of(count)
    kind = "MultiPolygon" if multi else "Polygon"
    if multi and count:
        segments = plain(shapely.multipolygons(segments.geometry, indices=np.repeat(np.arange(15), 2)))
    write_geoparquet(tmp_path / "s.parquet", [segments], VectorSchema(crs_wkt=wkt, legend=LEGEND, multi=multi))
    found = geo(tmp_path / "s.parquet")
    jsonschema.validate(found, GEO_1_1, jsonschema.Draft202012Validator)
    column = found["columns"][found["primary_column"]]
    assert column["geometry_types"] == [kind]
    assert (column["crs"] is None) == (wkt is None)
    if wkt is not None:
        assert CRS.from_json_dict(column["crs"]).equals(CRS.from_wkt(wkt))
    if count:
        assert column["bbox"] == shapely.total_bounds(segments.geometry).tolist()
    else:
        assert "bbox" not in column


def test_the_covering_column_holds_each_polygons_bounds(tmp_path):
    write(tmp_path / "s.parquet", [segments_of(80)])
    table = pq.read_table(tmp_path / "s.parquet")
    boxes = np.column_stack([table["bbox"].combine_chunks().field(corner) for corner in CORNER])
    assert (boxes == shapely.bounds(shapely.from_wkb(table["geometry"].to_numpy()))).all()
    covering = geo(tmp_path / "s.parquet")["columns"]["geometry"]["covering"]["bbox"]
    assert covering == {corner: ["bbox", corner] for corner in CORNER}


def test_exterior_rings_run_counterclockwise_as_the_metadata_say(tmp_path):
    clockwise = shapely.orient_polygons(segments_of(20).geometry, exterior_cw=True)
    write(tmp_path / "s.parquet", [plain(clockwise)])
    for shape in geopandas.read_parquet(tmp_path / "s.parquet").geometry:
        assert shape.exterior.is_ccw
        assert not any(hole.is_ccw for hole in shape.interiors)


def test_columns_are_compressed_by_zstandard_and_have_bounds_but_for_the_geometry(tmp_path):
    write(tmp_path / "s.parquet", [segments_of(50)])
    group = pq.ParquetFile(tmp_path / "s.parquet").metadata.row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    assert {column.compression for column in columns} == {"ZSTD"}
    assert [c.path_in_schema for c in columns if not c.is_stats_set] == ["geometry"]
    assert all(column.has_column_index for column in columns if column.is_stats_set)


def groups_of(path):
    """Bounds of each row group, as a reader knows them without reading rows, and its number of rows."""
    metadata = pq.ParquetFile(path).metadata
    boxes, rows = [], []
    for index in range(metadata.num_row_groups):
        group = metadata.row_group(index)
        stats = {group.column(i).path_in_schema: group.column(i).statistics for i in range(group.num_columns)}
        low = [stats[f"bbox.{corner}"].min for corner in ("xmin", "ymin")]
        high = [stats[f"bbox.{corner}"].max for corner in ("xmax", "ymax")]
        boxes.append([*low, *high])
        rows.append(group.num_rows)
    return np.array(boxes), rows


def test_row_groups_are_compact(tmp_path, monkeypatch):
    monkeypatch.setattr(geoparquet, "_GROUP_ROWS", 256)
    every = squares(256 * 32)
    write(tmp_path / "s.parquet", [plain(every[i : i + 1000]) for i in range(0, len(every), 1000)])
    boxes, rows = groups_of(tmp_path / "s.parquet")
    assert rows == [256] * 32
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    covered = (width * height).sum() / 1000**2
    assert covered < 2  # rows as they came: stripes that cover 1 once, but 1000 m wide
    assert np.maximum(width, height).mean() < 350  # a square of 1/32 of the map is 177 m wide
    window = [500400, 3000400, 500410, 3000410]
    touched = (boxes[:, 0] <= window[2]) & (boxes[:, 2] >= window[0])
    touched &= (boxes[:, 1] <= window[3]) & (boxes[:, 3] >= window[1])
    assert 1 <= touched.sum() <= 5
    inside = geopandas.read_parquet(tmp_path / "s.parquet", bbox=window)
    assert len(inside) == shapely.intersects(every, shapely.box(*window)).sum()


def test_large_polygons_do_not_spread_the_groups_of_small_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(geoparquet, "_GROUP_ROWS", 256)
    roads = shapely.box(5e5, 3e6 + np.arange(20) * 50.0, 5e5 + 4000, 3e6 + np.arange(20) * 50.0 + 1)
    every = np.r_[squares(2048, extent=4000.0), roads]
    every = np.random.default_rng(1).permutation(every)
    write(tmp_path / "s.parquet", [plain(every)])
    boxes, rows = groups_of(tmp_path / "s.parquet")
    assert rows[0] == 20
    assert (boxes[0, 2:] - boxes[0, :2] >= [4000, 900]).all()
    assert (boxes[1:, 2] - boxes[1:, 0]).mean() < 2500


def test_row_groups_end_where_they_hold_many_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(geoparquet, "_GROUP_BYTES", 93 * 10)
    write(tmp_path / "s.parquet", [plain(squares(25)), plain(squares(14, 1))])
    assert groups_of(tmp_path / "s.parquet")[1] == [10, 10, 10, 9]
    monkeypatch.setattr(geoparquet, "_GROUP_BYTES", 1)
    write(tmp_path / "s.parquet", [plain(squares(3))])
    assert groups_of(tmp_path / "s.parquet")[1] == [1, 1, 1]


@given(bits=st.integers(1, 6))
@settings(max_examples=6, deadline=None)
def test_the_curve_visits_every_cell_once_and_never_jumps(bits):
    y, x = (index.ravel() for index in np.indices((2**bits, 2**bits)))
    keys = hilbert_keys(x, y, bits)
    order = np.argsort(keys)
    assert (keys[order] == np.arange(4**bits)).all()
    assert (np.abs(np.diff(x[order])) + np.abs(np.diff(y[order])) == 1).all()


@given(st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1)), min_size=1, max_size=20))
def test_a_finer_curve_refines_a_coarser_one(cells):
    x, y = np.array(cells).T
    # a step of two levels keeps the curve's orientation
    assert (hilbert_keys(x, y, 31) >> 4 == hilbert_keys(x >> 2, y >> 2, 29)).all()
