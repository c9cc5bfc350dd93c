"""TiledRaster: one raster read by map tile and by extent, warped on the fly from any CRS."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from math import ceil, log2
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.transform import from_gcps
from rasterio.vrt import WarpedVRT
from rasterio.warp import calculate_default_transform, transform_bounds
from rio_tiler.reader import part

from geoseg.core.types.arrays import AnyArray
from geoseg.errors import SceneError
from geoseg.io.files.drivers import driver_of, gdal_settings
from geoseg.io.files.gdal_name import gdal_name
from geoseg.io.raster.open_options import OpenOptions
from geoseg.io.raster.scene import Scene
from geoseg.io.raster.source import reason
from geoseg.io.tiles.address import MAX_ZOOM, Bounds, TileAddress

MERCATOR: Final = CRS.from_epsg(3857)
EQUAL_AREA: Final = CRS.from_epsg(6933)
LONLAT: Final = CRS.from_epsg(4326)
_MERCATOR_180: Final = CRS.from_string("+proj=merc +a=6378137 +b=6378137 +lon_0=180 +units=m +nadgrids=@null +no_defs")
_EQUAL_AREA_180: Final = CRS.from_string("+proj=cea +lat_ts=30 +lon_0=180 +datum=WGS84 +units=m +no_defs")
"""Both projections turned by half the Earth, for rasters that cross the antimeridian."""

_HANDLES = 4
_ZOOM_0_M = 78271.51696402048  # width of a pixel of the tile 0/0/0 of 512 px, metres
_MOST_READ_PX = 8192
"""Longest side of what is decoded for one tile of a raster without overviews."""

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
class _Band:
    """One band: its dataset, upright and with a CRS, its 1-based index there, and its nodata value."""

    dataset: Any
    index: int
    nodata: float | None


class _Handle:
    """One opening of a raster, for one thread at a time."""

    def __init__(self, bands: Sequence[_Band], closing: ExitStack) -> None:
        self.bands = tuple(bands)
        self.closing = closing

    def groups(self) -> Iterator[tuple[Any, list[int], float | None]]:
        """Bands that are read together: one dataset and one nodata value."""
        found: dict[tuple[int, str], list[_Band]] = {}
        for band in self.bands:
            found.setdefault((id(band.dataset), repr(band.nodata)), []).append(band)
        for some in found.values():
            yield some[0].dataset, [band.index for band in some], some[0].nodata


class TiledRaster:
    """A raster read by map tile. Thread-safe: each of at most four threads has a handle of its own.

    Args:
        name: name for messages.
        opener: opens the raster once more.

    Attributes:
        bounds: west, south, east and north, degrees.
        native_zoom: zoom at which a pixel of the raster is about one of a tile of 512 px.
        least_zoom: the coarsest zoom that is read; above 0 for a large raster without overviews.
        dtype: numpy name of its values.
        crs_wkt: its CRS.

    Raises:
        SceneError: it cannot be opened, or has no place on Earth.
    """

    def __init__(self, name: str, opener: Callable[[ExitStack], Sequence[_Band]]) -> None:
        self.name = name
        self._opener = opener
        self._free: queue.LifoQueue[_Handle] = queue.LifoQueue()
        self._slots = threading.BoundedSemaphore(_HANDLES)
        self._closed = False
        with self._handle() as handle:
            dataset = handle.bands[0].dataset
            self.dtype: str = dataset.dtypes[handle.bands[0].index - 1]
            self.crs_wkt: str = dataset.crs.to_wkt()
            self._describe(dataset)

    def _describe(self, dataset: Any) -> None:
        try:
            self.bounds: Bounds = transform_bounds(dataset.crs, LONLAT, *dataset.bounds, densify_pts=21)
            crosses = self.bounds[0] > self.bounds[2]
            mercator, self._equal_area = (_MERCATOR_180, _EQUAL_AREA_180) if crosses else (MERCATOR, EQUAL_AREA)
            transform, _, _ = calculate_default_transform(
                dataset.crs, mercator, dataset.width, dataset.height, *dataset.bounds
            )
            equal, _, _ = calculate_default_transform(
                dataset.crs, self._equal_area, dataset.width, dataset.height, *dataset.bounds
            )
            self._equal_bounds: Bounds = transform_bounds(
                dataset.crs, self._equal_area, *dataset.bounds, densify_pts=21
            )
        except (RasterioError, CRSError) as error:
            raise SceneError(self.name, f"it has no place on a web map ({reason(error)}).") from error
        self._pixel_m: float = max(abs(equal.a), 1e-6)
        zoom = log2(_ZOOM_0_M / max(abs(transform.a), 1e-9))
        self.native_zoom = min(MAX_ZOOM - 2, max(0, ceil(zoom - 0.25)))
        self.size_px: int = max(dataset.width, dataset.height)
        levels = [1, *dataset.overviews(1)]
        coarsest_px = self.size_px / max(levels)
        self.least_zoom = 0
        if coarsest_px > _MOST_READ_PX:
            self.least_zoom = max(0, self.native_zoom - int(log2(max(levels))) - int(log2(_MOST_READ_PX / 512)))

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
        own = self._equal_bounds
        asked = [transform_bounds(LONLAT, self._equal_area, *part) for part in self._shared(bounds)]
        west, south = max(min(box[0] for box in asked), own[0]), max(asked[0][1], own[1])
        east, north = min(max(box[2] for box in asked), own[2]), min(asked[0][3], own[3])
        if not (west < east and south < north):
            return None
        step = max(self._pixel_m / 2, max(east - west, north - south) / most_px)
        shape = max(1, round((north - south) / step)), max(1, round((east - west) / step))
        side = float(np.sqrt((east - west) * (north - south) / (shape[0] * shape[1])))
        full = step <= self._pixel_m
        return EqualAreaGrid(
            crs=self._equal_area, bounds=(west, south, east, north), shape=shape, pixel_m=side, full=full
        )

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
        return self._read(grid.bounds, grid.crs, grid.shape, "nearest")

    def close(self) -> None:
        """Close the handles that no thread uses, and the others as soon as they come back; reading opens anew."""
        self._closed = True
        self._close_free()

    def _close_free(self) -> None:
        while True:
            try:
                handle = self._free.get_nowait()
            except queue.Empty:
                return
            with gdal_settings():
                handle.closing.close()

    def _read(self, bounds: Bounds, crs: CRS, shape: tuple[int, int], resampling: Resampling) -> Pixels:
        rows, cols = shape
        values: list[AnyArray] = []
        valid = np.ones(shape, bool)
        with self._handle() as handle, gdal_settings():
            try:
                for dataset, indexes, nodata in handle.groups():
                    image = part(
                        dataset,
                        bounds,
                        height=rows,
                        width=cols,
                        dst_crs=crs,
                        bounds_crs=crs,
                        indexes=indexes,
                        nodata=nodata,
                        resampling_method=resampling,
                        reproject_method=resampling,
                    )
                    values.append(image.array.data)
                    valid &= ~np.broadcast_to(image.array.mask, image.array.shape).any(axis=0)
            except (RasterioError, CRSError) as error:
                raise SceneError(self.name, f"it cannot be read there ({reason(error)}).") from error
        merged = np.concatenate(values)
        if merged.dtype.kind == "f":
            valid &= np.isfinite(merged).all(axis=0)
        return Pixels(values=merged, valid=valid)

    @contextmanager
    def _handle(self) -> Iterator[_Handle]:
        with self._slots:
            handle = self._taken()
            try:
                yield handle
            finally:
                self._free.put(handle)
                if self._closed:
                    self._close_free()

    def _taken(self) -> _Handle:
        try:
            return self._free.get_nowait()
        except queue.Empty:
            pass
        closing = ExitStack()
        try:
            with gdal_settings():
                return _Handle(self._opener(closing), closing)
        except BaseException:
            closing.close()
            raise


def open_layer(path: Path) -> TiledRaster:
    """Open a raster layer of a run.

    Raises:
        SceneError: it cannot be opened.
    """

    def opener(closing: ExitStack) -> Sequence[_Band]:
        driver_of(str(path), path)
        try:
            dataset = closing.enter_context(rasterio.open(gdal_name(path), driver="GTiff"))
        except RasterioError as error:
            raise SceneError(str(path), f"it cannot be opened ({reason(error)}).") from error
        return [_Band(dataset=_upright(str(path), dataset, closing), index=1, nodata=dataset.nodata)]

    return TiledRaster(str(path), opener)


def open_imagery(uri: str, options: OpenOptions, bands: Sequence[int]) -> TiledRaster:
    """Open a scene for display.

    Args:
        uri: path or address.
        options: options of opening.
        bands: 1-based data bands to read; empty: the visible ones.

    Raises:
        SceneError, UsageError: the scene is refused.
    """

    def opener(closing: ExitStack) -> Sequence[_Band]:
        scene = closing.enter_context(Scene(uri, options))
        chosen = bands or visible_bands(scene)
        known = {band.index: source for band, source in zip(scene.bands, scene.datasets, strict=True)}
        if any(index not in known for index in chosen):
            raise SceneError(uri, f"it has no bands {list(chosen)}.", "Show it with the bands that it has.")
        upright: dict[int, Any] = {}
        found = []
        for index in chosen:
            dataset, own, nodata = known[index]
            if id(dataset) not in upright:
                upright[id(dataset)] = _upright(uri, dataset, closing, scene=scene)
            found.append(_Band(dataset=upright[id(dataset)], index=own, nodata=nodata))
        return found

    return TiledRaster(uri, opener)


def visible_bands(scene: Scene) -> tuple[int, ...]:
    """Choose red, green and blue by name, else the first three bands, else the first."""
    named = {band.name: band.index for band in scene.bands}
    if {"red", "green", "blue"} <= set(named):
        return named["red"], named["green"], named["blue"]
    indexes = [band.index for band in scene.bands]
    return tuple(indexes[:3]) if len(indexes) >= 3 else (indexes[0],)


def _upright(name: str, dataset: Any, closing: ExitStack, scene: Scene | None = None) -> Any:
    """Give a dataset north-up pixels and a CRS where it has none of its own: control points, a rotation, a sidecar."""
    gcps, gcps_crs = dataset.gcps
    crs, transform = dataset.crs, dataset.transform
    if gcps and gcps_crs:
        crs, transform = gcps_crs, from_gcps(gcps)
    elif scene is not None and (crs is None or transform.is_identity):
        if scene.geobox.crs is None:
            raise SceneError(name, "it has no CRS.", "Pass --assume-crs EPSG:code.")
        crs, transform = CRS.from_user_input(scene.geobox.crs.to_wkt()), scene.geobox.affine
    if crs is None:
        raise SceneError(name, "it has no CRS, so it has no place on a map.")
    if crs == dataset.crs and transform == dataset.transform and transform.b == transform.d == 0 and transform.e < 0:
        return dataset
    alpha = {} if dataset.nodata is not None else {"add_alpha": True}
    has_alpha = any(colour.name == "alpha" for colour in dataset.colorinterp)
    try:
        return closing.enter_context(
            WarpedVRT(dataset, src_crs=crs, src_transform=transform, crs=crs, **({} if has_alpha else alpha))
        )
    except (RasterioError, CRSError) as error:
        raise SceneError(name, f"it has no place on a map ({reason(error)}).") from error


def overlaps(one: Bounds, other: Bounds) -> bool:
    """Return True if two boxes in degrees share ground; a box may cross the antimeridian, with west over east."""
    if one[3] <= other[1] or other[3] <= one[1]:
        return False
    return any(a[0] < b[1] and b[0] < a[1] for a in _spans(one) for b in _spans(other))


def _spans(box: Bounds) -> list[tuple[float, float]]:
    west, east = box[0], box[2]
    return [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
