"""Polygons keep their place, their neighbours and their area on the way to longitude and latitude."""

from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Geod, Transformer

from geoseg.errors import UsageError
from geoseg.io.polygons.to_wgs84 import ToWgs84
from geoseg.io.vectors.curved_edges import project_edges
from geoseg.testing.segments import map_segments

GEOD = Geod(ellps="WGS84")
BOX = shapely.box


def lonlat(crs, *polygons):
    return ToWgs84(Path("s.geojson"), CRS.from_user_input(crs).to_wkt())(np.array(polygons, object))


def area_m2(geometry):
    return abs(GEOD.geometry_area_perimeter(shapely.orient_polygons(geometry))[0])


def ground_m2(crs, polygon, pieces=40_000):
    """True area by adding small boxes up, none of which bends or crosses anything noticeably."""
    west, south, east, north = polygon.bounds
    side = int(pieces**0.5)
    x, y = np.linspace(west, east, side + 1), np.linspace(south, north, side + 1)
    px, py = (axis.ravel() for axis in np.meshgrid((x[1:] + x[:-1]) / 2, (y[1:] + y[:-1]) / 2))
    inside = shapely.contains_xy(polygon, px, py)
    factors = (
        __import__("pyproj")
        .Proj(crs)
        .get_factors(*Transformer.from_crs(crs, 4326, always_xy=True).transform(px[inside], py[inside]))
    )
    return float((1 / factors.areal_scale).sum() * (x[1] - x[0]) * (y[1] - y[0]))


UTM60 = Transformer.from_crs(4326, 32660, always_xy=True)
X180, Y180 = UTM60.transform(180, 10)


def test_a_polygon_across_the_antimeridian_becomes_two_that_meet_there():
    frame = BOX(X180 - 1000, Y180 - 1000, X180 + 1000, Y180 + 1000) - BOX(
        X180 - 500, Y180 - 500, X180 + 500, Y180 + 500
    )
    (cut,) = lonlat(32660, frame)
    assert cut.geom_type == "MultiPolygon"
    west, east = sorted(cut.geoms, key=lambda part: part.bounds[0])
    assert (west.bounds[0], east.bounds[2]) == (-180, 180)
    assert -179.98 > west.bounds[2] > -180
    assert 179.98 < east.bounds[0] < 180
    assert cut.is_valid
    assert area_m2(cut) == pytest.approx(ground_m2(32660, frame), rel=1e-3)


def test_polygons_beside_the_antimeridian_are_left_whole():
    apart = [BOX(X180 + at, Y180, X180 + at + 500, Y180 + 500) for at in (-3000, 3000)]
    left, right = lonlat(32660, *apart)
    assert left.geom_type == right.geom_type == "Polygon"
    assert 179.9 < left.bounds[0] < left.bounds[2] < 180
    assert -180 < right.bounds[0] < right.bounds[2] < -179.9


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (BOX(179, 0, 181, 1), shapely.MultiPolygon([BOX(179, 0, 180, 1), BOX(-180, 0, -179, 1)])),
        (BOX(180, 0, 181, 1), BOX(-180, 0, -179, 1)),
        (BOX(179, 0, 180, 1), BOX(179, 0, 180, 1)),
        (BOX(200, 0, 300, 1), BOX(-160, 0, -60, 1)),
        (BOX(-181, 0, -179, 1), shapely.MultiPolygon([BOX(179, 0, 180, 1), BOX(-180, 0, -179, 1)])),
        (BOX(-180, -90, 180, 90), BOX(-180, -90, 180, 90)),
        (BOX(0, -90, 360, 90), BOX(-180, -90, 180, 90)),
        (BOX(-180, -90, 180, 90) - BOX(-10, -10, 10, 10), BOX(-180, -90, 180, 90) - BOX(-10, -10, 10, 10)),
        (
            BOX(0, -90, 360, 90) - BOX(170, -10, 190, 10),
            BOX(-180, -90, 180, 90) - BOX(170, -10, 180, 10) - BOX(-180, -10, -170, 10),
        ),
    ],
)
def test_degrees_that_go_on_beyond_180_are_brought_back(box, expected):
    (found,) = lonlat(4326, box)
    assert shapely.equals(found, expected)
    assert found.is_valid


