"""Cloud-optimised GeoTIFFs of classes and confidence, on exactly the scene's grid."""

from __future__ import annotations

import os
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.windows import Window as RasterioWindow

from geoseg.core.legend import Legend
from geoseg.core.window import Window
from geoseg.io.grid import LayerGrid
from geoseg.io.styles import class_raster_qml, confidence_qml, gdal_metadata, xml_text
from geoseg.io.writing import scratch_file, whole_file, write_bytes

__all__ = ["LayerGrid", "write_class_cog", "write_confidence_cog"]

Compression = Literal["DEFLATE", "ZSTD", "LZW", "NONE"]
Blocks = Iterable[tuple[Window, npt.NDArray[np.uint8]]]
NODATA = 255
_TILE_PX = 512
# a class map is long runs, where level 6 costs nothing; confidence is noise, where level 1 writes as small, faster
_LEVELS = {("DEFLATE", "MODE"): 6, ("DEFLATE", "AVERAGE"): 1, ("ZSTD", "MODE"): 3, ("ZSTD", "AVERAGE"): 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    grid: LayerGrid
    allowed: npt.NDArray[np.bool_]
    nodata: int
    overviews: Literal["MODE", "AVERAGE"]
    compress: Compression
    dress: Callable[[Any], None]


def write_class_cog(
    path: Path,
    grid: LayerGrid,
    blocks: Blocks,
    legend: Legend,
    *,
    compress: Compression = "DEFLATE",
    tags: Mapping[str, str],
) -> None:
    """Write class codes as a COG with colours and names, a QGIS style and GDAL's category names beside it.

    Args:
        path: the final ``.tif``; ``.qml`` and ``.tif.aux.xml`` are written beside it.
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

    def dress(target: Any) -> None:
        target.write_colormap(1, {entry.code: (*entry.rgb, 255) for entry in legend.classes})
        target.colorinterp = [ColorInterp.palette]
        target.set_band_description(1, "class")
        target.update_tags(**_clean(tags))
        target.update_tags(1, **_clean({f"class_{entry.code}": entry.name for entry in legend.classes}))

    layer = _Layer(
        grid=grid,
        allowed=_allowed([*legend.codes, legend.nodata]),
        nodata=legend.nodata,
        overviews="MODE",
        compress=compress,
        dress=dress,
    )
    names = path.with_name(path.name + ".aux.xml")
    with _write(path, layer, blocks):
        # an old legend must never stand beside a new map, at whatever point a crash strikes
        names.unlink(missing_ok=True)
    write_bytes(names, gdal_metadata(legend).encode())
    write_bytes(path.with_suffix(".qml"), class_raster_qml(legend).encode())


def write_confidence_cog(
    path: Path, grid: LayerGrid, blocks: Blocks, *, compress: Compression = "DEFLATE", tags: Mapping[str, str]
) -> None:
    """Write confidence as a COG, with a QGIS style beside it.

    Args:
        path: the final ``.tif``; ``.qml`` is written beside it.
        grid: the scene's grid.
        blocks: windows that partition the grid, in any order, with percentages, (y, x) uint8, 0-100 or 255 (nodata).
        compress: as for classes.
        tags: facts for the TIFF's metadata.

    Raises:
        WriteError: the disk is full or fails; nothing is left at ``path``.
        ValueError: the blocks do not partition the grid, or hold 101-254.
    """

    def dress(target: Any) -> None:
        target.set_band_description(1, "confidence")
        target.set_band_unit(1, "%")
        target.update_tags(**_clean(tags))

    layer = _Layer(
        grid=grid,
        allowed=_allowed([*range(101), NODATA]),
        nodata=NODATA,
        overviews="AVERAGE",
        compress=compress,
        dress=dress,
    )
    with _write(path, layer, blocks):
        pass
    write_bytes(path.with_suffix(".qml"), confidence_qml().encode())


@contextmanager
def _write(path: Path, layer: _Layer, blocks: Blocks) -> Iterator[None]:
    """Write the COG; the body of the ``with`` runs when it is whole, just before it takes its name."""
    sums: list[tuple[Window, int]] = []

    def verify(part: Path) -> None:
        _verify(part, layer, sums)

    height, width = layer.grid.shape
    with whole_file(path, verify=verify, size_bytes=height * width * 7 // 3) as part:
        with scratch_file(path) as tiles:
            sums += _write_tiles(tiles, layer, blocks)
            _check_partition([window for window, _ in sums], layer.grid.shape)
            _copy_to_cog(tiles, part, layer)
        yield


def _write_tiles(tiles: Path, layer: _Layer, blocks: Blocks) -> list[tuple[Window, int]]:
    """Write blocks to an uncompressed GeoTIFF, where tiles can be written in parts and again; return CRC-32 of each."""
    grid, (height, width) = layer.grid, layer.grid.shape
    profile = {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": 1,
        "dtype": "uint8",
        "nodata": layer.nodata,
        "tiled": True,
        "blockxsize": _TILE_PX,
        "blockysize": _TILE_PX,
        "BIGTIFF": "IF_SAFER",
    }
    if not grid.gcps:
        profile |= {"crs": grid.crs_wkt, "transform": grid.geobox.transform}
    sums = []
    with _quiet(), rasterio.open(tiles, "w", **profile) as target:
        if grid.gcps:
            target.gcps = (list(grid.gcps), grid.gcps_crs)
        layer.dress(target)
        for window, values in blocks:
            if values.dtype != np.uint8 or values.shape != window.shape:
                raise ValueError(f"{window} came with {values.dtype} {values.shape}, uint8 {window.shape} is wanted")
            if not layer.allowed[values].all():
                odd = sorted(set(np.unique(values).tolist()) - set(np.flatnonzero(layer.allowed).tolist()))
                raise ValueError(f"{window} holds the values {odd}, which have no meaning")
            target.write(values, 1, window=_rasterio_window(window))
            sums.append((window, _crc(values)))
    return sums


def _copy_to_cog(tiles: Path, part: Path, layer: _Layer) -> None:
    options = {
        "COMPRESS": layer.compress,
        "BLOCKSIZE": str(_TILE_PX),
        "OVERVIEW_RESAMPLING": layer.overviews,
        "BIGTIFF": "IF_SAFER",
        "NUM_THREADS": str(len(os.sched_getaffinity(0))),
    }
    level = _LEVELS.get((layer.compress, layer.overviews))
    if level is not None:
        options["LEVEL"] = str(level)
    with _quiet():
        rasterio.shutil.copy(str(tiles), str(part), driver="COG", **options)


def _verify(part: Path, layer: _Layer, sums: list[tuple[Window, int]]) -> None:
    """Read the part again, every pixel and every overview.

    Raises:
        OSError: it does not hold what was written.
    """
    with _quiet(), rasterio.open(part, driver="GTiff") as written:
        levels = len(written.overviews(1))
        if written.shape != layer.grid.shape or written.nodata != layer.nodata:
            raise OSError(f"the file reads back as {written.shape} with nodata {written.nodata}")
        for window, crc in sorted(sums):
            if _crc(written.read(1, window=_rasterio_window(window))) != crc:
                raise OSError(f"{window} reads back with other values than were written")
    for level in range(levels):
        with _quiet(), rasterio.open(part, driver="GTiff", overview_level=level) as overview:
            for _, window in overview.block_windows(1):
                if not layer.allowed[overview.read(1, window=window)].all() and layer.overviews == "MODE":
                    raise OSError(f"overview {level} holds codes that were not written")


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


def _crc(values: npt.NDArray[np.uint8]) -> int:
    return zlib.crc32(np.ascontiguousarray(values).data)


def _clean(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: xml_text(value) for key, value in tags.items()}


def _rasterio_window(window: Window) -> RasterioWindow:
    return RasterioWindow(window.col_start, window.row_start, window.width, window.height)


@contextmanager
def _quiet() -> Iterator[None]:
    """A scene may rightly lack a transform; rasterio need not say so about each layer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield
