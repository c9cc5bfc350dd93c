"""Two grids are one when their pixels lie on each other, however the CRS is worded."""

from __future__ import annotations

import re

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import CRS

from geoseg.core.grid import grid_difference, shares_pixels

UTM = Affine(0.5, 0.1, 4.5e5, 0.1, -0.5, 5.1e6)


@pytest.mark.parametrize("crs", ["EPSG:32633", "EPSG:3857", "EPSG:4326", None])
def test_a_grid_is_itself_in_any_wording(crs: str | None) -> None:
    transform = Affine(1e-5, 0, 25, 0, -1e-5, 60) if crs == "EPSG:4326" else UTM
    grid = GeoBox((20, 30), transform, crs)
    assert grid_difference(grid, grid) is None
    if crs is not None:
        for version in ("WKT1_GDAL", "WKT2_2019"):
            worded = GeoBox((20, 30), transform, CRS.from_user_input(crs).to_wkt(version))
            assert grid_difference(grid, worded) is None


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_a_shift_is_told_in_pixels(rows: float, cols: float) -> None:
    grid = GeoBox((20, 30), UTM, "EPSG:32633")
    shifted = GeoBox((20, 30), UTM * Affine.translation(cols, rows), "EPSG:32633")
    off = float(np.hypot(rows, cols))
    difference = grid_difference(grid, shifted)
    if off < 0.0099:
        assert difference is None
    elif off > 0.0101:
        assert difference is not None
        told = [float(number) for number in re.findall(r"-?[\d.e-]+(?= (?:rows|columns))", difference)]
        assert told == pytest.approx([rows, cols], rel=1e-4, abs=1e-5)


def test_other_grids_differ_in_words() -> None:
    grid = GeoBox((20, 30), UTM, "EPSG:32633")
    assert "10 x 30" in str(grid_difference(grid, GeoBox((10, 30), UTM, "EPSG:32633")))
    assert "CRS" in str(grid_difference(grid, GeoBox((20, 30), UTM, None)))
    assert "CRS" in str(grid_difference(GeoBox((20, 30), UTM, None), grid))
    assert grid_difference(grid, GeoBox((20, 30), UTM, "EPSG:32634")) == "its CRS is EPSG:32634, not EPSG:32633"
    assert "its pixels are" in str(grid_difference(grid, GeoBox((20, 30), UTM * Affine.scale(1.01), "EPSG:32633")))
    assert grid_difference(grid, GeoBox((20, 30), UTM, 'LOCAL_CS["site",UNIT["metre",1]]')) is not None


def _reordered(order: str) -> GeoBox:
    """The grid of 20 x 30 pixels again, its pixels counted from other corners or along the other side."""
    rows, cols = (20, 30) if order != "turned" else (30, 20)
    steps = {
        "rows": Affine(1, 0, 0, 0, -1, 20),
        "columns": Affine(-1, 0, 30, 0, 1, 0),
        "rows and columns": Affine(-1, 0, 30, 0, -1, 20),
        "turned": Affine(0, 1, 0, -1, 0, 20),
    }
    return GeoBox((rows, cols), UTM * steps[order], "EPSG:32633")


@pytest.mark.parametrize("order", ["rows", "columns", "rows and columns", "turned"])
def test_a_grid_whose_pixels_are_counted_the_other_way_shares_all_of_them(order: str) -> None:
    grid, other = GeoBox((20, 30), UTM, "EPSG:32633"), _reordered(order)
    assert shares_pixels(grid, other)
    said = str(grid_difference(grid, other))
    assert said == (f"its {order} run the other way" if order != "turned" else "it is turned by -90 degrees")


@pytest.mark.parametrize(
    ("change", "alone", "covering"),
    [
        (Affine.identity(), True, True),
        (Affine.translation(0.3, 0), False, False),
        (Affine.scale(1 / 3), False, False),
        (Affine.scale(3), False, False),
        (Affine.translation(1, 0), False, False),
        (Affine.rotation(1), False, False),
    ],
)
def test_other_pixels_are_not_shared(change: Affine, *, alone: bool, covering: bool) -> None:
    grid = GeoBox((21, 33), UTM, "EPSG:32633")
    other = GeoBox((21, 33), UTM * change, "EPSG:32633")
    assert shares_pixels(grid, other) == alone
    assert shares_pixels(grid, other, covering=True) == covering


@pytest.mark.parametrize(("up", "left", "down", "right"), [(0, 0, 1, 0), (3, 2, 0, 4), (0, 1, 0, 0)])
def test_a_larger_grid_on_the_same_pixels_covers_a_smaller_one(up: int, left: int, down: int, right: int) -> None:
    grid = GeoBox((20, 30), UTM, "EPSG:32633")
    larger = GeoBox((20 + up + down, 30 + left + right), UTM * Affine.translation(-left, -up), "EPSG:32633")
    assert shares_pixels(grid, larger, covering=True)
    assert not shares_pixels(grid, larger)
    assert not shares_pixels(larger, grid, covering=True)
    elsewhere = GeoBox(larger.shape, larger.transform, "EPSG:32634")
    assert not shares_pixels(grid, elsewhere, covering=True)
