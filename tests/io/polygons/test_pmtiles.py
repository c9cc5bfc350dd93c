"""A pyramid of tiles that another library reads, in which every polygon is where it was."""

import gzip
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import mapbox_vector_tile
import numpy as np
import pyarrow as pa
import pyogrio
import pytest
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pmtiles import reader
from pmtiles.tile import Compression, TileType
from pyproj import CRS
from shapely.geometry import shape

from geoseg.core.segments import Segments
from geoseg.io.polygons.pmtiles import write_pmtiles
from geoseg.io.polygons.vector_schema import VectorSchema
from geoseg.io.polygons.vector_tile import encode_tile
from geoseg.testing.segments import LEGEND, MAP_LEGEND, UTM, map_segments, plain, segments_of
from geoseg.vector.source import ArraySource
from geoseg.vector.vectorise import vectorise_codes

ZOOM = 18
PIXEL_M = 2 * np.pi * 6378137 / (512 * 2**ZOOM)
CORNER = 137_000, 92_000
"""Column and row of a tile at ``ZOOM``, 47 degrees north."""

WGS84 = CRS.from_epsg(4326).to_wkt()
MERCATOR = CRS.from_epsg(3857).to_wkt()
SCHEMA = VectorSchema(crs_wkt=MERCATOR, legend=MAP_LEGEND)


def write(path: Path, batches: Iterable[Segments], schema: VectorSchema = SCHEMA) -> int:
    return write_pmtiles(path, batches, schema)


def on_the_screen_grid(offset_px):
    """A transform whose pixels are the screen's at ``ZOOM``, so many pixels left of and above a corner of tiles."""
    column, row = (512 * at - offset for at, offset in zip(CORNER, offset_px, strict=True))
    half = np.pi * 6378137
    return Affine(PIXEL_M, 0, column * PIXEL_M - half, 0, -PIXEL_M, half - row * PIXEL_M)


def in_degrees(geometry, gsd_m):
    segments = plain(geometry)
    segments.area_m2[:] *= 111_000**2
    segments.pixels[:] = np.maximum(1, segments.area_m2 / gsd_m**2)
    return segments


def tiles_of(path):
    """Yield (zoom, column, row), features of each tile, geometries in the tile's units, y downward."""
    with path.open("rb") as file:
        for place, packed in reader.all_tiles(reader.MmapSource(file)):
            options = {"y_coord_down": True}
            layers = mapbox_vector_tile.decode(gzip.decompress(packed), default_options=options)
            yield place, layers["segments"]["features"] if layers else []


def reassembled(path, zoom):
    """Put the pieces of each polygon together, each cut to its own tile: in units of the map of a zoom."""
    pieces = defaultdict(list)
    for (z, column, row), features in tiles_of(path):
        if z == zoom:
            for feature in features:
                inside = shape(feature["geometry"]) & shapely.box(0, 0, 4096, 4096)
                pieces[feature["id"]].append(shapely.transform(inside, lambda p: p + np.array([column, row]) * 4096))  # noqa: B023
    return {number: shapely.union_all(parts) for number, parts in pieces.items()}


def units(geometry, zoom=ZOOM):
    half = np.pi * 6378137
    return shapely.transform(geometry, lambda p: np.rint((p * [1, -1] + half) / (2 * half) * 2**zoom * 4096))


def header_of(path):
    with path.open("rb") as file:
        archive = reader.Reader(reader.MmapSource(file))
        return archive.header(), archive.metadata()


def check_reassembly(path, segments):
    found = reassembled(path, ZOOM)
    assert sorted(found) == list(range(len(segments)))
    for number, polygon in enumerate(units(segments.geometry)):
        assert shapely.equals(found[number], polygon), number


def test_every_polygon_is_there_to_the_unit_whatever_the_tiles(tmp_path):
    segments = map_segments(300, on_the_screen_grid((140, 90)), "EPSG:3857")
    write(tmp_path / "s.pmtiles", [segments])
    assert header_of(tmp_path / "s.pmtiles")[0]["max_zoom"] == ZOOM
    check_reassembly(tmp_path / "s.pmtiles", segments)


def test_a_polygon_that_covers_many_tiles_and_has_many_holes(tmp_path):
    segments = map_segments(800, on_the_screen_grid((400, 300)), "EPSG:3857", classes=2, sigma=6)
    assert shapely.get_num_interior_rings(segments.geometry).max() > 30
    write(tmp_path / "s.pmtiles", [segments])
    check_reassembly(tmp_path / "s.pmtiles", segments)


