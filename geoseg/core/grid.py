"""Are two grids one? Pixels are compared where they lie, not by how a file words its CRS."""

from __future__ import annotations

import numpy as np
from odc.geo.geobox import GeoBox
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

_NEAR_PX = 0.01


def grid_difference(wanted: GeoBox, found: GeoBox) -> str | None:
    """Say how a grid differs from the one that is wanted.

    Returns:
        Words that go on after "it has" or "it is"; None when each pixel lies, within a hundredth, on the one of the
        same row and column.

    Example:
        >>> from affine import Affine
        >>> grid = GeoBox((20, 30), Affine(1, 0, 5e5, 0, -1, 5e6), "EPSG:32633")
        >>> grid_difference(grid, grid), grid_difference(grid, grid[:10, :])
        (None, '10 x 30 pixels, not 20 x 30')
    """
    rows, cols = wanted.shape
    if tuple(found.shape) != (rows, cols):
        return f"{found.shape[0]} x {found.shape[1]} pixels, not {rows} x {cols}"
    if (wanted.crs is None) != (found.crs is None):
        return "without a CRS" if found.crs is None else f"in {_name(found)}, not in a CRS-less grid"
    col = np.array([0, cols, cols, 0, cols / 2])
    row = np.array([0, 0, rows, rows, rows / 2])
    t = found.transform
    x, y = t.a * col + t.b * row + t.c, t.d * col + t.e * row + t.f
    if wanted.crs is not None and found.crs is not None and str(wanted.crs) != str(found.crs):
        try:
            to_wanted = Transformer.from_crs(_crs(found), _crs(wanted), always_xy=True)
        except ProjError:
            return f"in {_name(found)}, not in {_name(wanted)}"
        x, y = (np.asarray(axis) for axis in to_wanted.transform(x, y))
    back = ~wanted.transform
    off = np.hypot(back.a * x + back.b * y + back.c - col, back.d * x + back.e * y + back.f - row)
    farthest = float(off.max()) if np.isfinite(off).all() else float("inf")
    return None if farthest <= _NEAR_PX else f"off by up to {farthest:.3g} pixels"


def _crs(geobox: GeoBox) -> CRS:
    assert geobox.crs is not None  # noqa: S101 - asked for only where there is one
    return CRS.from_user_input(geobox.crs.to_wkt())


def _name(geobox: GeoBox) -> str:
    return _crs(geobox).name
