"""Overviews of a uint8 raster, halved level by level; several times faster than GDAL's own mode resampling."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.windows import Window as RasterioWindow

from geoseg.io.files.gdal_name import gdal_name

Pixels = npt.NDArray[np.uint8]
_TILE_PX = 512
_ROWS, _COLS = 2 * _TILE_PX, 8 * _TILE_PX


def add_overviews(path: Path, halve: Callable[[Pixels, int], Pixels], nodata: int) -> None:
    """Write overviews of a GeoTIFF next to it, down to one tile: ``NAME.ovr``, ``NAME.ovr.ovr`` and so on.

    Args:
        path: GeoTIFF of one uint8 band.
        halve: ``halve_by_mode`` or ``halve_by_mean``.
        nodata: the value to ignore.

    Source:
        GDAL reads the overviews of an overview file as further levels (``GDALDefaultOverviews``).
    """
    with rasterio.open(gdal_name(path), driver="GTiff") as full:
        shape = full.shape
    while max(shape) > _TILE_PX:
        shape = -(-shape[0] // 2), -(-shape[1] // 2)
        smaller = path.with_name(path.name + ".ovr")
        _halve_file(path, smaller, shape, lambda pixels: halve(pixels, nodata))
        path = smaller


def bytes_with_overviews(shape: tuple[int, int]) -> int:
    """Size of an uncompressed raster of one byte a pixel with its overviews, in whole tiles.

    Args:
        shape: rows and columns.

    Examples:
        >>> bytes_with_overviews((512, 1024))
        786432
    """
    total = 0
    while True:
        total += -(-shape[0] // _TILE_PX) * -(-shape[1] // _TILE_PX) * _TILE_PX**2
        if max(shape) <= _TILE_PX:
            return total
        shape = -(-shape[0] // 2), -(-shape[1] // 2)


def halve_by_mode(pixels: Pixels, nodata: int) -> Pixels:
    """Take the most frequent value of each 2 x 2 square, the first of equals.

    Args:
        pixels: (y, x) uint8, both even.
        nodata: chosen only if all four pixels have it.

    Returns:
        (y / 2, x / 2) uint8.
    """
    top, bottom = _pairs(pixels)
    chosen: Pixels = top.astype(np.uint8)
    # most squares of a map hold one class: only the others need a vote
    row, col = np.nonzero((top != bottom) | (top >> 8 != top & 255))
    corners = _corners(top[row, col], bottom[row, col])
    votes = (corners[:, None] == corners[None]).sum(axis=0, dtype=np.uint8) * (corners != nodata)
    chosen[row, col] = np.take_along_axis(corners, votes.argmax(axis=0)[None], axis=0)[0]
    return chosen


def halve_by_mean(pixels: Pixels, nodata: int) -> Pixels:
    """Average the pixels of each 2 x 2 square that are not nodata, rounded half up.

    Args:
        pixels: (y, x) uint8, both even.
        nodata: left out; the result only where all four pixels have it.

    Returns:
        (y / 2, x / 2) uint8.
    """
    top, bottom = _pairs(pixels)
    mean: Pixels = (((top & 255) + (top >> 8) + (bottom & 255) + (bottom >> 8) + 2) >> 2).astype(np.uint8)
    if not (pixels == nodata).any():
        return mean
    row, col = np.nonzero(
        (top & 255 == nodata) | (top >> 8 == nodata) | (bottom & 255 == nodata) | (bottom >> 8 == nodata)
    )
    corners = _corners(top[row, col], bottom[row, col])
    known = corners != nodata
    count, total = known.sum(axis=0), np.where(known, corners, 0).sum(axis=0, dtype=np.int64)
    mean[row, col] = np.where(count > 0, (2 * total + count) // np.maximum(2 * count, 1), nodata)
    return mean


def _pairs(pixels: Pixels) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.uint16]]:
    """View each two neighbours in a row as one uint16, the left one as its low byte; return even and odd rows."""
    pairs = np.ascontiguousarray(pixels).view("<u2")
    return pairs[0::2], pairs[1::2]


def _corners(top: npt.NDArray[np.uint16], bottom: npt.NDArray[np.uint16]) -> Pixels:
    return np.stack([top & 255, top >> 8, bottom & 255, bottom >> 8]).astype(np.uint8)


def _halve_file(source: Path, target: Path, shape: tuple[int, int], halve: Callable[[Pixels], Pixels]) -> None:
    with (
        rasterio.open(gdal_name(source), driver="GTiff") as full,
        rasterio.open(
            gdal_name(target),
            "w",
            driver="GTiff",
            height=shape[0],
            width=shape[1],
            count=1,
            dtype="uint8",
            nodata=full.nodata,
            tiled=True,
            blockxsize=_TILE_PX,
            blockysize=_TILE_PX,
            BIGTIFF="IF_SAFER",
        ) as half,
    ):
        for top in range(0, full.height, _ROWS):
            for left in range(0, full.width, _COLS):
                rows, cols = min(_ROWS, full.height - top), min(_COLS, full.width - left)
                pixels = full.read(1, window=RasterioWindow(left, top, cols, rows))
                if rows % 2 or cols % 2:
                    pixels = np.pad(pixels, ((0, rows % 2), (0, cols % 2)), constant_values=int(full.nodata))
                small = halve(pixels)
                half.write(small, 1, window=RasterioWindow(left // 2, top // 2, small.shape[1], small.shape[0]))
