"""Two grids are one when their pixels lie on each other, however the CRS is worded."""

from __future__ import annotations

import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import CRS

from geoseg.core.grid import grid_difference

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
    off = (rows**2 + cols**2) ** 0.5
    difference = grid_difference(grid, shifted)
    if off < 0.0099:
        assert difference is None
    elif off > 0.0101:
        assert difference is not None
        assert float(difference.split()[-2]) == pytest.approx(off, rel=6e-3)


def test_other_grids_differ_in_words() -> None:
    grid = GeoBox((20, 30), UTM, "EPSG:32633")
    assert "10 x 30" in str(grid_difference(grid, GeoBox((10, 30), UTM, "EPSG:32633")))
    assert "CRS" in str(grid_difference(grid, GeoBox((20, 30), UTM, None)))
    assert "CRS" in str(grid_difference(GeoBox((20, 30), UTM, None), grid))
    assert "pixels" in str(grid_difference(grid, GeoBox((20, 30), UTM, "EPSG:32634")))
    assert "pixels" in str(grid_difference(grid, GeoBox((20, 30), UTM * Affine.scale(1.01), "EPSG:32633")))
    assert grid_difference(grid, GeoBox((20, 30), UTM, 'LOCAL_CS["site",UNIT["metre",1]]')) is not None
