"""TiledRaster: a raster that GDAL reads, by map tile and by extent, warped on the fly from any CRS."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform as transform_points
from rio_tiler.reader import part

from geoseg.core.types.arrays import AnyArray
from geoseg.errors import SceneError
from geoseg.io.files.drivers import driver_of, gdal_settings
from geoseg.io.files.gdal_name import gdal_name
from geoseg.io.raster.georeference import BY_CONTROL_POINTS
from geoseg.io.raster.open_options import OpenOptions
from geoseg.io.raster.scene import Scene
from geoseg.io.raster.source import reason
from geoseg.io.services.address import parse_service, service_kind
from geoseg.io.tiles.address import Bounds
from geoseg.io.tiles.placed import PixelGrid, Pixels, PlacedRaster, Resampling
from geoseg.io.tiles.service import ServiceRaster

_HANDLES = 4
_BLURRED = 1.2
"""Pixels of the tile that a pixel of an overview may be as wide as, when the overview is read for it."""

_MOST_READ_PX = 8192
"""Longest side of what is decoded for one tile of a raster without overviews."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Band:
    """One band: its dataset, upright and with a CRS, its 1-based index there, and its nodata value.

    A dataset of longitudes beyond 180 degrees stands in ``turned`` once for each full turn that brings a part of it
    between 180 degrees west and east; any other one stands there alone.
    """

    dataset: Any
    turned: tuple[Any, ...]
    index: int
    nodata: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Extent:
    """Part of a raster to read: west, south, east and north in a CRS, and rows and columns of the result."""

    bounds: Bounds
    crs: CRS
    shape: tuple[int, int]


class _Handle:
    """One opening of a raster, for one thread at a time."""

    def __init__(self, bands: Sequence[_Band], closing: ExitStack) -> None:
        self.bands = tuple(bands)
        self.closing = closing
        self._overviews: dict[tuple[str, int], Any] = {}

    def groups(self, turn: int) -> Iterator[tuple[Any, list[int], float | None]]:
        """Bands that are read together: one dataset, moved by the n-th of its turns, and one nodata value."""
        found: dict[tuple[int, str], list[_Band]] = {}
        for band in self.bands:
            found.setdefault((id(band.dataset), repr(band.nodata)), []).append(band)
        for some in found.values():
            yield some[0].turned[turn], [band.index for band in some], some[0].nodata

    def overview(self, dataset: Any, extent: _Extent) -> Any:
        """Choose the overview of a GeoTIFF that is about as fine as a tile, else the dataset itself.

        GDAL warps from the overview that is finer than the tile, which has up to four times as many pixels.
        """
        if isinstance(dataset, WarpedVRT) or dataset.driver != "GTiff":
            return dataset
        factors = [1, *dataset.overviews(1)]
        if len(factors) == 1 or set(dataset.files) - {dataset.name, f"{dataset.name}.ovr"}:
            return dataset
        apart = _source_pixels(dataset, extent) * _BLURRED
        level = max((n for n, factor in enumerate(factors) if factor <= apart), default=0)
        if not level:
            return dataset
        key = dataset.name, level - 1
        if key not in self._overviews:
            opened = rasterio.open(dataset.name, driver="GTiff", overview_level=level - 1)
            self._overviews[key] = self.closing.enter_context(opened)
        return self._overviews[key]


