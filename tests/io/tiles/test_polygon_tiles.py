"""Vector tiles from a GeoPackage: the ground of the polygons, by geopandas and an independent decoder."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from math import asinh, pi, radians, tan
from pathlib import Path

import geopandas
import mapbox_vector_tile
import numpy as np
import pytest
import shapely

from geoseg.errors import SceneError
from geoseg.io.tiles.address import TileAddress
from geoseg.io.tiles.polygons import PolygonTable


@pytest.fixture
def table(tmp_path: Path) -> PolygonTable:
    """Thirty polygons of three classes, with a hole and a part."""
    rng = np.random.default_rng(5)
    places = rng.uniform(0, 120, (30, 2)) + np.array([500000, 5400000])
    points = shapely.points(places)
    shapes = shapely.buffer(points, rng.uniform(2, 9, 30), quad_segs=4)
    shapes[0] = shapes[0].difference(points[0].buffer(1))
    shapes[1] = shapely.union(shapes[1], shapely.box(500150, 5400150, 500160, 5400160))
    frame = geopandas.GeoDataFrame(
        {
            "class_code": rng.integers(0, 3, 30),
            "class_name": ["roof"] * 30,
            "confidence": rng.uniform(0.4, 1, 30).round(3),
            "area_m2": [shape.area for shape in shapes],
            "object_id": np.arange(30) * 7,
            "touches_edge": [bool(number % 2) for number in range(30)],
        },
        geometry=shapes,
        crs=32632,
    )
    frame.to_file(tmp_path / "a.gpkg", layer="objects", driver="GPKG")
    return PolygonTable(tmp_path / "a.gpkg", "objects")


def frame_of(table: PolygonTable) -> geopandas.GeoDataFrame:
    return geopandas.read_file(table.path, layer="objects", fid_as_index=True)


@pytest.mark.parametrize("zoom", [17, 19, 21])
def test_a_tile_holds_the_ground_of_the_polygons_in_it(table: PolygonTable, zoom: int):
    frame = frame_of(table).to_crs(3857)
    middle = frame.union_all().centroid
    side = 2 * 20037508.342789244 / 2**zoom
    address = TileAddress(
        zoom, int((middle.x + side * 2**zoom / 2) / side), int((side * 2**zoom / 2 - middle.y) / side)
    )
    west, south, east, north = address.bounds
    tile = shapely.box(west, south, east, north)
    decoded = mapbox_vector_tile.decode(table.tile(address))["polygons"]
    unit = (east - west) / decoded["extent"]
    found = {}
    for feature in decoded["features"]:
        # the decoder turns y upward
        shape = shapely.transform(
            shapely.geometry.shape(feature["geometry"]), lambda points: points * unit + np.array([west, south])
        )
        found[feature["id"]] = (shape.intersection(tile), feature["properties"])
    expected = {row: shape.intersection(tile) for row, shape in frame.geometry.items() if shape.intersects(tile)}
    for row, shape in expected.items():
        if shape.area < 4 * (8 * unit) ** 2:
            continue  # below a pixel or two it may be left out
        drawn, properties = found[row]
        assert drawn.symmetric_difference(shape).area < 2 * unit * shape.length
        assert properties["class_code"] == frame.loc[row, "class_code"]
        assert properties["object_id"] == frame.loc[row, "object_id"]
        assert properties["confidence"] == pytest.approx(frame.loc[row, "confidence"])
    assert {row for row, (shape, _) in found.items() if not shape.is_empty} <= set(expected)


def test_a_tile_without_polygons_is_empty(table: PolygonTable):
    assert table.tile(TileAddress(10, 0, 0)) == b""


def test_a_place_is_found_in_the_smallest_polygon_that_covers_it(table: PolygonTable):
    frame = frame_of(table)
    lonlat = geopandas.GeoSeries(frame.representative_point(), crs=32632).to_crs(4326)
    for row, point in lonlat.items():
        inside = frame[frame.covers(frame.representative_point()[row])]
        found = table.at(point.x, point.y)
        assert found is not None
        assert found.id == inside.area.idxmin()
    assert table.at(0, 0) is None


def test_the_least_certain_are_sorted_and_filtered(table: PolygonTable):
    frame = frame_of(table)
    expected = frame[(frame["class_code"] != 0) & (frame["area_m2"] >= 50)].sort_values("confidence").index[:10]
    found = table.least_certain(most=10, hidden=[0], least_m2=50)
    assert [place.id for place in found] == expected.tolist()
    assert found[0].attributes["touches_edge"] in {True, False}


def test_a_polygon_is_found_by_its_object_id(table: PolygonTable):
    found = table.with_object(14)
    assert found is not None
    assert found.attributes["object_id"] == 14
    assert table.with_object(15) is None
    assert table.polygon(9999) is None


def test_a_file_that_is_no_geopackage_is_refused(tmp_path: Path):
    path = tmp_path / "a.gpkg"
    path.write_bytes(b"no database")
    with pytest.raises(SceneError):
        PolygonTable(path, "objects")


def test_many_columns_and_odd_names_do_no_harm(tmp_path: Path):
    frame = geopandas.GeoDataFrame(
        {'a"b; DROP TABLE x': [1], "select": ["x"], "confidence": [0.5]},
        geometry=[shapely.box(9, 48, 9.1, 48.1)],
        crs=4326,
    )
    frame.to_file(tmp_path / "odd.gpkg", layer='lay"er', driver="GPKG")
    odd = PolygonTable(tmp_path / "odd.gpkg", "nothing")
    (place,) = odd.least_certain(most=5, hidden=[], least_m2=0)
    assert place.attributes["select"] == "x"
    found = odd.at(9.05, 48.05)
    assert found is not None
    assert found.attributes == {'a"b; DROP TABLE x': 1, "select": "x", "confidence": 0.5}
    decoded = mapbox_vector_tile.decode(odd.tile(TileAddress(5, 16, 11)))
    (feature,) = decoded["polygons"]["features"]
    assert feature["properties"] == {"confidence": 0.5}


@pytest.mark.parametrize(
    "blob", [b"", b"GP", b"GP\0\1\0\0\0\0", b"GP\0\x03" + bytes(36) + b"\1\3\0\0\0\xff\xff", "text", 7]
)
def test_a_damaged_outline_is_refused(table: PolygonTable, blob: object):
    frame = frame_of(table).to_crs(4326)
    point = frame.representative_point().iloc[3]
    with closing(sqlite3.connect(table.path)) as db, db:
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f'DROP TRIGGER "{name}"')
        db.execute("UPDATE objects SET geom = ?", (blob,))
    with pytest.raises(SceneError, match=r"a\.gpkg"):
        table.at(point.x, point.y)
    zoom = 17
    x, y = (point.x + 180) / 360 * 2**zoom, (1 - asinh(tan(radians(point.y))) / pi) / 2 * 2**zoom
    with pytest.raises(SceneError, match=r"a\.gpkg"):
        table.tile(TileAddress(zoom, int(x), int(y)))