@given(
    size=st.integers(1, 12),
    seed=st.integers(0, 10**6),
    offset=st.tuples(*[st.integers(-12, 20) | st.integers(500, 524)] * 2),
    chance=st.floats(0, 1),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_noise_at_the_corner_of_four_tiles(tmp_path, size, seed, offset, chance):
    rng = np.random.default_rng(seed)
    codes = np.where(rng.random((size, size)) < chance, rng.integers(0, 2, (size, size)), 255).astype(np.uint8)
    geobox = GeoBox(codes.shape, on_the_screen_grid(offset), "EPSG:3857")
    batches = list(vectorise_codes(ArraySource(codes), geobox, nodata=255, threads=1, batch=10**6))
    write(tmp_path / "s.pmtiles", batches)
    if batches:
        check_reassembly(tmp_path / "s.pmtiles", batches[0])


def test_tiles_hold_valid_polygons_in_their_bounds_and_winding(tmp_path):
    segments = map_segments(400, Affine(0.5, 0, 5e5, 0, -0.5, 5e6), "EPSG:32633")
    write(tmp_path / "s.pmtiles", [segments], replace(SCHEMA, crs_wkt=CRS.from_epsg(32633).to_wkt()))
    zooms = defaultdict(set)
    for (zoom, _, _), features in tiles_of(tmp_path / "s.pmtiles"):
        numbers = [feature["id"] for feature in features]
        assert numbers == sorted(set(numbers))
        zooms[zoom] |= set(numbers)
        geometry = np.array([shape(feature["geometry"]) for feature in features])
        assert shapely.is_valid(geometry).all()
        assert (np.abs(shapely.bounds(geometry) - 2048) <= 2048 + 65).all()
        for polygon in shapely.get_parts(geometry):
            assert polygon.exterior.is_ccw  # by numbers; clockwise as seen, with y downward
            assert not any(hole.is_ccw for hole in polygon.interiors)
    assert sorted(zooms) == list(range(min(zooms), max(zooms) + 1))
    assert zooms[max(zooms)] == set(range(len(segments)))
    for zoom in range(min(zooms), max(zooms)):
        assert zooms[zoom] <= zooms[zoom + 1]


def test_away_from_the_finest_zoom_only_what_can_be_seen_is_kept(tmp_path):
    sides_px = np.array([1, 3, 4, 5, 8, 16, 40, 200])
    transform = on_the_screen_grid((0, 0))
    west, top = np.cumsum(sides_px) * 2 * PIXEL_M + transform.c, np.full(8, transform.f)
    squares = shapely.box(west, top - sides_px * PIXEL_M, west + sides_px * PIXEL_M, top)
    segments = plain(squares, PIXEL_M)
    segments.area_m2[:] *= np.cos(np.radians(47.4)) ** 2
    write(tmp_path / "s.pmtiles", [segments])
    for down in range(1, 7):
        seen = [number for number, side in enumerate(sides_px) if side / 2**down >= 2]
        found = reassembled(tmp_path / "s.pmtiles", ZOOM - down)
        assert set(seen) <= set(found) | {n for n in seen if sides_px[n] / 2**down < 2.6}  # rounding may cost one
        assert set(found) <= {number for number, side in enumerate(sides_px) if side / 2**down >= 1.4}
        for number, polygon in found.items():
            assert polygon.area == pytest.approx((sides_px[number] * 8 / 2**down) ** 2, rel=0.6)
    assert header_of(tmp_path / "s.pmtiles")[0]["min_zoom"] == ZOOM - 6


def test_the_archive_says_what_it_holds(tmp_path):
    write(tmp_path / "s.pmtiles", [segments_of(40)], VectorSchema(crs_wkt=UTM, legend=LEGEND))
    header, metadata = header_of(tmp_path / "s.pmtiles")
    assert (header["tile_type"], header["tile_compression"]) == (TileType.MVT, Compression.GZIP)
    assert header["clustered"]
    assert header["tile_data_offset"] + header["tile_data_length"] == (tmp_path / "s.pmtiles").stat().st_size
    (layer,) = metadata["vector_layers"]
    assert layer["id"] == "segments"
    assert set(layer["fields"]) == {"class_code", "class_name", "area_m2", "confidence"}
    assert (layer["minzoom"], layer["maxzoom"]) == (header["min_zoom"], header["max_zoom"])
    assert [(entry["code"], entry["colour"]) for entry in metadata["classes"]] == [(0, "#808080"), (200, "#33a02c")]
    assert 86.9 < header["min_lon_e7"] / 1e7 < header["max_lon_e7"] / 1e7 < 87.2
    assert 27 < header["min_lat_e7"] / 1e7 < header["max_lat_e7"] / 1e7 < 27.3


def test_features_carry_their_attributes_and_a_null_is_no_number(tmp_path):
    given = segments_of(30)
    write(tmp_path / "s.pmtiles", [given[:11], given[11:]], VectorSchema(crs_wkt=UTM, legend=LEGEND))
    zoom = header_of(tmp_path / "s.pmtiles")[0]["max_zoom"]
    for (z, _, _), features in tiles_of(tmp_path / "s.pmtiles"):
        for feature in features if z == zoom else ():
            number, properties = feature["id"], feature["properties"]
            assert properties["class_code"] == given.class_code[number]
            assert properties["class_name"] == LEGEND.by_code(given.class_code[number]).name
            assert properties["area_m2"] == pytest.approx(given.area_m2[number], abs=0.006, rel=1e-12)
            if np.isnan(given.confidence[number]):
                assert "confidence" not in properties
            else:
                assert properties["confidence"] == pytest.approx(given.confidence[number], abs=1e-6)


def test_tiles_are_the_other_encoders(tmp_path):
    geometry = units(map_segments(60, on_the_screen_grid((0, 0)), "EPSG:3857").geometry)
    geometry = shapely.orient_polygons(shapely.transform(geometry, lambda p: p - np.array(CORNER) * 4096))
    geometry = np.r_[geometry, [shapely.MultiPolygon([shapely.box(0, 0, 5, 5), shapely.box(7, 7, 9, 9)])]]
    geometry = shapely.orient_polygons(geometry)
    values = {
        "code": [index % 3 for index in range(len(geometry))],
        "name": [f"é{index % 4}" for index in range(len(geometry))],
        "score": [None if index % 5 == 0 else index / 7 for index in range(len(geometry))],
    }
    columns = {key: pa.array(column) for key, column in values.items()}
    ours = encode_tile("segments", geometry, np.arange(len(geometry)), columns)
    rows = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
    features = [
        {"id": index, "geometry": polygon, "properties": row}
        for index, (polygon, row) in enumerate(zip(geometry, rows, strict=True))
    ]
    options = {"y_coord_down": True, "check_winding_order": False}
    theirs = mapbox_vector_tile.encode({"name": "segments", "features": features}, default_options=options)
    assert mapbox_vector_tile.decode(ours) == mapbox_vector_tile.decode(theirs)


def test_gdal_reads_it(tmp_path):
    segments = map_segments(100, on_the_screen_grid((20, 30)), "EPSG:3857")
    write(tmp_path / "s.pmtiles", [segments])
    assert pyogrio.list_layers(tmp_path / "s.pmtiles")[:, 0].tolist() == ["segments"]
    frame = pyogrio.read_dataframe(tmp_path / "s.pmtiles")
    assert frame.crs.to_epsg() == 3857
    assert set(frame.class_code) == set(segments.class_code)
    union = shapely.union_all(frame.geometry.to_numpy(), grid_size=PIXEL_M / 8)
    assert union.area == pytest.approx(shapely.area(segments.geometry).sum(), rel=1e-3)


def test_an_empty_map_is_an_archive_with_one_empty_tile(tmp_path):
    assert write(tmp_path / "s.pmtiles", []) == 0
    assert list(tiles_of(tmp_path / "s.pmtiles")) == [((0, 0, 0), [])]
    assert header_of(tmp_path / "s.pmtiles")[1]["vector_layers"][0]["id"] == "segments"
    assert pyogrio.list_layers(tmp_path / "s.pmtiles")[:, 0].tolist() == ["segments"]


def test_the_antimeridian_and_the_map_s_northern_end(tmp_path):
    beyond = shapely.box(10, 86, 11, 87)
    given = [shapely.box(179, 0, 181, 1), shapely.box(10, 84, 11, 86), beyond]
    assert write(tmp_path / "s.pmtiles", [in_degrees(given, 400)], replace(SCHEMA, crs_wkt=WGS84)) == 3
    header, _ = header_of(tmp_path / "s.pmtiles")
    zoom = header["max_zoom"]
    columns = defaultdict(set)
    for (z, column, row), features in tiles_of(tmp_path / "s.pmtiles"):
        for feature in features if z == zoom else ():
            columns[feature["id"]].add(column)
            assert feature["id"] == 0 or row < 2**zoom // 8
    assert set(columns) == {0, 1}
    assert {0, 2**zoom - 1} <= columns[0]
    assert header["max_lat_e7"] == round(85.0511287798066 * 1e7)
    write(tmp_path / "s.pmtiles", [in_degrees(beyond, 400)], replace(SCHEMA, crs_wkt=WGS84))
    assert list(tiles_of(tmp_path / "s.pmtiles")) == [((0, 0, 0), [])]


def test_twisted_polygons_do_no_harm(tmp_path):
    bowtie = shapely.Polygon([(10, 10), (11, 11), (11, 10), (10, 11), (10, 10)])
    spike = shapely.Polygon([(12, 10), (13, 10), (13, 11), (14, 12), (13, 11), (12, 11), (12, 10)])
    write(tmp_path / "s.pmtiles", [in_degrees([spike, bowtie], 400)], replace(SCHEMA, crs_wkt=WGS84))
    zoom = header_of(tmp_path / "s.pmtiles")[0]["max_zoom"]
    assert set(reassembled(tmp_path / "s.pmtiles", zoom)) == {0, 1}
