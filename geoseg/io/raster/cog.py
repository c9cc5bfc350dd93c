"""Cloud-optimised GeoTIFFs of classes and percentages, on exactly the scene's grid."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.windows import Window as RasterioWindow

from geoseg.core.layer import Overview, RasterLayer
from geoseg.core.legend import Legend
from geoseg.core.types.arrays import AnyArray
from geoseg.core.window import Window
from geoseg.io.checks.raster import check_cog
from geoseg.io.files.gdal_messages import suppress_gdal_messages
from geoseg.io.files.gdal_name import gdal_name
from geoseg.io.files.writing import scratch_file, whole_file, write_bytes
from geoseg.io.publish.grid import LayerGrid
from geoseg.io.publish.styles import CONFIDENCE_RAMP, Ramp, class_raster_qml, gdal_metadata, percent_qml, xml_text
from geoseg.io.raster.pyramid import Pixels, add_overviews, halve_by_mean, halve_by_mode

__all__ = ["LayerGrid", "write_class_cog", "write_confidence_cog", "write_percent_cog", "write_value_cog"]

Compression = Literal["DEFLATE", "ZSTD", "LZW", "NONE"]
Blocks = Iterable[tuple[Window, npt.NDArray[np.uint8]]]
NODATA = 255
_TILE_PX = 512
_CACHE_BYTES = 64 * 2**20
"""GDAL's block cache for rasters being written; its default, a share of the memory, would hold them whole."""
# a class map is long runs, where level 6 costs nothing; confidence is noise, where level 1 is as small and faster
_LEVEL_OF_RUNS = {"DEFLATE": 6, "ZSTD": 3}
_LEVEL_OF_NOISE = {"DEFLATE": 1, "ZSTD": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """Settings for writing a raster.

    Attributes:
        allowed: allowed ones of the 256 values; None: any value of ``dtype``.
        halve: function that makes an overview; None: GDAL makes it, by ``overview``.
        describe: adds names and tags to the opened file.
    """

    grid: LayerGrid
    nodata: float
    level: Mapping[str, int]
    compress: Compression
    describe: Callable[[object], None]
    dtype: str = "uint8"
    allowed: npt.NDArray[np.bool_] | None = None
    halve: Callable[[Pixels, int], Pixels] | None = None
    overview: Overview = "nearest"

    def odd_values(self, values: AnyArray) -> list[int]:
        """List values that are not allowed."""
        if self.allowed is None or self.allowed[values].all():
            return []
        return sorted(set(np.unique(values).tolist()) - set(np.flatnonzero(self.allowed).tolist()))


def write_class_cog(
    path: Path,
    grid: LayerGrid,
    blocks: Blocks,
    legend: Legend,
    *,
    compress: Compression = "DEFLATE",
    tags: Mapping[str, str],
) -> None:
    """Write class codes as a COG with colours and names, with a QGIS style and GDAL's category names next to it.

    Args:
        path: the final ``.tif``; ``.qml`` and ``.tif.aux.xml`` are written next to it.
        grid: the scene's grid; CRS, transform or ground control points are copied from it.
        blocks: windows that partition the grid, in any order, with their codes, (y, x) uint8 of the legend's codes
            or its nodata.
        legend: names and colours.
        compress: ``DEFLATE`` opens everywhere; ``ZSTD`` in GDAL >= 2.3 built with it (QGIS 3.22 of Debian is).
        tags: facts for the TIFF's metadata.

    Raises:
        WriteError: the disk is full or fails; nothing is left at ``path``.
        ValueError: the blocks do not partition the grid, or hold a code that the legend lacks.
    """

    def describe(target: Any) -> None:
        target.write_colormap(1, {entry.code: (*entry.rgb, 255) for entry in legend.classes})
        target.colorinterp = [ColorInterp.palette]
        target.set_band_description(1, "class")
        target.update_tags(**_clean(tags))
        target.update_tags(1, **_clean({f"class_{entry.code}": entry.name for entry in legend.classes}))

    layer = _Layer(
        grid=grid,
        allowed=_allowed([*legend.codes, legend.nodata]),
        nodata=legend.nodata,
        halve=halve_by_mode,
        level=_LEVEL_OF_RUNS,
        compress=compress,
        describe=describe,
    )
    _write(path, layer, blocks, legend)
    write_bytes(path.with_suffix(".qml"), class_raster_qml(legend).encode())


def write_confidence_cog(
    path: Path, grid: LayerGrid, blocks: Blocks, *, compress: Compression = "DEFLATE", tags: Mapping[str, str]
) -> None:
    """Write confidence as a COG, with a QGIS style next to it; see ``write_percent_cog``."""
    write_percent_cog(path, grid, blocks, band="confidence", compress=compress, tags=tags)


def write_percent_cog(
    path: Path,
    grid: LayerGrid,
    blocks: Blocks,
    *,
    band: str,
    ramp: Ramp = CONFIDENCE_RAMP,
    compress: Compression = "DEFLATE",
    tags: Mapping[str, str],
) -> None:
    """Write percentages as a COG, with a QGIS style next to it.

    Args:
        path: the final ``.tif``; ``.qml`` is written next to it.
        grid: the scene's grid.
        blocks: windows that partition the grid, in any order, with percentages, (y, x) uint8, 0-100 or 255 (nodata).
        band: its description.
        ramp: colours of the style.
        compress: as for classes.
        tags: facts for the TIFF's metadata.

    Raises:
        WriteError: the disk is full or fails; nothing is left at ``path``.
        ValueError: the blocks do not partition the grid, or hold 101-254.
    """

    def describe(target: Any) -> None:
        target.set_band_description(1, band)
        target.set_band_unit(1, "%")
        target.update_tags(**_clean(tags))

    layer = _Layer(
        grid=grid,
        allowed=_allowed([*range(101), NODATA]),
        nodata=NODATA,
        halve=halve_by_mean,
        level=_LEVEL_OF_NOISE,
        compress=compress,
        describe=describe,
    )
    _write(path, layer, blocks, None)
    write_bytes(path.with_suffix(".qml"), percent_qml(ramp).encode())


def write_value_cog(
    path: Path,
    grid: LayerGrid,
    blocks: Iterable[tuple[Window, AnyArray]],
    layer: RasterLayer,
    *,
    tags: Mapping[str, str],
) -> None:
    """Write measurements or numbers of any type as a COG.

    Args:
        path: the final ``.tif``.
        grid: the scene's grid.
        blocks: windows that partition the grid, in any order, with values (y, x) of the layer's type.
        layer: its type, nodata, unit and overview resampling; its name is the band's description.
        tags: facts for the TIFF's metadata.

    Raises:
        WriteError: the disk is full or fails; nothing is left at ``path``.
        ValueError: the blocks do not partition the grid, or have another type.
    """

    def describe(target: Any) -> None:
        target.set_band_description(1, layer.name)
        if layer.unit is not None:
            target.set_band_unit(1, layer.unit)
        target.update_tags(**_clean(tags))

    written = _Layer(
        grid=grid,
        dtype=layer.dtype,
        nodata=layer.nodata,
        overview=layer.overview,
        level=_LEVEL_OF_RUNS,
        compress="DEFLATE",
        describe=describe,
    )
    _write(path, written, blocks, None)


def _write(path: Path, layer: _Layer, blocks: Iterable[tuple[Window, AnyArray]], legend: Legend | None) -> None:
    """Write the COG and its sidecars."""
    sums: list[tuple[Window, int]] = []
    crs = _crs(layer.grid)
    sidecar = path.with_name(path.name + ".aux.xml")
    keeps_crs = True

    def verify(part: Path) -> None:
        nonlocal keeps_crs
        # GDAL puts a CRS without GeoTIFF keys here, under a name that is about to go
        part.with_name(part.name + ".aux.xml").unlink(missing_ok=True)
        check_cog(part)
        keeps_crs = _verify(part, layer, sums) == crs
        # an old legend must never be next to a new map, even after a crash at any point
        sidecar.unlink(missing_ok=True)

    height, width = layer.grid.shape
    with (
        rasterio.Env(GDAL_CACHEMAX=_CACHE_BYTES),
        whole_file(path, verify=verify, size_bytes=height * width * np.dtype(layer.dtype).itemsize * 7 // 3) as part,
        scratch_file(path) as tiles,
    ):
        sums += _write_tiles(tiles, layer, blocks)
        _check_partition([window for window, _ in sums], layer.grid.shape)
        with suppress_gdal_messages():
            if layer.halve is not None:
                add_overviews(tiles, layer.halve, int(layer.nodata))
            _copy_to_cog(tiles, part, layer)
    if legend is not None or not keeps_crs:
        write_bytes(sidecar, gdal_metadata(legend, None if keeps_crs or crs is None else crs.to_wkt()).encode())


def _write_tiles(tiles: Path, layer: _Layer, blocks: Iterable[tuple[Window, AnyArray]]) -> list[tuple[Window, int]]:
    """Write blocks to an uncompressed GeoTIFF, whose tiles can be written piecemeal; return the CRC-32 of each."""
    grid, (height, width) = layer.grid, layer.grid.shape
    profile = {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": 1,
        "dtype": layer.dtype,
        "nodata": layer.nodata,
        "tiled": True,
        "blockxsize": _TILE_PX,
        "blockysize": _TILE_PX,
        "BIGTIFF": "IF_SAFER",
    }
    if not grid.gcps:
        profile |= {"crs": _crs(grid), "transform": grid.geobox.transform}
    sums = []
    with suppress_gdal_messages(), rasterio.open(gdal_name(tiles), "w", **profile) as target:
        if grid.gcps:
            target.gcps = (list(grid.gcps), _crs(grid))
        layer.describe(target)
        for window, values in blocks:
            if values.dtype != layer.dtype or values.shape != window.shape:
                found = f"{values.dtype} {values.shape}"
                raise ValueError(f"{window} came with {found}, {layer.dtype} {window.shape} is expected")
            odd = layer.odd_values(values)
            if odd:
                raise ValueError(f"{window} holds the values {odd}, which have no meaning")
            target.write(values, 1, window=_rasterio_window(window))
            sums.append((window, _crc(values)))
    return sums


def _copy_to_cog(tiles: Path, part: Path, layer: _Layer) -> None:
    options = {
        "COMPRESS": layer.compress,
        "BLOCKSIZE": str(_TILE_PX),
        "BIGTIFF": "IF_SAFER",
        "NUM_THREADS": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1),
    }
    if layer.halve is None:
        options["OVERVIEW_RESAMPLING"] = {"mean": "AVERAGE"}.get(layer.overview, layer.overview.upper())
    if layer.compress in layer.level:
        options["LEVEL"] = str(layer.level[layer.compress])
    rasterio.shutil.copy(str(gdal_name(tiles)), str(gdal_name(part)), driver="COG", **options)


def _verify(part: Path, layer: _Layer, sums: list[tuple[Window, int]]) -> CRS | None:
    """Verify the part by reading every pixel and every overview.

    Returns:
        The CRS of the file.

    Raises:
        OSError: its content differs from the written values.
    """
    with suppress_gdal_messages(), rasterio.open(gdal_name(part), driver="GTiff") as written:
        levels = len(written.overviews(1))
        crs = written.gcps[1] if layer.grid.gcps else written.crs
        if written.shape != layer.grid.shape or written.nodata != layer.nodata:
            raise OSError(f"the file reads back as {written.shape} with nodata {written.nodata}")
        for window, crc in sorted(sums):
            if _crc(written.read(1, window=_rasterio_window(window))) != crc:
                raise OSError(f"{window} reads back with other values than were written")
    for level in range(levels):
        with suppress_gdal_messages(), rasterio.open(gdal_name(part), driver="GTiff", overview_level=level) as overview:
            for _, window in overview.block_windows(1):
                if layer.odd_values(overview.read(1, window=window)):
                    raise OSError(f"overview {level} holds values that were not written")
    return crs


def _crs(grid: LayerGrid) -> CRS | None:
    """Return the authority code of the CRS if there is one, as a full WKT loses the codes of a compound CRS's parts."""
    if grid.crs_wkt is None:
        return None
    crs = CRS.from_wkt(grid.crs_wkt)
    authority = crs.to_authority(confidence_threshold=100)
    named = None if authority is None else CRS.from_authority(*authority)
    return named if named == crs else crs


def _check_partition(windows: list[Window], shape: tuple[int, int]) -> None:
    """Check that windows cover a grid once.

    Raises:
        ValueError: a pixel is covered twice or not at all.
    """
    rows = np.unique([0, shape[0], *(edge for w in windows for edge in (w.row_start, w.row_stop))])
    cols = np.unique([0, shape[1], *(edge for w in windows for edge in (w.col_start, w.col_stop))])
    times = np.zeros((len(rows), len(cols)), np.int32)
    for w in windows:
        if w.pixels:
            top, bottom = np.searchsorted(rows, (w.row_start, w.row_stop))
            left, right = np.searchsorted(cols, (w.col_start, w.col_stop))
            times[top:bottom, left:right] += 1
    if (rows[0], rows[-1], cols[0], cols[-1]) != (0, shape[0], 0, shape[1]) or (times[:-1, :-1] != 1).any():
        raise ValueError(f"{len(windows)} blocks do not cover the grid of {shape} pixels once each")


def _allowed(values: Iterable[int]) -> npt.NDArray[np.bool_]:
    table = np.zeros(256, bool)
    table[list(values)] = True
    return table


def _crc(values: AnyArray) -> int:
    return zlib.crc32(np.ascontiguousarray(values).data)


def _clean(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: xml_text(value) for key, value in tags.items()}


def _rasterio_window(window: Window) -> RasterioWindow:
    return RasterioWindow(window.col_start, window.row_start, window.width, window.height)
