"""True ground size of pixels in any CRS: neither EPSG:3857 units nor degrees are ground metres."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import CRS, Geod, Transformer

_WGS84 = Geod(ellps="WGS84")


def _is_local(crs: CRS) -> bool:
    return crs.is_engineering or not (crs.is_projected or crs.is_geographic or crs.is_bound or crs.is_compound)


def pixel_sides_m(
    geobox: GeoBox, rows: npt.ArrayLike, cols: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Measure pixels on the WGS84 ellipsoid.

    Args:
        geobox: the grid; its CRS may be projected, geographic or local (then its own unit is taken for metres).
        rows: pixel rows (float, (0, 0) is the top-left corner of the top-left pixel), any shape.
        cols: pixel columns, same shape.

    Returns:
        Ground length of one step down, of one step right, and the area of the pixel (m, m, m2), each in the
        shape of ``rows``. 0 beyond a pole of a geographic CRS. NaN where another CRS has no inverse projection.

    Examples:
        A pixel of 0.149 m in EPSG:3857 at 27.6 degrees north is 0.132 m on the ground.
    """
    row, col = np.broadcast_arrays(np.asarray(rows, float), np.asarray(cols, float))
    transform = geobox.transform
    crs = None if geobox.crs is None else CRS.from_user_input(geobox.crs.to_wkt())
    if crs is None or _is_local(crs):
        unit = 1.0 if crs is None or not crs.axis_info else crs.axis_info[0].unit_conversion_factor
        down, right = np.hypot(transform.b, transform.e) * unit, np.hypot(transform.a, transform.d) * unit
        area = abs(transform.determinant) * unit**2
        return np.full(row.shape, down), np.full(row.shape, right), np.full(row.shape, area)
    to_lonlat = Transformer.from_crs(crs, 4326, always_xy=True)
    # grids registered by the centres of their cells reach half a cell beyond the pole
    pole = np.pi / 2 / crs.axis_info[0].unit_conversion_factor if crs.is_geographic and crs.axis_info else np.inf

    def lonlat(dr: float, dc: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        x = transform.a * (col + dc) + transform.b * (row + dr) + transform.c
        y = transform.d * (col + dc) + transform.e * (row + dr) + transform.f
        lon, lat = to_lonlat.transform(x, np.clip(y, -pole, pole))
        return np.asarray(lon), np.asarray(lat)

    (lon_u, lat_u), (lon_d, lat_d) = lonlat(-0.5, 0.0), lonlat(0.5, 0.0)
    (lon_l, lat_l), (lon_r, lat_r) = lonlat(0.0, -0.5), lonlat(0.0, 0.5)
    azimuth_down, _, down = _WGS84.inv(lon_u, lat_u, lon_d, lat_d)
    azimuth_right, _, right = _WGS84.inv(lon_l, lat_l, lon_r, lat_r)
    sine = np.abs(np.sin(np.radians(np.asarray(azimuth_down) - np.asarray(azimuth_right))))
    return np.asarray(down), np.asarray(right), np.asarray(down) * np.asarray(right) * sine


def ground_form(crs: object, x: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Measure coordinates on the ground: the first fundamental form at points of a CRS.

    Args:
        crs: anything that makes a CRS, or None for a plane in metres.
        x: first coordinate, in the order of files (longitude in degrees, easting).
        y: second coordinate, same shape.

    Returns:
        (..., 2, 2) symmetric: ``d @ form @ d`` is the square of the length, in metres, of a small step ``d`` of
        (x, y). NaN where the CRS has no inverse projection.
    """
    east, north = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
    known = None if crs is None else CRS.from_user_input(crs)
    step = 1.0
    if known is not None and known.is_geographic:
        step = 1e-3
    elif known is not None and known.axis_info:
        step = 100.0 / known.axis_info[0].unit_conversion_factor
    squares = []
    # a grid whose columns run along x and rows along y, and one whose rows run along the diagonal
    for slant in (0.0, 1.0):
        grid = GeoBox((1, 1), Affine(step, slant * step, 0.0, 0.0, step, 0.0), known)
        down, right, _ = pixel_sides_m(grid, north / step, (east - slant * north) / step)
        squares.append((right**2, down**2))
    (xx, yy), (_, diagonal) = squares
    xy = (diagonal - xx - yy) / 2
    form = np.stack([np.stack([xx, xy], axis=-1), np.stack([xy, yy], axis=-1)], axis=-2) / step**2
    return np.where(np.isfinite(form), form, np.nan)


def gsd_m(geobox: GeoBox) -> tuple[float, float]:
    """Ground sample distance at the middle of a grid: metres per row and per column."""
    height, width = geobox.shape
    down, right, _ = pixel_sides_m(geobox, height / 2, width / 2)
    return float(down), float(right)
