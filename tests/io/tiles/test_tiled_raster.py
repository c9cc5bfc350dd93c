"""Tiles of rasters: each pixel of a tile is the pixel of the raster on the same ground, whatever its georeference."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.control import GroundControlPoint

from geoseg.errors import SceneError, UsageError
from geoseg.io.publish.grid import LayerGrid
from geoseg.io.raster.open_options import OpenOptions
from geoseg.io.tiles.address import Bounds, TileAddress
from geoseg.io.tiles.placed import overlaps
from geoseg.io.tiles.raster import TiledRaster, open_imagery, open_layer

CELL = 20
"""Pixels along the side of the squares of one value."""


def chequered() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Squares of values 1 to 80."""
    rows, cols = np.indices((160, 200)) // CELL
    return (1 + rows * 10 + cols).astype(np.uint8)


def write(path: Path, affine: Affine, crs: str, *, by_points: bool = False) -> Path:
    """Write the squares with an affine, or with control points that lie on it."""
    facts = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": 160, "width": 200, "nodata": 255}
    place = {} if by_points else {"crs": crs, "transform": affine}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path, "w", **facts, **place) as target:
            target.write(chequered(), 1)
            if by_points:
                corners = [(0, 0), (0, 200), (160, 0), (160, 200), (80, 100)]
                xy = [affine * (col, row) for row, col in corners]
                gcps = [
                    GroundControlPoint(row=row, col=col, x=x, y=y)
                    for (row, col), (x, y) in zip(corners, xy, strict=True)
                ]
                target.gcps = gcps, rasterio.crs.CRS.from_string(crs)
    return path


UTM = Affine(0.5, 0, 500000, 0, -0.5, 5400000)
TURNED = Affine.translation(500000, 5400000) * Affine.rotation(30) * Affine.scale(0.5, -0.5)
KINDS: dict[str, tuple[Affine, str, bool]] = {
    "metres": (UTM, "EPSG:32632", False),
    "degrees": (Affine(5e-6, 0, 9.0, 0, -5e-6, 48.75), "EPSG:4326", False),
    "web mercator": (Affine(0.5, 0, 1000000, 0, -0.5, 6000000), "EPSG:3857", False),
    "turned": (TURNED, "EPSG:32632", False),
    "turned web mercator": (
        Affine.translation(1000000, 6000000) * Affine.rotation(30) * Affine.scale(0.5, -0.5),
        "EPSG:3857",
        False,
    ),
    "control points": (TURNED, "EPSG:32632", True),
    "southern": (Affine(2, 0, 300000, 0, -2, 6200000), "EPSG:32756", False),
    "south up": (Affine(0.5, 0, 500000, 0, 0.5, 5400000), "EPSG:32632", False),
}


def opened_as_scene(path: Path) -> TiledRaster:
    return open_imagery(str(path), OpenOptions(), ())


