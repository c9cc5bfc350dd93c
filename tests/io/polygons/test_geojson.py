"""GeoJSON by the letter of RFC 7946."""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS, Transformer
from shapely.geometry import shape

from geoseg.core.legend import Legend, LegendClass
from geoseg.core.segments import Segments
from geoseg.io.polygons.geojson import write_geojson
from geoseg.io.polygons.vector_schema import VectorSchema
from geoseg.testing.segments import LEGEND, MAP_LEGEND, UTM, map_segments, plain, segments_of

WGS84 = CRS.from_epsg(4326).to_wkt()
SCHEMA = VectorSchema(crs_wkt=UTM, legend=LEGEND)


def write(path: Path, batches: Iterable[Segments], schema: VectorSchema = SCHEMA, **options: Any) -> int:
    return write_geojson(path, batches, schema, **options)


def rings(geometry):
    polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    return [(ring, number == 0) for polygon in polygons for number, ring in enumerate(polygon)]


def turns_left(ring):
    x, y = np.array(ring).T
    return (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() > 0


def bbox_of(tmp_path, *boxes):
    write(tmp_path / "s.geojson", [plain(box) for box in boxes], replace(SCHEMA, crs_wkt=WGS84))
    return json.loads((tmp_path / "s.geojson").read_text())["bbox"]


def test_the_whole_is_a_feature_collection_and_nothing_that_the_rfc_took_away(tmp_path):
    write(tmp_path / "s.geojson", [segments_of(30)])
    whole = json.loads((tmp_path / "s.geojson").read_text())
    assert list(whole) == ["type", "features", "bbox"]  # no crs
    assert whole["type"] == "FeatureCollection"
    assert len(whole["features"]) == 30
    for feature in whole["features"]:
        assert feature["type"] == "Feature"
        assert set(feature) == {"type", "properties", "geometry"}
        for ring, _ in rings(feature["geometry"]):
            assert ring[0] == ring[-1]
            assert len(ring) >= 4
            assert all(len(position) == 2 for position in ring)


@pytest.mark.parametrize("clockwise", [True, False])
def test_exterior_rings_turn_left_and_holes_right(tmp_path, clockwise):
    given = shapely.orient_polygons(segments_of(20).geometry, exterior_cw=clockwise)
    write(tmp_path / "s.geojson", [plain(given)])
    for feature in json.loads((tmp_path / "s.geojson").read_text())["features"]:
        assert [turns_left(ring) for ring, _ in rings(feature["geometry"])] == [True, False]


def test_rings_turn_right_also_where_the_antimeridian_cuts_them(tmp_path):
    cut = shapely.box(179, 0, 181, 2) - shapely.box(179.5, 0.5, 180.5, 1.5)
    write(tmp_path / "s.geojson", [plain(cut)], replace(SCHEMA, crs_wkt=WGS84))
    whole = json.loads((tmp_path / "s.geojson").read_text())
    (feature,) = whole["features"]
    assert feature["geometry"]["type"] == "MultiPolygon"
    assert all(turns_left(ring) == is_shell for ring, is_shell in rings(feature["geometry"]))
    assert shape(feature["geometry"]).area == pytest.approx(3)
    assert whole["bbox"] == [179, 0, -179, 2]


@pytest.mark.parametrize("decimals", [5, 7])
def test_coordinates_have_the_digits_asked_for(tmp_path, decimals):
    segments = map_segments(40, Affine(30, 0, 5e5, 0, -30, 3e6), "EPSG:32645")
    write(tmp_path / "s.geojson", [segments], replace(SCHEMA, legend=MAP_LEGEND), decimals=decimals)
    text = (tmp_path / "s.geojson").read_text()
    whole = json.loads(text)
    for feature in whole["features"]:
        for ring, _ in rings(feature["geometry"]):
            assert np.array_equal(np.round(ring, decimals), ring)
    assert whole["bbox"] == np.round(whole["bbox"], decimals).tolist()
    assert "-0.0" not in text


def test_no_number_is_written_with_more_digits_than_asked_for(tmp_path):
    east = np.random.default_rng(0).uniform(100, 179, 5000)
    write(tmp_path / "s.geojson", [plain(shapely.box(east, 10, east + 0.5, 11))], replace(SCHEMA, crs_wkt=WGS84))
    _, *coordinates = (tmp_path / "s.geojson").read_text().split('"coordinates":')
    digits = [digits for text in coordinates for digits in re.findall(r"\.(\d+)", text.partition("}")[0])]
    assert max(map(len, digits)) == 7


def test_what_rounding_would_break_keeps_its_digits(tmp_path):
    sliver = shapely.Polygon([(10, 10), (10.00000004, 10.000001), (10.00000002, 10.000002), (10.00000001, 10.000001)])
    write(
        tmp_path / "s.geojson", [plain([sliver, shapely.box(10.12345678, 10, 11, 11)])], replace(SCHEMA, crs_wkt=WGS84)
    )
    first, second = json.loads((tmp_path / "s.geojson").read_text())["features"]
    assert shapely.equals(shape(first["geometry"]), sliver)
    assert second["geometry"]["coordinates"][0][0][0] in (10.1234568, 11)


def test_neighbours_share_their_rounded_edges(tmp_path):
    segments = map_segments(50, Affine(0.5, 0, 5e5, 0, -0.5, 3e6), "EPSG:32645")
    write(tmp_path / "s.geojson", [segments], replace(SCHEMA, legend=MAP_LEGEND))
    features = json.loads((tmp_path / "s.geojson").read_text())["features"]
    assert shapely.coverage_is_valid(np.array([shape(feature["geometry"]) for feature in features]))


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([shapely.box(1, 2, 3, 4), shapely.box(-5, 1, -4, 2)], [-5, 1, 3, 4]),
        ([shapely.box(-1, 2, 3, 4)], [-1, 2, 3, 4]),
        ([shapely.box(0, 2, 3, 4), shapely.box(-3, 2, 0, 4)], [-3, 2, 3, 4]),
        ([shapely.box(170, -2, 175, 4), shapely.box(-175, -1, -170, 5)], [170, -2, -170, 5]),
        ([shapely.box(179, 0, 180, 1), shapely.box(180, 0, 181, 1)], [179, 0, -179, 1]),
        ([shapely.box(170, 0, 180, 1)], [170, 0, 180, 1]),
        ([shapely.box(-180, 0, -170, 1)], [-180, 0, -170, 1]),
        ([shapely.box(-180, -90, 180, 90)], [-180, -90, 180, 90]),
        ([shapely.box(-100, 0, -90, 1), shapely.box(95, 0, 100, 1)], [95, 0, -90, 1]),
        ([shapely.box(-80, 0, -70, 1), shapely.box(75, 0, 80, 1)], [-80, 0, 80, 1]),
    ],
)
def test_the_bbox_takes_the_shorter_way_round(tmp_path, boxes, expected):
    assert bbox_of(tmp_path, *boxes) == expected
    assert bbox_of(tmp_path, *reversed(boxes)) == expected


