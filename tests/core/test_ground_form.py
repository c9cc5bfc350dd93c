"""The ground form of a CRS measures small steps as a geodesic does."""

from __future__ import annotations

import numpy as np
import pytest
from pyproj import CRS, Geod, Transformer

from geoseg.core.ground import ground_form

PLACES = {
    "EPSG:3857": (9.52e6, 3.2e6),
    "EPSG:4326": (25.0, 60.0),
    "EPSG:32633": (4.5e5, 5.1e6),
    "EPSG:2263": (1e6, 2e5),
    "EPSG:5070": (-2e6, 3e6),
    "EPSG:3413": (-1e6, 1e6),
}


@pytest.mark.parametrize("crs", PLACES)
def test_a_small_step_is_as_long_as_on_the_ellipsoid(crs: str) -> None:
    x, y = PLACES[crs]
    form = ground_form(crs, x, y)
    to_lonlat = Transformer.from_crs(CRS.from_user_input(crs), 4326, always_xy=True)
    unit_m = np.sqrt(form[0, 0])
    for angle in np.linspace(0, np.pi, 7):
        step = np.array([np.cos(angle), np.sin(angle)]) * 20 / unit_m
        (lon0, lon1), (lat0, lat1) = to_lonlat.transform([x, x + step[0]], [y, y + step[1]])
        _, _, length = Geod(ellps="WGS84").inv(lon0, lat0, lon1, lat1)
        assert np.sqrt(step @ form @ step) == pytest.approx(length, rel=2e-5)


def test_a_plane_is_measured_in_its_unit() -> None:
    assert ground_form(None, 3.0, 4.0) == pytest.approx(np.eye(2))
    feet = ground_form('LOCAL_CS["site",UNIT["foot",0.3048]]', [1.0, 5.0], [2.0, 6.0])
    assert feet == pytest.approx(np.stack([np.eye(2) * 0.3048**2] * 2))


def test_nowhere_on_earth_has_no_measure() -> None:
    assert not (np.linalg.det(np.nan_to_num(ground_form("EPSG:4326", 25.0, 95.0))) > 0)
    assert not (np.linalg.det(np.nan_to_num(ground_form("EPSG:3857", 9e9, 3e9))) > 0)
