"""One VRT over the imagery of many scenes: three 8-bit bands, each scene with the stretch of its network input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from geoseg.core.types.json_value import UntypedDict
from geoseg.io.publish.mosaic import MosaicGrid, MosaicTile, relative, write_vrt
from geoseg.io.qgis.document import Bounds

GDAL_TYPES = {
    "uint8": "Byte",
    "int8": "Int8",
    "uint16": "UInt16",
    "int16": "Int16",
    "uint32": "UInt32",
    "int32": "Int32",
    "float32": "Float32",
    "float64": "Float64",
}
"""GDAL's names of the pixel types that can be shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A scene's imagery in a mosaic.

    Attributes:
        tile: its place; the path is that of the file, or of a VRT that turns it north up.
        source: address of a remote file, instead of the path; None: it is local.
        bands: three 1-based bands for red, green and blue, or one for grey.
        stretch: for each band the values shown as black and as white.
        dtype: pixel type, a key of ``GDAL_TYPES``.
        block_px: rows and columns of the file's blocks.
    """

    tile: MosaicTile
    source: str | None
    bands: tuple[int, ...]
    stretch: tuple[tuple[float, float], ...]
    dtype: str
    block_px: tuple[int, int]


def shown_imagery(record: Any) -> UntypedDict | None:
    """Validate the imagery entry of a run record; None if it is not as ``geoseg predict`` writes it.

    Args:
        record: ``imagery`` of a ``run.json``, which may be anything.
    """
    try:
        bands = tuple(int(band) for band in record["bands"])
        stretch = tuple((float(low), float(high)) for low, high in record["stretch"])
        rows, cols = (int(side) for side in record["block_px"])
        source, dtype = str(record["source"]), str(record["dtype"])
    except (KeyError, TypeError, ValueError):
        return None
    subdataset = record.get("subdataset")
    if subdataset is not None and not isinstance(subdataset, str):
        return None
    usable = len(bands) == len(stretch) and len(bands) in {1, 3} and dtype in GDAL_TYPES and min(rows, cols) > 0
    if not usable or any(low == high for low, high in stretch) or "\x00" in source:
        return None
    shown: UntypedDict = {"source": source, "bands": bands, "stretch": stretch, "dtype": dtype}
    return shown | {"block_px": (rows, cols), "subdataset": subdataset}


def write_picture_mosaic(path: Path, pictures: Sequence[Picture], *, crs_wkt: str) -> Bounds:
    """Write a VRT of imagery in one CRS: later scenes over earlier ones, transparent where no scene has a valid pixel.

    Args:
        path: the final ``.vrt``; local sources have relative paths and are not opened.
        pictures: at least one.
        crs_wkt: CRS of all of them.

    Returns:
        West, south, east and north in CRS units.

    Raises:
        WriteError: the disk is full or fails, or GDAL cannot read the file.
    """
    grid = MosaicGrid.over([picture.tile for picture in pictures])

    def bands() -> Iterator[str]:
        for number, colour in enumerate(("Red", "Green", "Blue", "Alpha")):
            yield f'  <VRTRasterBand dataType="Byte" band="{number + 1}">\n'
            yield f"    <ColorInterp>{colour}</ColorInterp>\n"
            for picture in pictures:
                yield _mask(picture, path, grid) if colour == "Alpha" else _band(picture, number, path, grid)
            yield "  </VRTRasterBand>\n"

    write_vrt(path, grid, crs_wkt, bands())
    return grid.bounds


def _band(picture: Picture, number: int, vrt: Path, grid: MosaicGrid) -> str:
    """Stretch a band to 0-255, by GDAL's own rounding and clamping; invalid pixels are transparent."""
    index = min(number, len(picture.bands) - 1)
    low, high = picture.stretch[index]
    ratio = 255 / (high - low)
    return (
        f"    <ComplexSource>{_file(picture, vrt)}<SourceBand>{picture.bands[index]}</SourceBand>"
        f"{_properties(picture)}{grid.place(picture.tile)}"
        f"<UseMaskBand>true</UseMaskBand>"
        f"<ScaleOffset>{-low * ratio!r}</ScaleOffset><ScaleRatio>{ratio!r}</ScaleRatio></ComplexSource>\n"
    )


def _mask(picture: Picture, vrt: Path, grid: MosaicGrid) -> str:
    band = picture.bands[0]
    return (
        f"    <ComplexSource>{_file(picture, vrt)}<SourceBand>mask,{band}</SourceBand>"
        f"{_properties(picture)}{grid.place(picture.tile)}<NODATA>0</NODATA></ComplexSource>\n"
    )


def _file(picture: Picture, vrt: Path) -> str:
    if picture.source is not None:
        return f'<SourceFilename relativeToVRT="0">{escape(picture.source)}</SourceFilename>'
    return f'<SourceFilename relativeToVRT="1">{relative(picture.tile.path, vrt)}</SourceFilename>'


def _properties(picture: Picture) -> str:
    rows, cols = picture.tile.shape
    high, wide = picture.block_px
    return (
        f'<SourceProperties RasterXSize="{cols}" RasterYSize="{rows}" DataType="{GDAL_TYPES[picture.dtype]}"'
        f' BlockXSize="{wide}" BlockYSize="{high}"/>'
    )
