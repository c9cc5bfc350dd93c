"""Checks of rasters and images: every tile decodes, and no overview is missing."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, BinaryIO

import rasterio
from PIL import Image

from geoseg.io.files.gdal_messages import suppress_gdal_messages
from geoseg.io.files.gdal_name import gdal_name

_SMALLEST_OVERVIEW_PX = 512


def check_cog(path: Path) -> None:
    """Decode every tile of a cloud-optimised GeoTIFF and of its overviews.

    Raises:
        OSError: it is none, it has no overviews where it is larger than a tile, or it ends early.
        RasterioError, zlib.error: a tile does not decode.

    Source:
        https://gdal.org/en/stable/drivers/raster/cog.html; overviews halve the sides down to a tile of 512 pixels.
    """
    with suppress_gdal_messages(), rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED="NO"):
        with rasterio.open(gdal_name(path), driver="GTiff") as raster:
            if raster.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") != "COG":
                raise OSError("it is no cloud-optimised GeoTIFF")
            halvings, side = 0, max(raster.shape)
            while side > _SMALLEST_OVERVIEW_PX:
                halvings, side = halvings + 1, -(-side // 2)
            levels = raster.overviews(1)
            if len(levels) < halvings:
                raise OSError(f"it has {len(levels)} overviews, not {halvings}")
            deflated = raster.tags(ns="IMAGE_STRUCTURE").get("COMPRESSION") == "DEFLATE"
        with path.open("rb") as file:
            for level in (None, *range(len(levels))):
                some = {} if level is None else {"overview_level": level}
                with rasterio.open(gdal_name(path), driver="GTiff", **some) as raster:
                    _read(raster, file if deflated else None)


def _read(raster: Any, file: BinaryIO | None) -> None:
    """Decode all tiles; those of DEFLATE with zlib, since libtiff does not verify their checksum."""
    for (row, col), window in raster.block_windows(1):
        raster.read(window=window)
        for band in raster.indexes if file is not None else ():
            place, size = (
                int(raster.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=band) or 0)
                for what in ("OFFSET", "SIZE")
            )
            if size and file is not None:
                file.seek(place)
                zlib.decompress(file.read(size))


def check_picture(path: Path) -> None:
    """Decode a PNG, by the checksums of its chunks.

    Raises:
        OSError: it is none, it ends early, or a checksum is wrong.
    """
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            picture.verify()
        with Image.open(path, formats=["PNG"]) as picture:
            picture.load()
    except (SyntaxError, ValueError, zlib.error) as error:  # as Pillow calls a PNG whose chunks are wrong
        raise OSError(str(error)) from error
