"""A raster of longitudes that go on beyond 180 degrees is found, read and counted where its ground is."""

from __future__ import annotations

from dataclasses import dataclass
from math import asinh, pi, radians, tan
from pathlib import Path

import mapbox_vector_tile
import numpy as np
import pyogrio.raw
import pytest
import rasterio
import shapely
from pyproj import Geod
from rasterio.transform import from_origin

from geoseg.io.tiles.address import TileAddress
from geoseg.io.tiles.polygons import PolygonTable
from geoseg.io.tiles.raster import TiledRaster, open_layer

LATITUDE, HEIGHT, ROWS = -17.0, 0.6, 300
GEOD = Geod(ellps="WGS84")


@dataclass(frozen=True)
class Case:
    """A raster in degrees: its western edge and width as stored, and where its ground is."""

    west: float
    width: float
    crs: int
    bounds: tuple[float, float]
    places: tuple[float, ...]
    away: tuple[float, ...]


CASES = {
    "179 to 181": Case(179, 2, 4326, (179, -179), (179.5, -179.5, 179.999, -179.999), (0.0, 178.0, -178.0)),
    "-181 to -179": Case(-181, 2, 4326, (179, -179), (179.5, -179.5, 179.999, -179.999), (0.0, 178.0, -178.0)),
    "359 to 361": Case(359, 2, 4326, (-1, 1), (-0.5, 0.5, 0.001, -0.001), (179.5, -179.5, 2.0)),
    "190 to 192": Case(190, 2, 4326, (-170, -168), (-169.5, -168.5), (169.5, 0.0)),
    "539 to 541": Case(539, 2, 4326, (179, -179), (179.5, -179.5), (0.0,)),
    "0 to 360": Case(0, 360, 4326, (-180, 180), (0.5, -0.5, 179.5, -179.5, 90.0, -90.0), ()),
    "half a cell beyond": Case(-180.25, 360, 4326, (-180, 180), (0.6, -0.6, 179.5, -179.5, -179.9), ()),
    "other datum": Case(179, 2, 4167, (179, -179), (179.5, -179.5), (0.0, 178.0)),
    "within": Case(10, 2, 4326, (10, 12), (10.5, 11.5), (9.5, -170.0)),
}


def is_east(longitude: np.ndarray | float) -> np.ndarray:
    """Ones where the ground lies east of Greenwich, twos west of it."""
    return np.where((np.asarray(longitude) + 180) % 360 - 180 > 0, 1, 2).astype(np.uint8)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture
def raster(case: Case, tmp_path: Path) -> TiledRaster:
    cols = 1000 if case.width < 10 else 3600
    values = np.tile(is_east(case.west + (np.arange(cols) + 0.5) * case.width / cols), (ROWS, 1))
    place = from_origin(case.west, LATITUDE + HEIGHT / 2, case.width / cols, HEIGHT / ROWS)
    facts = {"driver": "GTiff", "height": ROWS, "width": cols, "count": 1, "dtype": "uint8"}
    with rasterio.open(tmp_path / "a.tif", "w", crs=case.crs, transform=place, **facts) as file:
        file.write(values, 1)
    return open_layer(tmp_path / "a.tif")


def tile_at(lon: float, zoom: int) -> tuple[TileAddress, tuple[int, int]]:
    x, y = (lon + 180) / 360 * 2**zoom, (1 - asinh(tan(radians(LATITUDE))) / pi) / 2 * 2**zoom
    return TileAddress(zoom, int(x), int(y)), (int(y % 1 * 512), int(x % 1 * 512))


def test_its_bounds_are_those_of_its_ground(raster: TiledRaster, case: Case) -> None:
    assert raster.bounds[:3:2] == pytest.approx(case.bounds, abs=1e-4)
    edges = LATITUDE - HEIGHT / 2, LATITUDE + HEIGHT / 2
    assert raster.bounds[1::2] == pytest.approx(edges, abs=1e-4)


def test_it_has_the_zoom_of_the_same_raster_within_180_degrees(raster: TiledRaster, case: Case) -> None:
    wide = case.width / (1000 if case.width < 10 else 3600)
    high = HEIGHT / ROWS
    zooms = [np.log2(360 / 512 / side) for side in (wide, high)]
    assert min(zooms) - 0.5 < raster.native_zoom < max(zooms) + 1.5


@pytest.mark.parametrize("zoom", [4, 9])
def test_tiles_hold_the_pixels_of_their_ground(raster: TiledRaster, case: Case, zoom: int) -> None:
    for lon in case.places:
        address, at = tile_at(lon, zoom)
        pixels = raster.tile(address, 512, resampling="nearest")
        assert pixels is not None
        near = slice(at[0], at[0] + 1), slice(max(0, at[1] - 1), at[1] + 2)
        assert pixels.valid[at], lon
        assert is_east(lon) in pixels.values[0][near], lon
    for lon in case.away:
        address, at = tile_at(lon, zoom)
        pixels = raster.tile(address, 512, resampling="nearest")
        assert pixels is None or not pixels.valid[at], lon


def ground_m2(west: float, east: float) -> float:
    """Area of a box of the raster's latitudes, west <= east, in steps since its edges are no geodesics."""
    lons = np.linspace(west, east, 200)
    south, north = LATITUDE - HEIGHT / 2, LATITUDE + HEIGHT / 2
    ring = np.r_[np.c_[lons, np.full(200, south)], np.c_[lons[::-1], np.full(200, north)]]
    return abs(GEOD.polygon_area_perimeter(*ring.T)[0])


