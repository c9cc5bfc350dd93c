"""Labels land on the scene's grid, whether they come as pixels or as polygons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from odc.geo.geobox import GeoBox
from rasterio.transform import Affine

from geoseg.errors import SceneError
from geoseg.io.label_file import read_labels

GRID = GeoBox((40, 60), Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000), "EPSG:32633")


def _window(rows: tuple[int, int], cols: tuple[int, int]) -> GeoBox:
    transform = Affine(0.5, 0, 500_000 + 0.5 * cols[0], 0, -0.5, 5_000_000 - 0.5 * rows[0])
    return GeoBox((rows[1] - rows[0], cols[1] - cols[0]), transform, "EPSG:32633")


@pytest.fixture
def raster(tmp_path: Path) -> tuple[Path, np.ndarray]:
    codes = np.random.default_rng(0).integers(0, 60_000, (40, 60)).astype(np.uint16)
    path = tmp_path / "codes.tif"
    profile: dict[str, Any] = {"driver": "GTiff", "width": 60, "height": 40, "count": 1, "dtype": "uint16"}
    with rasterio.open(path, "w", crs="EPSG:32633", transform=GRID.transform, **profile) as file:
        file.write(codes, 1)
    return path, codes


@pytest.mark.parametrize("window", [((0, 40), (0, 60)), ((3, 17), (20, 60)), ((39, 40), (0, 1))])
def test_a_window_of_a_raster_is_that_window(
    raster: tuple[Path, np.ndarray], window: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    path, codes = raster
    rows, cols = window
    np.testing.assert_array_equal(read_labels(path, _window(rows, cols)), codes[slice(*rows), slice(*cols)])


@pytest.mark.parametrize(
    "grid",
    [
        _window((0, 41), (0, 60)),
        _window((-1, 10), (0, 10)),
        GeoBox((10, 10), Affine(0.5, 0, 500_000.2, 0, -0.5, 5_000_000), "EPSG:32633"),
        GeoBox((10, 10), Affine(0.6, 0, 500_000, 0, -0.6, 5_000_000), "EPSG:32633"),
        GeoBox((10, 10), Affine(0.5, 0.1, 500_000, 0, -0.5, 5_000_000), "EPSG:32633"),
    ],
)
def test_a_raster_on_another_grid_is_refused(raster: tuple[Path, np.ndarray], grid: GeoBox) -> None:
    with pytest.raises(SceneError, match=r"codes\.tif: its grid"):
        read_labels(raster[0], grid)


def _polygons(path: Path, crs: str = "EPSG:32633") -> None:
    boxes = [shapely.box(500_005, 4_999_990, 500_010, 4_999_995), shapely.box(500_020, 4_999_985, 500_025, 4_999_999)]
    frame = geopandas.GeoDataFrame({"kind": [3, 5]}, geometry=boxes, crs="EPSG:32633")
    frame.to_crs(crs).to_file(path, engine="pyogrio")


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:4326"])
@pytest.mark.parametrize("name", ["roofs.gpkg", "roofs.geojson"])
def test_polygons_cover_the_pixels_whose_centres_they_hold(tmp_path: Path, name: str, crs: str) -> None:
    path = tmp_path / name
    _polygons(path, "EPSG:4326" if name.endswith("json") else crs)
    codes = read_labels(path, GRID, attribute="kind")
    y, x = np.mgrid[:40, :60]
    east, north = 500_000.25 + 0.5 * x, 4_999_999.75 - 0.5 * y
    expected = np.zeros((40, 60), int)
    expected[(east > 500_005) & (east < 500_010) & (north > 4_999_990) & (north < 4_999_995)] = 3
    expected[(east > 500_020) & (east < 500_025) & (north > 4_999_985) & (north < 4_999_999)] = 5
    np.testing.assert_array_equal(codes, expected)
    np.testing.assert_array_equal(read_labels(path, GRID), (expected > 0).astype(int))


def test_faults_are_named(tmp_path: Path) -> None:
    _polygons(tmp_path / "roofs.gpkg")
    with pytest.raises(SceneError, match="no field 'colour'"):
        read_labels(tmp_path / "roofs.gpkg", GRID, attribute="colour")
    for name in ("absent.gpkg", "absent.tif"):
        with pytest.raises(SceneError, match=name):
            read_labels(tmp_path / name, GRID)