def test_the_same_polygons_as_gdal_makes(tmp_path):
    """GDAL writes RFC 7946 too; it knows nothing of bending, so the edges are short here."""
    crs = 32601
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(180, 20)
    segments = map_segments(60, Affine(30, 0, x - 800, 0, -30, y), f"EPSG:{crs}")
    write(tmp_path / "ours.geojson", [segments], VectorSchema(crs_wkt=CRS.from_epsg(crs).to_wkt(), legend=MAP_LEGEND))
    frame = geopandas.GeoDataFrame({"pixels": segments.pixels}, geometry=segments.geometry, crs=crs)
    frame.to_file(tmp_path / "gdal.geojson", driver="GeoJSON", RFC7946=True)
    ours, theirs = (geopandas.read_file(tmp_path / name) for name in ("ours.geojson", "gdal.geojson"))
    assert (ours.geom_type == "MultiPolygon").sum() > 3
    assert (ours.pixels == theirs.pixels).all()
    assert (shapely.hausdorff_distance(ours.geometry.to_numpy(), theirs.geometry.to_numpy()) < 1e-6).all()


def test_lines_are_one_feature_each_and_nothing_else(tmp_path):
    write(tmp_path / "s.geojsonl", [segments_of(7)])
    lines = (tmp_path / "s.geojsonl").read_text().splitlines()
    assert [json.loads(line)["type"] for line in lines] == ["Feature"] * 7


def test_names_of_any_script_survive(tmp_path):
    names = ['quo"te', "back\\slash", "漢字 é", "</script>"]
    legend = Legend(classes=[LegendClass(code=i, name=name, colour="#000000") for i, name in enumerate(names)])
    segments = [plain(shapely.box(i, 0, i + 1, 1)) for i in range(4)]
    for code, part in enumerate(segments):
        part.class_code[:] = code
    write(tmp_path / "s.geojson", segments, VectorSchema(crs_wkt=WGS84, legend=legend))
    features = json.loads((tmp_path / "s.geojson").read_bytes().decode())["features"]
    assert [feature["properties"]["class_name"] for feature in features] == names
    assert features[0]["properties"]["confidence"] is None