@pytest.mark.parametrize("crs", [3413, 3031])
@pytest.mark.parametrize(
    "polygon",
    [
        BOX(-1e5, -1e5, 1e5, 1e5),
        BOX(-1e5, -1e5, 1e5, 1e5) - BOX(-5e4, -5e4, 5e4, 5e4),
        BOX(-1e5, -1e5, 1e5, 1e5) - BOX(2e4, 2e4, 5e4, 5e4),
        BOX(-1e5, -1e5, 1e5, 1e5) - BOX(-5e4, 2e4, 5e4, 5e4),
        BOX(0, 0, 1e5, 1e5),
        BOX(-1e5, 0, 1e5, 1e5),
        BOX(0, -1e5, 1e5, 1e5),
        BOX(-1e5, 7e4, 1e5, 9e4),
    ],
    ids=["around", "ring", "hole aside", "hole across", "corner", "edge across", "edge", "beside"],
)
def test_poles_are_inside_or_outside_as_they_were(crs, polygon):
    (found,) = lonlat(crs, polygon)
    assert found.is_valid
    assert shapely.get_type_id(found) in (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON)
    assert area_m2(found) == pytest.approx(ground_m2(crs, polygon), rel=2e-3)
    back = Transformer.from_crs(4326, crs, always_xy=True)
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(-180, 180, 500), np.sign(found.centroid.y) * rng.uniform(88.5, 89.99, 500)
    x, y = back.transform(lon, lat)
    clear = shapely.distance(shapely.points(x, y), polygon.boundary) > 1
    assert (shapely.contains_xy(found, lon, lat) == shapely.contains_xy(polygon, x, y))[clear].all()


@pytest.mark.parametrize("crs", [32645, 3857, 3035, 4326])
def test_neighbours_stay_neighbours(crs):
    side = 1e-4 if crs == 4326 else 30.0
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(80.0, 50.0)
    segments = map_segments(60, Affine(side, 0, x, 0, -side, y), f"EPSG:{crs}")
    found = lonlat(crs, *segments.geometry)
    assert shapely.coverage_is_valid(found)
    assert shapely.is_valid(found).all()


def test_long_edges_follow_the_ground():
    """A straight edge of 60 km in UTM lies up to 70 m from the straight line between its ends in degrees."""
    strip = BOX(7e5, 5e6, 7.6e5, 5e6 + 100)
    (found,) = lonlat(32645, strip)
    edge = shapely.segmentize(strip, 500)
    to_degrees = Transformer.from_crs(32645, 4326, always_xy=True).transform
    truth = shapely.Polygon(np.column_stack(to_degrees(*shapely.get_coordinates(edge).T)))
    assert shapely.hausdorff_distance(found.boundary, truth.boundary, densify=0.001) < 1e-6
    ends = shapely.Polygon(np.column_stack(to_degrees(*shapely.get_coordinates(strip).T)))
    assert shapely.symmetric_difference(ends, truth).area > 0.4 * truth.area  # without bending it would be elsewhere


@given(st.lists(st.tuples(*[st.floats(-3, 3)] * 4), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_an_edge_bends_alike_from_both_ends(boxes):
    polygons = np.array([BOX(x, y, x + abs(w) + 0.1, y + abs(h) + 0.1) for x, y, w, h in boxes], object)

    def parabola(points):
        return np.column_stack([points[:, 0], points[:, 1] + points[:, 0] ** 2])

    one = project_edges(polygons, parabola, tolerance=0.01, reach=0.01)
    other = project_edges(shapely.reverse(polygons), parabola, tolerance=0.01, reach=0.01)
    assert shapely.equals_exact(one, shapely.reverse(other), 0).all()
    fine = shapely.transform(shapely.segmentize(polygons, 0.01), parabola)
    assert (shapely.hausdorff_distance(one, fine) < 0.05).all()


def test_a_point_without_longitude_is_told():
    far = BOX(-3e7, -3e7, 3e7, 3e7)
    with pytest.raises(UsageError, match=r"s\.geojson: .* at x .*Write \.gpkg"):
        lonlat("+proj=ortho +lat_0=10 +lon_0=20 +datum=WGS84 +type=crs", far)
