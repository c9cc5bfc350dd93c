"""Comparison of two grids by the places of their pixels, not by the wording of their CRS."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

_NEAR_PX = 0.01

_ORDERS = {
    (1, 0, 0, -1): "its rows run the other way",
    (-1, 0, 0, 1): "its columns run the other way",
    (-1, 0, 0, -1): "its rows and columns run the other way",
}
"""Column and row steps of a mirrored grid in pixels of the other one."""


def grid_difference(expected: GeoBox, found: GeoBox, *, unplaced: bool = False) -> str | None:
    """Name the first thing in which a grid differs from the expected one.

    Args:
        expected: the required grid.
        found: the actual grid.
        unplaced: where one of the two has no CRS, their sizes alone are compared.

    Returns:
        A clause about ``found``; None when each of its pixels lies, within a hundredth, on the expected one of the same
        row and column.

    Examples:
        >>> grid = GeoBox((20, 30), Affine(1, 0, 5e5, 0, -1, 5e6), "EPSG:32633")
        >>> grid_difference(grid, grid), grid_difference(grid, grid[:10, :])
        (None, 'it has 10 x 30 pixels, not 20 x 30')
    """
    one_unplaced = (expected.crs is None) != (found.crs is None)
    if one_unplaced and not unplaced:
        return "it has no CRS" if found.crs is None else f"its CRS is {crs_name(found)}, the other has none"
    if not (unplaced and (one_unplaced or expected.crs is None)):
        place = _misplaced(expected, found)
        if place is not None:
            return place
    (rows, cols), (height, width) = expected.shape, found.shape
    return None if (rows, cols) == (height, width) else f"it has {height} x {width} pixels, not {rows} x {cols}"


def shares_pixels(expected: GeoBox, found: GeoBox, *, covering: bool = False) -> bool:
    """Return True if every pixel of the expected grid is a pixel of another grid, in any order.

    Args:
        expected: the required grid.
        found: a grid whose rows or columns may run the other way.
        covering: ``found`` may have more pixels around.

    Returns:
        True when reading the nearest pixel of ``found`` gives exactly its own values.

    Examples:
        >>> north_up = GeoBox((20, 30), Affine(1, 0, 5e5, 0, -1, 5e6), "EPSG:32633")
        >>> shares_pixels(north_up, GeoBox((20, 30), Affine(1, 0, 5e5, 0, 1, 5e6 - 20), "EPSG:32633"))
        True
    """
    if expected.crs is None or found.crs is None or not _same_crs(expected, found):
        return False
    (rows, cols), (height, width) = expected.shape, found.shape
    steps = ~found.transform * expected.transform
    matrix = np.array([steps.a, steps.b, steps.d, steps.e])
    whole = np.round(matrix)
    if sorted(np.abs(whole)) != [0, 0, 1, 1] or abs(whole[0] * whole[3] - whole[1] * whole[2]) != 1:
        return False
    col, row = _apply(steps, np.array([0.5, cols - 0.5, 0.5, cols - 0.5]), np.array([0.5, 0.5, rows - 0.5, rows - 0.5]))
    for place, length in ((row, height), (col, width)):
        pixel = np.floor(place)
        if np.abs(place - pixel - 0.5).max() > _NEAR_PX or pixel.min() < 0 or pixel.max() >= length:
            return False
    return covering or rows * cols == height * width


def crs_name(geobox: GeoBox) -> str:
    """Return a readable name of a grid's CRS: ``EPSG:32633`` where it has a code."""
    crs = _crs(geobox)
    epsg = crs.to_epsg()
    return f"EPSG:{epsg}" if epsg else crs.name


def _misplaced(expected: GeoBox, found: GeoBox) -> str | None:
    """Describe the offset between pixels of the same row and column; None if there is none."""
    height, width = found.shape
    col = np.array([0, width, width, 0, width / 2])
    row = np.array([0, 0, height, height, height / 2])
    x, y = _apply(found.transform, col, row)
    another_crs = f"its CRS is {crs_name(found)}, not {crs_name(expected)}" if found.crs is not None else ""
    same_crs = found.crs is None or _same_crs(expected, found)
    if not same_crs:
        try:
            x, y = Transformer.from_crs(_crs(found), _crs(expected), always_xy=True).transform(x, y)
        except ProjError:
            return another_crs
    found_col, found_row = _apply(~expected.transform, np.asarray(x), np.asarray(y))
    off = np.hypot(found_col - col, found_row - row)
    if np.isfinite(off).all() and off.max() <= _NEAR_PX:
        return None
    if not same_crs:
        return another_crs
    return _clause(expected.transform, found.transform, max(height, width))


def _clause(expected: Affine, found: Affine, length: int) -> str:
    """Name the difference of two transforms in one CRS."""
    steps = ~expected * found
    matrix = np.array([steps.a, steps.b, steps.d, steps.e])
    # so little that it does not add up to a part of a pixel over the whole grid
    if np.abs(matrix - (1, 0, 0, 1)).max() * length <= _NEAR_PX:
        return f"its corner lies {steps.f:.6g} rows and {steps.c:.6g} columns off"
    whole = tuple(int(n) for n in np.round(matrix))
    if np.abs(matrix - whole).max() * length <= _NEAR_PX and whole in _ORDERS:
        return _ORDERS[whole]
    sizes = [f"{np.hypot(t.b, t.e):.9g} x {np.hypot(t.a, t.d):.9g}" for t in (found, expected)]
    if sizes[0] == sizes[1]:
        return f"it is turned by {np.degrees(np.arctan2(steps.d, steps.a)):.6g} degrees"
    return f"its pixels are {sizes[0]}, not {sizes[1]}"


def _apply(
    transform: Affine, col: npt.NDArray[np.float64], row: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    t = transform
    return t.a * col + t.b * row + t.c, t.d * col + t.e * row + t.f


def _same_crs(one: GeoBox, other: GeoBox) -> bool:
    return str(one.crs) == str(other.crs) or _crs(one) == _crs(other)


def _crs(geobox: GeoBox) -> CRS:
    assert geobox.crs is not None  # noqa: S101 - asked for only where there is one
    return CRS.from_user_input(geobox.crs.to_wkt())