class TiledRaster(PlacedRaster):
    """A raster that GDAL reads. Thread-safe: each of at most four threads has a handle of its own.

    Args:
        name: name for messages.
        opener: opens the raster once more.

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
            first = handle.bands[0]
            super().__init__(name, _grid_of(first.dataset), first.dataset.dtypes[first.index - 1])

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
        extent = _Extent(bounds=bounds, crs=crs, shape=shape)
        with self._handle() as handle, gdal_settings():
            try:
                parts = [_warped(handle, turn, extent, resampling) for turn in range(len(handle.bands[0].turned))]
            except (RasterioError, CRSError) as error:
                raise SceneError(self.name, f"it cannot be read there ({reason(error)}).") from error
        merged = parts[0]
        for other in parts[1:]:
            merged = Pixels(
                values=np.where(merged.valid, merged.values, other.values), valid=merged.valid | other.valid
            )
        return merged

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


def _source_pixels(dataset: Any, extent: _Extent) -> float:
    """Pixels of a dataset along a pixel of a tile: the root of how many lie in it; 1 where that is not known."""
    west, south, east, north = extent.bounds
    corners = [west, east, east, west], [south, south, north, north]
    x, y = (np.array(axis) for axis in transform_points(extent.crs, dataset.crs, *corners))
    with np.errstate(all="ignore"):
        area = abs(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2
        found = float(np.sqrt(area / abs(dataset.transform.determinant) / (extent.shape[0] * extent.shape[1])))
    return found if np.isfinite(found) else 1.0


def _warped(handle: _Handle, turn: int, extent: _Extent, resampling: Resampling) -> Pixels:
    """Warp bands, moved by the n-th of their turns."""
    rows, cols = extent.shape
    values: list[AnyArray] = []
    valid = np.ones(extent.shape, bool)
    for dataset, indexes, nodata in handle.groups(turn):
        smooth = resampling == "bilinear"
        image = part(
            handle.overview(dataset, extent) if smooth else dataset,
            extent.bounds,
            height=rows,
            width=cols,
            dst_crs=extent.crs,
            bounds_crs=extent.crs,
            indexes=indexes,
            nodata=nodata,
            resampling_method=resampling,
            reproject_method=resampling,
        )
        values.append(image.array.data)
        valid &= ~np.broadcast_to(image.array.mask, image.array.shape).any(axis=0)
    merged = np.concatenate(values)
    if merged.dtype.kind == "f":
        valid &= np.isfinite(merged).all(axis=0)
    return Pixels(values=merged, valid=valid)


def _grid_of(dataset: Any) -> PixelGrid:
    levels = [1, *dataset.overviews(1)]
    return PixelGrid(
        crs=dataset.crs,
        bounds=tuple(dataset.bounds),
        shape=(dataset.height, dataset.width),
        coarsest_px=max(dataset.width, dataset.height) / max(levels),
        most_read_px=_MOST_READ_PX,
    )


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
        upright = _upright(str(path), dataset, closing)
        turned = _turned(str(path), upright, closing)
        return [_Band(dataset=upright, turned=turned, index=1, nodata=dataset.nodata)]

    return TiledRaster(str(path), opener)


def open_imagery(uri: str, options: OpenOptions, bands: Sequence[int]) -> PlacedRaster:
    """Open a scene for display; of a service no more is asked for than what is looked at.

    Args:
        uri: path or address.
        options: options of opening.
        bands: 1-based data bands to read; empty: the visible ones.

    Raises:
        SceneError, UsageError: the scene is refused.
    """
    if service_kind(uri) is not None:
        return _open_service(uri, options, bands)

    def opener(closing: ExitStack) -> Sequence[_Band]:
        scene = closing.enter_context(Scene(uri, options))
        chosen = _chosen(uri, scene, bands)
        known = {band.index: source for band, source in zip(scene.bands, scene.datasets, strict=True)}
        upright: dict[int, tuple[Any, tuple[Any, ...]]] = {}
        found = []
        for index in chosen:
            dataset, own, nodata = known[index]
            if id(dataset) not in upright:
                made = _upright(uri, dataset, closing, scene=scene)
                upright[id(dataset)] = made, _turned(uri, made, closing)
            shown, turned = upright[id(dataset)]
            found.append(_Band(dataset=shown, turned=turned, index=own, nodata=nodata))
        return found

    return TiledRaster(uri, opener)


def _open_service(uri: str, options: OpenOptions, bands: Sequence[int]) -> ServiceRaster:
    with ExitStack() as closing:
        scene = closing.enter_context(Scene(uri, options))
        shown = parse_service(uri).shown
        raster = ServiceRaster(shown, scene, _chosen(shown, scene, bands))
        closing.pop_all()
        return raster


def _chosen(name: str, scene: Scene, bands: Sequence[int]) -> tuple[int, ...]:
    chosen = tuple(bands) or visible_bands(scene)
    if set(chosen) - {band.index for band in scene.bands}:
        raise SceneError(name, f"it has no bands {list(chosen)}.", "Show it with the bands that it has.")
    return chosen


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
        return _virtual(name, dataset, closing, src_crs=gcps_crs, crs=gcps_crs, **BY_CONTROL_POINTS)
    if scene is not None and (crs is None or transform.is_identity):
        if scene.geobox.crs is None:
            raise SceneError(name, "it has no CRS.", "Pass --assume-crs EPSG:code.")
        crs, transform = CRS.from_user_input(scene.geobox.crs.to_wkt()), scene.geobox.affine
    if crs is None:
        raise SceneError(name, "it has no CRS, so it has no place on a map.")
    if crs == dataset.crs and transform == dataset.transform and transform.b == transform.d == 0 and transform.e < 0:
        return dataset
    return _virtual(name, dataset, closing, src_crs=crs, src_transform=transform, crs=crs)


def _turned(name: str, dataset: Any, closing: ExitStack) -> tuple[Any, ...]:
    """Move a dataset of longitudes by full turns; any other one, and one within 180 degrees, is left as it is."""
    grid = _grid_of(dataset)
    if grid.turns == (0,):
        return (dataset,)
    place, found = {"width": dataset.width, "height": dataset.height, "crs": dataset.crs}, []
    for turn in grid.turns:
        moved = Affine.translation(turn * (grid.circle or 0), 0) * dataset.transform
        found.append(
            _virtual(name, dataset, closing, src_crs=dataset.crs, src_transform=moved, transform=moved, **place)
        )
    return tuple(found)


def _virtual(name: str, dataset: Any, closing: ExitStack, **place: Any) -> Any:
    """Give a dataset another place; where it has no nodata value, an alpha band says where there is nothing."""
    plain = dataset.nodata is not None or any(colour.name == "alpha" for colour in dataset.colorinterp)
    try:
        return closing.enter_context(WarpedVRT(dataset, **place, **({} if plain else {"add_alpha": True})))
    except (RasterioError, CRSError) as error:
        raise SceneError(name, f"it has no place on a map ({reason(error)}).") from error