@pytest.mark.parametrize("opener", [open_layer, opened_as_scene])
@pytest.mark.parametrize("kind", KINDS)
def test_a_pixel_of_a_tile_is_that_of_the_raster_on_the_same_ground(
    tmp_path: Path, kind: str, opener: Callable[[Path], TiledRaster]
):
    affine, crs, by_points = KINDS[kind]
    raster = opener(write(tmp_path / "raster.tif", affine, crs, by_points=by_points))
    from_mercator = Transformer.from_crs(3857, crs, always_xy=True)
    to_lonlat = Transformer.from_crs(crs, 4326, always_xy=True)
    lon, lat = to_lonlat.transform(*(affine * (100, 80)))
    zoom = raster.native_zoom
    x = int((lon + 180) / 360 * 2**zoom)
    y = int((1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2 * 2**zoom)
    address = TileAddress(zoom, x, y)
    pixels = raster.tile(address, 512, resampling="nearest")
    assert pixels is not None
    west, south, east, north = address.bounds
    down, right = np.indices((512, 512)) + 0.5
    own = from_mercator.transform(west + (east - west) * right / 512, north - (north - south) * down / 512)
    col, row = ~affine * own
    # pixels that are no nearer than two to the edge of a square
    clear = (np.abs((row / CELL) % 1 - 0.5) < 0.4) & (np.abs((col / CELL) % 1 - 0.5) < 0.4)
    inside = (row > 0) & (row < 160) & (col > 0) & (col < 200)
    surely = clear & inside
    assert surely.sum() > 2000
    expected = 1 + (row // CELL) * 10 + col // CELL
    assert pixels.valid[surely].all()
    assert (pixels.values[0][surely] == expected[surely]).all()
    outside = (row < -3) | (row > 163) | (col < -3) | (col > 203)
    assert not pixels.valid[outside].any()


@pytest.mark.parametrize("opener", [open_layer, opened_as_scene])
@pytest.mark.parametrize("step", [40, 160], ids=["a polynomial of second order", "four points, which fit a homography"])
def test_bent_control_points_place_pixels_where_polygons_are(
    tmp_path: Path, opener: Callable[[Path], TiledRaster], step: int
):
    crs = rasterio.crs.CRS.from_epsg(32632)
    points = []
    for row, col in ((r, c) for r in range(0, 161, step) for c in range(0, 201, step * 5 // 4)):
        x, y = UTM * (col + (row / 20) ** 2 / 4, row - (col / 25) ** 2 / 4)
        points.append(GroundControlPoint(row=row, col=col, x=x, y=y))
    path = tmp_path / "bent.tif"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path, "w", driver="GTiff", dtype="uint8", count=1, height=160, width=200, nodata=255) as out:
            out.write(chequered(), 1)
            out.gcps = points, crs
    raster = opener(path)
    grid = LayerGrid(geobox=GeoBox((160, 200), Affine.identity(), None), gcps=tuple(points), gcps_crs=crs)
    rows, cols = (index.ravel() + 0.5 for index in np.indices((160, 200)))
    x, y = Transformer.from_crs(32632, 3857, always_xy=True).transform(*grid.to_world(cols, rows))
    side = TileAddress(raster.native_zoom, 0, 0).bounds[2] - TileAddress(raster.native_zoom, 0, 0).bounds[0]
    columns, downs = (x + 20037508.342789244) / side, (20037508.342789244 - y) / side
    seen = 0
    for column, down in sorted(set(zip(columns.astype(int), downs.astype(int), strict=True))):
        pixels = raster.tile(TileAddress(raster.native_zoom, int(column), int(down)), 512, resampling="nearest")
        assert pixels is not None
        here = (columns.astype(int) == column) & (downs.astype(int) == down)
        here &= (np.abs((rows / CELL) % 1 - 0.5) < 0.4) & (np.abs((cols / CELL) % 1 - 0.5) < 0.4)
        at = ((downs[here] - down) * 512).astype(int), ((columns[here] - column) * 512).astype(int)
        expected = 1 + (rows[here] // CELL) * 10 + cols[here] // CELL
        assert (pixels.values[0][at] == expected).all()
        seen += int(here.sum())
    assert seen > 10_000
    raster.close()


def test_a_tile_elsewhere_is_none(tmp_path: Path):
    raster = open_layer(write(tmp_path / "raster.tif", UTM, "EPSG:32632"))
    assert raster.tile(TileAddress(10, 0, 0), 512, resampling="nearest") is None
    assert raster.grid((20, 10, 21, 11), 100) is None


def test_a_raster_without_crs_is_refused_with_the_option_that_helps(tmp_path: Path):
    path = tmp_path / "nowhere.tif"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path, "w", driver="GTiff", dtype="uint8", count=1, height=16, width=16) as target:
            target.write(np.ones((1, 16, 16), np.uint8))
    with pytest.raises(SceneError, match="--assume-crs"):
        opened_as_scene(path)


def test_a_layer_that_is_no_geotiff_is_refused(tmp_path: Path):
    path = tmp_path / "scene_classes.tif"
    path.write_text("<VRTDataset rasterXSize='1' rasterYSize='1'/>")
    with pytest.raises(SceneError):
        open_layer(path)


def test_bands_of_a_float_scene_are_invalid_where_one_is_no_number(tmp_path: Path):
    values = np.full((3, 64, 64), 0.5, np.float32)
    values[1, 32:] = np.nan
    path = tmp_path / "float.tif"
    facts = {"driver": "GTiff", "dtype": "float32", "count": 3, "height": 64, "width": 64}
    with rasterio.open(path, "w", crs="EPSG:3857", transform=Affine(1, 0, 0, 0, -1, 64), **facts) as target:
        target.write(values)
    raster = opened_as_scene(path)
    grid = raster.grid(raster.bounds, 64)
    assert grid is not None
    pixels = raster.on_grid(grid)
    assert pixels.valid[:30].all()
    assert not pixels.valid[34:].any()


@pytest.mark.parametrize(("zoom", "column", "row"), [(-1, 0, 0), (25, 0, 0), (3, 8, 0), (3, 0, 8), (3, -1, 0)])
def test_there_is_no_tile_beyond_the_pyramid(zoom: int, column: int, row: int):
    with pytest.raises(UsageError):
        TileAddress(zoom, column, row)


def test_the_tiles_of_a_zoom_cover_the_world_without_gaps():
    bounds = [TileAddress(2, column, 1).bounds for column in range(4)]
    assert [box[0] for box in bounds[1:]] == pytest.approx([box[2] for box in bounds[:-1]])
    assert TileAddress(2, 0, 0).bounds[1] == pytest.approx(TileAddress(2, 0, 1).bounds[3])


LON, LAT = st.floats(-180, 180), st.floats(-90, 90)


BOX = st.tuples(LON, LAT, LON, LAT).map(lambda box: (box[0], min(box[1::2]), box[2], max(box[1::2])))


@given(BOX, BOX)
def test_overlap_is_mutual_and_holds_for_every_shared_point(one: Bounds, other: Bounds):
    assert overlaps(one, other) == overlaps(other, one)

    def holds(box: tuple[float, ...], lon: float, lat: float) -> bool:
        across = box[0] < lon < box[2] if box[0] <= box[2] else lon > box[0] or lon < box[2]
        return across and box[1] < lat < box[3]

    lat = (max(one[1], other[1]) + min(one[3], other[3])) / 2
    for lon in np.linspace(-179.9, 179.9, 37):
        if holds(one, lon, lat) and holds(other, lon, lat):
            assert overlaps(one, other)


def test_a_raster_that_was_closed_meanwhile_is_still_read_by_those_who_have_it(tmp_path: Path):
    raster = open_layer(write(tmp_path / "raster.tif", UTM, "EPSG:32632"))
    grid = raster.grid(raster.bounds, 100)
    assert grid is not None
    everyone = threading.Barrier(6)

    def read(_: int) -> int:
        everyone.wait(30)
        assert grid is not None
        return int(raster.on_grid(grid).valid.sum())

    with ThreadPoolExecutor(6) as pool:
        before = list(pool.map(read, range(6), timeout=60))
        raster.close()
        assert list(pool.map(read, range(6), timeout=60)) == before


def test_handles_that_come_back_after_closing_are_closed(tmp_path: Path):
    raster = open_layer(write(tmp_path / "raster.tif", UTM, "EPSG:32632"))
    with raster._handle() as handle:
        dataset = handle.bands[0].dataset
        raster.close()
        assert not dataset.closed
    assert dataset.closed
    with raster._handle() as handle:
        dataset = handle.bands[0].dataset
    assert dataset.closed


@pytest.mark.parametrize(("apart", "level"), [(1, None), (1.6, None), (1.8, 0), (2, 0), (3, 0), (4, 1), (30, 1)])
def test_a_smooth_tile_is_read_from_the_overview_that_is_about_as_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, apart: float, level: int | None
):
    # a pixel of the tile is as wide as ``apart`` pixels of the raster
    address = TileAddress(15, 17000, 11000)
    west, _, east, north = address.bounds
    pixel_m = (east - west) / 512 / apart
    path, place = tmp_path / "noise.tif", Affine(pixel_m, 0, west, 0, -pixel_m, north)
    noise = np.random.default_rng(1).integers(0, 255, (2048, 2048), np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", height=2048, width=2048, count=1, dtype="uint8", crs="EPSG:3857", transform=place,
    ) as target:  # fmt: skip
        target.write(noise, 1)
        target.build_overviews([2, 4], rasterio.enums.Resampling.average)
    raster = opened_as_scene(path)
    opened: list[int | None] = []
    open_dataset = rasterio.open

    def spy(*arguments: Any, **options: Any) -> Any:
        opened.append(options.get("overview_level"))
        return open_dataset(*arguments, **options)

    monkeypatch.setattr(rasterio, "open", spy)
    for _ in range(2):
        assert raster.tile(address, 512, resampling="bilinear") is not None
    assert opened == [] if level is None else opened == [level]
    raster.close()


@pytest.mark.parametrize("zooms_out", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(1500, 1100), (1111, 1337)])
def test_overviews_move_nothing(tmp_path: Path, shape: tuple[int, int], zooms_out: int):
    path, place = tmp_path / "ramp.tif", Affine(0.5, 0, 500000, 0, -0.5, 5400000)
    down, right = np.indices(shape, np.float32)
    with rasterio.open(
        path, "w", driver="GTiff", height=shape[0], width=shape[1], count=3, dtype="float32", crs="EPSG:32632",
        transform=place, tiled=True, blockxsize=256, blockysize=256,
    ) as target:  # fmt: skip
        target.write(np.stack([down + 0.5, right + 0.5, down]))
        target.build_overviews([2, 4, 8], rasterio.enums.Resampling.average)
    raster = opened_as_scene(path)
    middle = Transformer.from_crs(32632, 4326, always_xy=True).transform(*(place * (shape[1] / 2, shape[0] / 2)))
    zoom = raster.native_zoom - zooms_out
    x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform(*middle)
    side = TileAddress(zoom, 0, 0).bounds[2] - TileAddress(zoom, 0, 0).bounds[0]
    address = TileAddress(zoom, int((x + 20037508.342789244) // side), int((20037508.342789244 - y) // side))
    pixels = raster.tile(address, 512, resampling="bilinear")
    assert pixels is not None
    rows, cols = np.nonzero(pixels.valid)
    west, _, _, north = address.bounds
    ground = Transformer.from_crs(3857, 32632, always_xy=True).transform(
        west + (cols + 0.5) * side / 512, north - (rows + 0.5) * side / 512
    )
    expected = np.array(~place * ground)[::-1]
    inside = (np.abs(expected - np.array(shape)[:, None] / 2) < np.array(shape)[:, None] / 2 - 20).all(axis=0)
    apart = np.abs(pixels.values[:2, rows, cols] - expected)[:, inside]
    assert inside.sum() > 1000 / 4**zooms_out
    assert apart.max() < 0.7 * 2**zooms_out
    raster.close()
