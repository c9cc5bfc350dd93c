"""PlacedRaster: a raster on the web map and on grids of equal areas, whatever its pixels are read from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log2, pi
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.warp import calculate_default_transform, transform_bounds

from geoseg.core.types.arrays import AnyArray
from geoseg.errors import SceneError
from geoseg.io.raster.source import reason
from geoseg.io.tiles.address import MAX_ZOOM, Bounds, TileAddress

MERCATOR: Final = CRS.from_epsg(3857)
EQUAL_AREA: Final = CRS.from_epsg(6933)
LONLAT: Final = CRS.from_epsg(4326)
_MERCATOR_180: Final = CRS.from_string("+proj=merc +a=6378137 +b=6378137 +lon_0=180 +units=m +nadgrids=@null +no_defs")
_EQUAL_AREA_180: Final = CRS.from_string("+proj=cea +lat_ts=30 +lon_0=180 +datum=WGS84 +units=m +no_defs")
"""Both projections turned by half the Earth, for rasters that cross the antimeridian."""

_ZOOM_0_M = 78271.51696402048  # width of a pixel of the tile 0/0/0 of 512 px, metres
_EDGE = 1e-9

Resampling = Literal["nearest", "bilinear"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """Pixels of a tile or an extent.

    Attributes:
        values: (band, y, x).
        valid: (y, x) bool; False outside the raster and where it has no data.
    """

    values: AnyArray
    valid: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class EqualAreaGrid:
    """A grid whose cells all have one area on the ground.

    Attributes:
        crs: EPSG:6933, or the same turned by half the Earth.
        bounds: west, south, east and north in that CRS, metres.
        shape: rows and columns.
        pixel_m: root of the area of a cell, metres.
        full: True if it is as fine as the raster that it was laid over.
    """

    crs: CRS
    bounds: Bounds
    shape: tuple[int, int]
    pixel_m: float
    full: bool

    def lonlat(self, rows: slice, cols: slice) -> Bounds:
        """Return west, south, east and north of a block of cells, degrees; west over east across the antimeridian."""
        west, _, _, north = self.bounds
        high, wide = self.pixel_m_by_axis
        box = (west + cols.start * wide, north - rows.stop * high, west + cols.stop * wide, north - rows.start * high)
        west, south, east, north = transform_bounds(self.crs, LONLAT, *box)
        return west, south, east, north

    @property
    def pixel_m_by_axis(self) -> tuple[float, float]:
        """Height and width of a cell, metres."""
        west, south, east, north = self.bounds
        return (north - south) / self.shape[0], (east - west) / self.shape[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelGrid:
    """Grid of a raster, north up.

    Attributes:
        crs: its CRS.
        bounds: left, bottom, right and top in that CRS; longitudes may go on beyond 180 degrees.
        shape: rows and columns.
        coarsest_px: longest side of its coarsest overview, pixels.
        most_read_px: longest side that may be read for one tile.
    """

    crs: CRS
    bounds: Bounds
    shape: tuple[int, int]
    coarsest_px: float
    most_read_px: int

    @property
    def circle(self) -> float | None:
        """A full turn in units of the CRS; None if its coordinates are no longitudes."""
        return 2 * pi / self.crs.units_factor[1] if self.crs.is_geographic else None

    @property
    def turns(self) -> tuple[int, ...]:
        """Full turns by which the raster is moved so that all of it lies between 180 degrees west and east."""
        circle, (west, _, east, _) = self.circle, self.bounds
        if circle is None:
            return (0,)
        first, last = (floor((side + circle / 2) / circle + _EDGE * way) for side, way in ((west, 1), (east, -1)))
        return tuple(-turn for turn in range(first, max(first, last) + 1))


class PlacedRaster(ABC):
    """A raster read by map tile and by extent.

    Args:
        name: name for messages.
        grid: its grid.
        dtype: numpy name of its values.

    Attributes:
        bounds: west, south, east and north, degrees; west over east where it crosses the antimeridian.
        native_zoom: zoom at which a pixel of the raster is about one of a tile of 512 px.
        least_zoom: the coarsest zoom that is read; above 0 for a large raster without overviews.
        dtype: numpy name of its values.
        crs_wkt: its CRS.

    Raises:
        SceneError: it has no place on Earth.
    """

    def __init__(self, name: str, grid: PixelGrid, dtype: str) -> None:
        self.name, self.dtype = name, dtype
        self.crs_wkt: str = grid.crs.to_wkt()
        self.size_px: int = max(grid.shape)
        self._most_read_px = grid.most_read_px
        try:
            self._place(grid)
        except (RasterioError, CRSError) as error:
            raise SceneError(self.name, f"it has no place on a web map ({reason(error)}).") from error

    @property
    def sampled_bounds(self) -> Bounds:
        """Bounds of what may be read for a sample of the raster: its middle, where it is large and has no overviews."""
        if not self.least_zoom:
            return self.bounds
        west, south, east, north = self.bounds
        east += 360 if west > east else 0
        lon, lat, share = (west + east) / 2, (south + north) / 2, min(1.0, self._most_read_px / self.size_px) / 2
        wide, high = (east - west) * share, (north - south) * share
        left, right = ((side + 180) % 360 - 180 for side in (lon - wide, lon + wide))
        return left, lat - high, right, lat + high

    def _place(self, grid: PixelGrid) -> None:
        rows, cols = grid.shape
        parts = _parts(grid)
        self.bounds: Bounds = _around([transform_bounds(grid.crs, LONLAT, *part, densify_pts=21) for part in parts])
        whole = grid.circle is not None and grid.bounds[2] - grid.bounds[0] >= grid.circle * (1 - _EDGE)
        if whole:
            self.bounds = (-180.0, self.bounds[1], 180.0, self.bounds[3])
        self._crosses = self.bounds[0] > self.bounds[2]
        self._parted = grid.circle is not None and (self._crosses or whole)
        mercator, self._equal_area = (_MERCATOR_180, _EQUAL_AREA_180) if self._crosses else (MERCATOR, EQUAL_AREA)
        near = _centred(grid)
        if grid.circle is not None:
            mercator, equal_area = MERCATOR, EQUAL_AREA
        else:
            equal_area = self._equal_area
        transform, _, _ = calculate_default_transform(grid.crs, mercator, cols, rows, *near)
        equal, _, _ = calculate_default_transform(grid.crs, equal_area, cols, rows, *near)
        boxes = [transform_bounds(grid.crs, self._equal_area, *part, densify_pts=21) for part in parts]
        self._equal_bounds: Bounds = _around(boxes)
        if whole:
            _, south, _, north = self._equal_bounds
            west, _, east, _ = transform_bounds(LONLAT, EQUAL_AREA, -180, -1, 180, 1)
            self._equal_bounds = west, south, east, north
        self._pixel_m: float = max(abs(equal.a), 1e-6)
        zoom = log2(_ZOOM_0_M / max(abs(transform.a), 1e-9))
        self.native_zoom = min(MAX_ZOOM - 2, max(0, ceil(zoom - 0.25)))
        self.least_zoom = 0
        if grid.coarsest_px > grid.most_read_px:
            levels = int(log2(self.size_px / grid.coarsest_px)) + int(log2(grid.most_read_px / 512))
            self.least_zoom = max(0, self.native_zoom - levels)

    def tile(self, address: TileAddress, side_px: int, *, resampling: Resampling) -> Pixels | None:
        """Read a tile.

        Args:
            address: the tile.
            side_px: rows and columns.
            resampling: by GDAL's name.

        Returns:
            Its pixels; None if the raster does not reach it.

        Raises:
            SceneError: the file is damaged there.
        """
        if not overlaps(transform_bounds(MERCATOR, LONLAT, *address.bounds), self.bounds):
            return None
        return self._read(address.bounds, MERCATOR, (side_px, side_px), resampling)

    def grid(self, bounds: Bounds, most_px: int) -> EqualAreaGrid | None:
        """Lay a grid of equal areas over what an extent shares with the raster.

        Args:
            bounds: west, south, east and north, degrees.
            most_px: longest side of the grid.

        Returns:
            The grid, at most twice as fine as the raster's own, which makes counts of nearest pixels good estimates;
            None if the raster does not reach the extent.
        """
        if not overlaps(bounds, self.bounds):
            return None
        crosses = self._crosses or bounds[0] > bounds[2]
        crs = self._equal_area if self.bounds[:3:2] != (-180, 180) else _EQUAL_AREA_180 if crosses else EQUAL_AREA
        own = self._equal_bounds
        asked = [transform_bounds(LONLAT, crs, *part) for part in self._shared(bounds)]
        west, south = max(min(box[0] for box in asked), own[0]), max(asked[0][1], own[1])
        east, north = min(max(box[2] for box in asked), own[2]), min(asked[0][3], own[3])
        if not (west < east and south < north):
            return None
        step = max(self._pixel_m / 2, max(east - west, north - south) / most_px)
        shape = max(1, round((north - south) / step)), max(1, round((east - west) / step))
        side = float(np.sqrt((east - west) * (north - south) / (shape[0] * shape[1])))
        full = step <= self._pixel_m
        return EqualAreaGrid(crs=crs, bounds=(west, south, east, north), shape=shape, pixel_m=side, full=full)

    def _shared(self, bounds: Bounds) -> list[Bounds]:
        """Cut an extent into its parts on either side of the antimeridian that the raster reaches."""
        _, south, _, north = bounds
        pairs = [(max(a[0], b[0]), min(a[1], b[1])) for a in _spans(bounds) for b in _spans(self.bounds)]
        return [(west, south, east, north) for west, east in pairs if west < east]

    def on_grid(self, grid: EqualAreaGrid) -> Pixels:
        """Read the nearest pixel for each cell of a grid.

        Raises:
            SceneError: the file is damaged there.
        """
        west, south, east, north = grid.bounds
        if not self._parted or grid.crs != _EQUAL_AREA_180 or not west < 0 < east:
            return self._read(grid.bounds, grid.crs, grid.shape, "nearest")
        # longitudes jump from 180 to -180 there, and GDAL finds out what to read by the edges of what it warps
        rows, cols = grid.shape
        wide = (east - west) / cols
        ends = sorted({0, floor(-west / wide), min(ceil(-west / wide), cols), cols})
        parts = []
        for first, last in pairwise(ends):
            left, right = west + first * wide, west + last * wide
            box = (left + wide * 1e-6, south, right - wide * 1e-6, north)
            parts.append(self._read(box, grid.crs, (rows, last - first), "nearest"))
        return Pixels(
            values=np.concatenate([part.values for part in parts], axis=2),
            valid=np.concatenate([part.valid for part in parts], axis=1),
        )

    @abstractmethod
    def close(self) -> None:
        """Close what is open of it; reading opens anew."""

    @abstractmethod
    def _read(self, bounds: Bounds, crs: CRS, shape: tuple[int, int], resampling: Resampling) -> Pixels:
        """Warp what lies within bounds in a CRS to rows and columns."""


def _parts(grid: PixelGrid) -> list[Bounds]:
    """Cut the bounds of a raster of longitudes at the antimeridian: its western part, and its eastern one."""
    circle, (west, south, east, north) = grid.circle, grid.bounds
    if circle is None:
        return [grid.bounds]
    half, moved = circle / 2, [turn * circle for turn in grid.turns]
    boxes = [(max(west + move, -half), south, min(east + move, half), north) for move in (moved[0], moved[-1])]
    return boxes[: min(2, len(moved))]


def _centred(grid: PixelGrid) -> Bounds:
    """Move the bounds of a raster of longitudes around the meridian 0, which leaves its pixels as large as they are."""
    circle, (west, south, east, north) = grid.circle, grid.bounds
    if circle is None:
        return grid.bounds
    half = min(east - west, circle) / 2
    return -half, south, half, north


def _around(parts: list[Bounds]) -> Bounds:
    """Join the western and the eastern part of a raster across the antimeridian."""
    return parts[0][0], min(part[1] for part in parts), parts[-1][2], max(part[3] for part in parts)


def overlaps(one: Bounds, other: Bounds) -> bool:
    """Return True if two boxes in degrees share ground; a box may cross the antimeridian, with west over east."""
    if one[3] <= other[1] or other[3] <= one[1]:
        return False
    return any(a[0] < b[1] and b[0] < a[1] for a in _spans(one) for b in _spans(other))


def _spans(box: Bounds) -> list[tuple[float, float]]:
    west, east = box[0], box[2]
    return [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
