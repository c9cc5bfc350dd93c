"""A footprint is where the pixels are on the Earth."""

import numpy as np
import pytest
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Geod, Transformer
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from shapely.geometry import shape

from geoseg.io.publish.grid import LayerGrid, footprint

PLACES = {
    "plain": ("EPSG:32645", Affine(1, 0, 500000, 0, -1, 3000000), False),
    "south-up": ("EPSG:32645", Affine(1, 0, 500000, 0, 1, 3000000), False),
    "rotated": ("EPSG:32759", Affine(70, 30, 500000, 30, -70, 3000000), False),
    "degrees": ("EPSG:4326", Affine(0.01, 0, 10, 0, -0.01, 50), False),
    "antimeridian in metres": ("EPSG:32701", Affine(1000, 0, 100000, 0, -1000, 8000000), True),
    "antimeridian in degrees": ("EPSG:4326", Affine(0.1, 0, 175, 0, -0.1, 10), True),
    "west of -180": ("EPSG:4326", Affine(0.1, 0, -185, 0, -0.1, 10), True),
    "north pole": ("EPSG:3413", Affine(2000, 0, -100000, 0, -2000, 100000), None),
    "south pole": ("EPSG:3031", Affine(2000, 0, -100000, 0, -2000, 100000), None),
    "the Earth": ("EPSG:4326", Affine(3.6, 0, -180, 0, -1.8, 90), False),
    "the Earth from Greenwich": ("EPSG:4326", Affine(3.6, 0, 0, 0, -1.8, 90), False),
}


@pytest.mark.parametrize("name", PLACES)
def test_every_pixel_lies_in_the_footprint_and_nothing_far_from_one_does(name):
    crs, transform, crosses = PLACES[name]
    geometry, bbox = footprint(LayerGrid(geobox=GeoBox((100, 100), transform, crs)))
    outline = shape(geometry)
    assert outline.is_valid
    rows, cols = np.meshgrid(np.arange(1.5, 99), np.arange(1.5, 99), indexing="ij")
    x, y = transform @ (cols, rows)
    lon, lat = Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)
    lon = (np.asarray(lon) + 180) % 360 - 180
    assert shapely.intersects_xy(outline, lon, lat).all()
    west, south, east, north = bbox
    inside = (lon >= west) & (lon <= east) if west <= east else (lon >= west) | (lon <= east)
    assert (inside & (lat >= south) & (lat <= north)).all()
    assert -180 <= west <= 180
    assert -180 <= east <= 180
    assert crosses is None or crosses == (west > east)
    assert (geometry["type"] == "MultiPolygon") == bool(crosses)
    if crs != "EPSG:4326":
        area = abs(Geod(ellps="WGS84").geometry_area_perimeter(outline)[0])
        assert area == pytest.approx(1e4 * abs(transform.determinant), rel=0.1)


@pytest.mark.parametrize(
    ("crs", "transform", "shape_px", "vertices"),
    [
        ("EPSG:4326", Affine(1e-5, 0, 10, 0, -1e-5, 50), (4000, 4000), 5),
        ("EPSG:4326", Affine(0.1, 0, 10, 0, -0.1, 50), (100, 100), 5),
        ("EPSG:32645", Affine(0.5, 0, 500000, 0, -0.5, 3000000), (400, 300), 5),
        ("EPSG:32645", Affine(0.4, 0.3, 500000, 0.3, -0.4, 3000000), (300, 200), 5),
        (
            "EPSG:32645",
            Affine(10, 0, 300000, 0, -10, 6000000),
            (10980, 10980),
            None,
        ),  # edges bend by hundreds of metres
        ("EPSG:3413", Affine(25, 0, 500000, 0, -25, 500000), (4000, 4000), None),
    ],
)
def test_an_outline_has_no_more_vertices_than_half_a_pixel_asks_for(crs, transform, shape_px, vertices):
    height, width = shape_px
    geometry, _ = footprint(LayerGrid(geobox=GeoBox(shape_px, transform, crs)))
    (ring,) = geometry["coordinates"]
    assert len(ring) == vertices if vertices else 5 < len(ring) <= 129
    assert shapely.LinearRing(ring).is_ccw, "as RFC 7946 wants it"
    to_grid = Transformer.from_crs(4326, crs, always_xy=True)
    there = ~transform
    step = np.linspace(0, 1, 200)
    line = shapely.segmentize(shapely.LinearRing(ring), shapely.LinearRing(ring).length / 1000)
    drawn = shapely.LinearRing(
        [there @ xy for xy in zip(*to_grid.transform(*shapely.get_coordinates(line).T), strict=True)]
    )
    zero, one = np.zeros_like(step), np.ones_like(step)
    points = np.concatenate([np.transpose(edge) for edge in ((step, zero), (one, step), (step, one), (zero, step))])
    assert shapely.distance(shapely.points(points * [width, height]), drawn).max() < 0.6


@pytest.mark.parametrize("crs", [None, 'LOCAL_CS["site",UNIT["metre",1]]'])
def test_a_site_of_its_own_has_no_place_on_the_earth(crs):
    assert footprint(LayerGrid(geobox=GeoBox((10, 10), Affine.identity(), crs))) is None


def test_ground_control_points_place_the_scene():
    gcps = tuple(GroundControlPoint(r, c, 10 + c * 0.01, 50 - r * 0.01) for r in (0, 10) for c in (0, 20))
    grid = LayerGrid(geobox=GeoBox((10, 20), Affine.identity(), None), gcps=gcps, gcps_crs=CRS.from_epsg(4326))
    assert footprint(grid)[1] == pytest.approx([10, 49.9, 10.2, 50])
    assert grid.bounds() == pytest.approx((10, 49.9, 10.2, 50))