def test_areas_are_counted_on_both_sides(raster: TiledRaster, case: Case) -> None:
    grid = raster.grid((-180, -85, 180, 85), 2048)
    assert grid is not None
    pixels = raster.on_grid(grid)
    found = np.bincount(pixels.values[0][pixels.valid], minlength=3)[1:] * grid.pixel_m**2
    longitudes = case.west + (np.arange(20000) + 0.5) * case.width / 20000
    shares = np.bincount(is_east(longitudes), minlength=3)[1:] / 20000
    assert found == pytest.approx(shares * case.width * ground_m2(0, 1), rel=0.01, abs=1e6)


@pytest.mark.parametrize(("view", "share"), [((179.5, -179.5), (0.5, 0.5)), ((179.0, 180.0), (1, 0))])
def test_a_view_across_180_degrees_counts_what_it_shows(tmp_path: Path, view, share) -> None:
    for name in ("179 to 181", "0 to 360", "-181 to -179"):
        case = CASES[name]
        cols = int(case.width * 500) if case.width < 10 else 7200
        values = np.tile(is_east(case.west + (np.arange(cols) + 0.5) * case.width / cols), (ROWS, 1))
        place = from_origin(case.west, LATITUDE + HEIGHT / 2, case.width / cols, HEIGHT / ROWS)
        facts = {"driver": "GTiff", "height": ROWS, "width": cols, "count": 1, "dtype": "uint8"}
        with rasterio.open(tmp_path / f"{name}.tif", "w", crs=4326, transform=place, **facts) as file:
            file.write(values, 1)
        raster = open_layer(tmp_path / f"{name}.tif")
        grid = raster.grid((view[0], -85, view[1], 85), 2048)
        assert grid is not None
        pixels = raster.on_grid(grid)
        found = np.bincount(pixels.values[0][pixels.valid], minlength=3)[1:] * grid.pixel_m**2
        assert found == pytest.approx(np.array(share) * ground_m2(0, 1), rel=0.03, abs=1e6), name


def test_cells_of_a_grid_lie_where_their_pixels_are(raster: TiledRaster, case: Case) -> None:
    grid = raster.grid(raster.bounds, 512)
    assert grid is not None
    west, _, east, _ = grid.lonlat(slice(0, grid.shape[0]), slice(0, grid.shape[1]))
    assert (west, east) == pytest.approx(case.bounds, abs=2 * case.width / 512)


@pytest.fixture
def table(case: Case, tmp_path: Path) -> PolygonTable:
    """Squares of a tenth of a degree around the places of a case, with longitudes as the raster's."""
    numbers = np.arange(len(case.places), dtype=np.int64)
    stored = np.array([_stored(lon, case) for lon in case.places])
    squares = shapely.box(stored - 0.05, LATITUDE - 0.05, stored + 0.05, LATITUDE + 0.05)
    if 179.999 in case.places or 0.001 in case.places:  # these overlap
        squares, numbers = squares[:2], numbers[:2]
    pyogrio.raw.write(
        tmp_path / "a.gpkg", shapely.to_wkb(squares), [numbers], ["object_id"], layer="segments", driver="GPKG",
        crs=f"EPSG:{case.crs}", geometry_type="Polygon",
    )  # fmt: skip
    return PolygonTable(tmp_path / "a.gpkg", "segments")


def _stored(lon: float, case: Case) -> float:
    return next(lon + turn for turn in (0, 360, -360, 720) if case.west <= lon + turn <= case.west + case.width)


def test_polygons_are_found_drawn_and_placed_where_their_ground_is(table: PolygonTable, case: Case) -> None:
    for number, lon in enumerate(case.places[: table.count]):
        found = table.at(lon, LATITUDE)
        assert found is not None
        assert found.attributes["object_id"] == number
        assert found.bounds[:3:2] == pytest.approx((lon - 0.05, lon + 0.05), abs=1e-4)
        address, at = tile_at(lon, 9)
        tile = mapbox_vector_tile.decode(table.tile(address), default_options={"y_coord_down": True})
        here = shapely.Point(at[1] * 8, at[0] * 8)
        drawn = [
            one["id"] for one in tile["polygons"]["features"] if shapely.geometry.shape(one["geometry"]).covers(here)
        ]
        assert drawn == [found.id]
    for lon in case.away:
        assert table.at(lon, LATITUDE) is None


def test_a_polygon_across_180_degrees_is_one(tmp_path: Path) -> None:
    square = shapely.box(179.9, LATITUDE - 0.05, 180.1, LATITUDE + 0.05)
    pyogrio.raw.write(
        tmp_path / "a.gpkg", shapely.to_wkb([square]), [np.array([1])], ["object_id"], layer="segments", driver="GPKG",
        crs="EPSG:4326", geometry_type="Polygon",
    )  # fmt: skip
    table = PolygonTable(tmp_path / "a.gpkg", "segments")
    for lon in (179.95, -179.95):
        found = table.at(lon, LATITUDE)
        assert found is not None
        assert found.bounds[:3:2] == pytest.approx((179.9, -179.9))
        assert table.tile(tile_at(lon, 9)[0])
