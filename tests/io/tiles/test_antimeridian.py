"""A raster across the antimeridian is found, read and counted on both of its sides."""

from __future__ import annotations

from math import asinh, pi, radians, tan
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer

from geoseg.io.tiles.address import TileAddress
from geoseg.io.tiles.raster import TiledRaster, open_layer

PIXEL_M, ROWS, COLS = 10.0, 400, 600
LATITUDE = -17.0


@pytest.fixture(params=[32760, 32701])
def raster(request: pytest.FixtureRequest, tmp_path: Path) -> TiledRaster:
    """Ones to the west of the antimeridian, twos to its east, by their longitudes in pyproj."""
    to_metres = Transformer.from_crs(4326, request.param, always_xy=True)
    x, y = to_metres.transform(180.0, LATITUDE)
    place = Affine(PIXEL_M, 0, x - COLS / 2 * PIXEL_M, 0, -PIXEL_M, y + ROWS / 2 * PIXEL_M)
    cols, rows = np.meshgrid(np.arange(COLS) + 0.5, np.arange(ROWS) + 0.5)
    longitude, _ = to_metres.transform(*(place * (cols, rows)), direction="INVERSE")
    values = np.where(longitude > 0, 1, 2).astype(np.uint8)
    facts = {"driver": "GTiff", "height": ROWS, "width": COLS, "count": 1, "dtype": "uint8"}
    with rasterio.open(tmp_path / "a.tif", "w", crs=request.param, transform=place, **facts) as file:
        file.write(values, 1)
    return open_layer(tmp_path / "a.tif")


def test_it_has_the_zoom_of_its_pixels(raster: TiledRaster) -> None:
    west, _, east, _ = raster.bounds
    assert west > 179.9
    assert east < -179.9
    equator_m = PIXEL_M / np.cos(radians(LATITUDE))
    assert raster.native_zoom == int(np.ceil(np.log2(2 * pi * 6378137 / 512 / equator_m) - 0.25))


@pytest.mark.parametrize(
    ("bounds", "share"),
    [
        ((-180, -85, 180, 85), (1, 1)),
        ((179.5, -18, -179.5, -16), (1, 1)),
        ((100, -18, 180, -16), (1, 0)),
        ((-180, -18, -100, -16), (0, 1)),
        ((-180, -18, 170, -16), (0, 1)),
    ],
)
def test_areas_are_counted_on_both_sides(raster: TiledRaster, bounds, share) -> None:
    grid = raster.grid(bounds, 2048)
    assert grid is not None
    pixels = raster.on_grid(grid)
    half_m2 = ROWS * COLS / 2 * PIXEL_M**2
    found = np.bincount(pixels.values[0][pixels.valid], minlength=3)[1:] * grid.pixel_m**2
    assert found == pytest.approx(np.array(share) * half_m2, rel=0.02, abs=0.02 * half_m2)


def test_extents_elsewhere_meet_nothing(raster: TiledRaster) -> None:
    assert raster.grid((-90, -18, 90, -16), 2048) is None
    assert raster.grid((170, -18, 179, -16), 2048) is None


@pytest.mark.parametrize(("lon", "value"), [(179.99, 1), (-179.99, 2)])
def test_a_tile_of_either_side_has_its_pixels(raster: TiledRaster, lon: float, value: int) -> None:
    zoom = 14
    x, y = (lon + 180) / 360 * 2**zoom, (1 - asinh(tan(radians(LATITUDE))) / pi) / 2 * 2**zoom
    pixels = raster.tile(TileAddress(zoom, int(x), int(y)), 512, resampling="nearest")
    assert pixels is not None
    at = int(y % 1 * 512), int(x % 1 * 512)
    assert pixels.valid[at]
    assert pixels.values[0][at] == value


def test_cells_of_a_grid_lie_where_their_pixels_are(raster: TiledRaster) -> None:
    grid = raster.grid((-180, -85, 180, 85), 512)
    assert grid is not None
    west, south, east, north = grid.lonlat(slice(0, grid.shape[0]), slice(0, grid.shape[1]))
    assert (west, south, east, north) == pytest.approx(raster.bounds, abs=1e-3)
