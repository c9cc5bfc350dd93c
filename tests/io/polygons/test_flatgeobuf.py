"""FlatGeobuf with its index and its CRS inside."""

import numpy as np
import pyogrio
import pytest
import shapely
from pyproj import CRS

from geoseg.io.polygons.flatgeobuf import write_flatgeobuf
from geoseg.io.polygons.vector_schema import VectorSchema
from geoseg.testing.segments import LEGEND, UTM, segments_of


@pytest.mark.parametrize("wkt", [UTM, CRS.from_user_input("ESRI:54009").to_wkt()])
def test_the_file_has_magic_index_layer_and_crs(tmp_path, wkt):
    write_flatgeobuf(tmp_path / "s.fgb", [segments_of(200)], VectorSchema(crs_wkt=wkt, legend=LEGEND))
    assert (tmp_path / "s.fgb").read_bytes()[:4] == b"fgb\x03"
    info = pyogrio.read_info(tmp_path / "s.fgb")
    assert info["capabilities"]["fast_spatial_filter"]  # GDAL's word for the packed R-tree
    assert info["capabilities"]["fast_feature_count"]
    assert (info["layer_name"], info["features"], info["geometry_type"]) == ("segments", 200, "Polygon")
    assert CRS.from_user_input(info["crs"]).equals(CRS.from_wkt(wkt))


def test_a_window_finds_what_lies_in_it(tmp_path):
    segments = segments_of(3000)
    write_flatgeobuf(tmp_path / "s.fgb", [segments[:1700], segments[1700:]], VectorSchema(crs_wkt=UTM, legend=LEGEND))
    window = (502000.5, 3002000.5, 503500.5, 3002500.5)
    found = pyogrio.read_dataframe(tmp_path / "s.fgb", bbox=window)
    expected = segments.pixels[shapely.intersects(segments.geometry, shapely.box(*window))]
    assert 0 < len(expected) < 200
    assert np.array_equal(np.sort(found.pixels), np.sort(expected))


def test_polygons_lie_along_the_hilbert_curve(tmp_path):
    write_flatgeobuf(tmp_path / "s.fgb", [segments_of(3000)], VectorSchema(crs_wkt=UTM, legend=LEGEND))
    x, y = shapely.get_coordinates(shapely.centroid(pyogrio.read_dataframe(tmp_path / "s.fgb").geometry)).T
    steps = np.hypot(np.diff(x), np.diff(y))
    assert steps.mean() < 500  # of 10 km; neighbours are 180 m apart, any two polygons 5 km
