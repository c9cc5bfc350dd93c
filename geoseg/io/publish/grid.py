"""LayerGrid: georeference of written layers, and their footprint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from odc.geo.geobox import GeoBox
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError
from rasterio.control import GroundControlPoint
from rasterio.transform import GCPTransformer
from shapely import LineString, Polygon, box, intersection, make_valid, orient_polygons, unary_union
from shapely.affinity import translate
from shapely.geometry import mapping

from geoseg.core.types.json_value import JsonDict

_STEPS = 32
_NEWTON_STEPS = 6
_STRAIGHT_PX = 0.5
_M_PER_DEGREE = 111_195.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerGrid:
    """The scene's grid, as written to layers.

    Attributes:
        geobox: size, CRS and transform.
        gcps: ground control points; if there are any, layers have them and no transform.
        gcps_crs: CRS of the ground control points: anything that rasterio accepts; None if there are none.
    """

    geobox: GeoBox
    gcps: tuple[GroundControlPoint, ...] = ()
    gcps_crs: Any = None

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        height, width = self.geobox.shape
        return int(height), int(width)

    @property
    def crs_wkt(self) -> str | None:
        """WKT of the CRS of the layer's coordinates; None if the scene has none."""
        if self.gcps:
            return None if self.gcps_crs is None else str(self.gcps_crs.to_wkt())
        return None if self.geobox.crs is None else str(self.geobox.crs.to_wkt())

    def outline(self) -> npt.NDArray[np.float64]:
        """Return the outline of the grid in CRS units: (point, 2) x and y, closed."""
        height, width = self.shape
        step = np.linspace(0, 1, _STEPS, endpoint=False)
        zero, one = np.zeros(_STEPS), np.ones(_STEPS)
        cols = np.r_[step, one, 1 - step, zero, 0] * width
        rows = np.r_[zero, step, one, 1 - step, 0] * height
        return np.column_stack(self.to_world(cols, rows))

    def to_world(
        self, cols: npt.NDArray[np.float64], rows: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Convert pixel-corner coordinates to x and y in CRS units, as GDAL does for ground control points.

        Args:
            cols: columns; (0, 0) is the top-left corner of the top-left pixel.
            rows: rows, same shape.

        Returns:
            x and y, in the same shape.
        """
        if self.gcps:
            with GCPTransformer(list(self.gcps)) as transformer:
                x, y = transformer.xy(rows.tolist(), cols.tolist(), offset="ul")
            return np.asarray(x, float), np.asarray(y, float)
        t = self.geobox.transform
        return t.a * cols + t.b * rows + t.c, t.d * cols + t.e * rows + t.f

    def to_pixels(
        self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Convert x and y in CRS units to columns and rows of pixel corners; the inverse of ``to_world``.

        Args:
            x: in CRS units.
            y: in CRS units, same shape.

        Returns:
            Columns and rows, in the same shape.
        """
        if self.gcps:
            return self._by_gcps(x, y)
        t = ~self.geobox.transform
        return t.a * x + t.b * y + t.c, t.d * x + t.e * y + t.f

    def _by_gcps(
        self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Invert ``to_world`` by Newton's method; GDAL's polynomials in the two directions are fitted apart."""
        with GCPTransformer(list(self.gcps)) as transformer:
            rows, cols = (np.asarray(c, float) for c in transformer.rowcol(x.tolist(), y.tolist(), op=float))
        for _ in range(_NEWTON_STEPS):
            at, right, below = self.to_world(cols, rows), self.to_world(cols + 1, rows), self.to_world(cols, rows + 1)
            (xc, yc), (xr, yr) = ((p[0] - at[0], p[1] - at[1]) for p in (right, below))
            dx, dy, det = x - at[0], y - at[1], xc * yr - xr * yc
            det = np.where(det == 0, np.nan, det)
            cols, rows = cols + (yr * dx - xr * dy) / det, rows + (xc * dy - yc * dx) / det
        return cols, rows

    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east and north of the grid in CRS units, also when it is rotated or south-up."""
        outline = self.outline()
        (west, south), (east, north) = outline.min(axis=0), outline.max(axis=0)
        return float(west), float(south), float(east), float(north)


def footprint(grid: LayerGrid) -> tuple[JsonDict, list[float]] | None:
    """Compute the footprint of a grid in longitude and latitude.

    An edge that stays within half a pixel of the line between its corners is that line; others have points between.

    Args:
        grid: the grid; it may be rotated, geographic or across the antimeridian.

    Returns:
        GeoJSON geometry (a MultiPolygon where it crosses the antimeridian) and its bbox ``[west, south, east, north]``
        (west > east there); None if the CRS cannot be transformed.

    Source:
        RFC 7946, sections 3.1.6 (outer rings run counterclockwise), 3.1.9 and 5.2.
    """
    lonlat = _lonlat(grid)
    if lonlat is None:
        return None
    lon, lat = np.degrees(np.unwrap(np.radians(lonlat[:, 0]))), np.clip(lonlat[:, 1], -90, 90)
    turn = lon[-1] - lon[0]
    if abs(turn) > 180:  # the ring runs once around the Earth: it encloses a pole
        pole = 90.0 if lat.mean() > 0 else -90.0
        lon, lat = np.r_[lon, lon[-1], lon[0], lon[0]], np.r_[lat, pole, pole, lat[0]]
    else:
        kept = _corners_and_bends(lon, lat, grid.shape)
        lon, lat = lon[kept], lat[kept]
    lon = lon - 360 * np.floor((lon.min() + 180) / 360)
    ring = make_valid(Polygon(np.column_stack([lon, lat])))
    parts = [translate(intersection(ring, box(k - 180, -90, k + 180, 90)), -k) for k in (0.0, 360.0)]
    parts = [part for part in parts if part.area > 0]
    if not parts:
        return None
    whole = parts[0] if len(parts) == 1 else unary_union(parts)
    west, south, east, north = whole.bounds
    if len(parts) == 2 and abs(turn) < 180 and lon.max() - lon.min() < 360:
        west, east = parts[0].bounds[0], parts[1].bounds[2]
    return mapping(orient_polygons(whole)), [float(v) for v in (west, south, east, north)]


def _corners_and_bends(
    lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64], shape: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Select points of an outline: its corners, and all points between two corners whose edge is not straight.

    Args:
        lon: (point,) degrees, without a jump, as ``LayerGrid.outline`` goes around.
        lat: (point,) degrees.
        shape: rows and columns of the grid.
    """
    x, y = lon * _M_PER_DEGREE * np.cos(np.radians(lat.mean())), lat * _M_PER_DEGREE
    lengths = np.hypot(np.diff(x), np.diff(y)).reshape(4, _STEPS).sum(axis=1)
    height, width = shape
    pixel_m = min(lengths[[0, 2]].min() / width, lengths[[1, 3]].min() / height)
    kept = np.zeros(len(lon), bool)
    kept[::_STEPS] = True
    for start in range(0, 4 * _STEPS, _STEPS):
        edge = slice(start, start + _STEPS + 1)
        points = shapely.points(np.stack([x[edge], y[edge]], axis=1))
        chord = LineString([(x[start], y[start]), (x[start + _STEPS], y[start + _STEPS])])
        kept[edge] |= bool(shapely.distance(points, chord).max() > _STRAIGHT_PX * pixel_m)
    return kept


def _lonlat(grid: LayerGrid) -> npt.NDArray[np.float64] | None:
    wkt = grid.crs_wkt
    if wkt is None:
        return None
    try:
        crs = CRS.from_wkt(wkt)
        if crs.is_engineering:
            return None
        outline = grid.outline()
        lon, lat = Transformer.from_crs(crs, 4326, always_xy=True).transform(outline[:, 0], outline[:, 1])
    except (CRSError, ProjError):
        return None
    lonlat = np.column_stack([lon, lat])
    return lonlat if np.isfinite(lonlat).all() else None
