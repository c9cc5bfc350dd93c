"""One VRT over the class rasters of many scenes: what GDAL's gdalbuildvrt makes, without opening them."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT

from geoseg.core.legend import Legend
from geoseg.io.qgis_document import Bounds
from geoseg.io.styles import xml_text
from geoseg.io.writing import whole_file

_LARGEST_SIDE_PX = 2**31 - 2
_BLOCK_PX = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class MosaicTile:
    """A class raster of a mosaic, north up.

    Attributes:
        path: the raster.
        shape: rows and columns.
        west: of its upper left corner, in CRS units.
        north: likewise.
        across: CRS units from one column to the next.
        down: CRS units from one row to the next, positive.
    """

    path: Path
    shape: tuple[int, int]
    west: float
    north: float
    across: float
    down: float

    @property
    def bounds(self) -> Bounds:
        """West, south, east and north in CRS units."""
        rows, cols = self.shape
        return self.west, self.north - rows * self.down, self.west + cols * self.across, self.north


def north_up(path: Path, shape: tuple[int, int], transform: Affine) -> MosaicTile | None:
    """Describe a raster as a tile of a mosaic; None when it is rotated, sheared or south-up: see ``upright``."""
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        return None
    return MosaicTile(
        path=path, shape=shape, west=transform.c, north=transform.f, across=transform.a, down=-transform.e
    )


def upright(raster: Path, vrt: Path, *, nodata: int) -> MosaicTile:
    """Write a VRT that turns a rotated raster, or one on ground control points, north up by nearest neighbours.

    Args:
        raster: class codes on any grid.
        vrt: the final ``.vrt``; it names the raster by a relative path.
        nodata: code around and inside it where there is no answer.

    Raises:
        WriteError: the raster cannot be read, the disk is full or fails.
    """
    with whole_file(vrt) as part:
        with rasterio.open(raster, driver="GTiff") as source:
            crs = source.crs or source.gcps[1]
            with WarpedVRT(source, crs=crs, src_crs=crs, resampling=Resampling.nearest, nodata=nodata) as warped:
                rasterio.shutil.copy(warped, part, driver="VRT")
                shape, transform = (warped.height, warped.width), warped.transform
        named = f'<SourceDataset relativeToVRT="1">{_relative(raster, vrt)}</SourceDataset>'
        text, found = re.subn("<SourceDataset.*?</SourceDataset>", lambda _: named, part.read_text(), flags=re.DOTALL)
        if found != 1:
            raise OSError("GDAL wrote a warped VRT without a source")
        part.write_text(text)
    tile = north_up(vrt, shape, transform)
    assert tile is not None  # noqa: S101 - GDAL's own grid of a warped VRT is north up
    return tile


def write_mosaic(path: Path, tiles: Sequence[MosaicTile], *, crs_wkt: str, legend: Legend) -> Bounds:
    """Write a VRT of tiles in one CRS: finest pixels, later tiles over earlier ones, nodata never over an answer.

    Args:
        path: the final ``.vrt``; its sources are named by relative paths, none is opened.
        tiles: at least one.
        crs_wkt: CRS of all of them.
        legend: colours, category names and nodata.

    Returns:
        West, south, east and north in CRS units.

    Raises:
        WriteError: the disk is full or fails, or GDAL does not read what was written.

    Source:
        https://gdal.org/en/stable/drivers/raster/vrt.html; ``SourceProperties`` let GDAL open it without the sources.
    """
    edges = [tile.bounds for tile in tiles]
    west, south = min(edge[0] for edge in edges), min(edge[1] for edge in edges)
    east, north = max(edge[2] for edge in edges), max(edge[3] for edge in edges)
    # a mosaic from one end of the Earth to the other may hold more of the finest pixels than GDAL can count
    across = max(min(tile.across for tile in tiles), (east - west) / _LARGEST_SIDE_PX)
    down = max(min(tile.down for tile in tiles), (north - south) / _LARGEST_SIDE_PX)
    cols, rows = max(1, round((east - west) / across)), max(1, round((north - south) / down))

    def verify(part: Path) -> None:
        with rasterio.open(part, driver="VRT") as written:
            if written.shape != (rows, cols):
                raise OSError(f"GDAL reads {written.shape} pixels, {(rows, cols)} were written")

    with whole_file(path, verify=verify) as part, part.open("w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(f'<VRTDataset rasterXSize="{cols}" rasterYSize="{rows}">\n')
        file.write(f'  <SRS dataAxisToSRSAxisMapping="{_axes(crs_wkt)}">{escape(crs_wkt)}</SRS>\n')
        file.write(f"  <GeoTransform>{west!r}, {across!r}, 0, {north!r}, 0, {-down!r}</GeoTransform>\n")
        file.write('  <VRTRasterBand dataType="Byte" band="1">\n')
        file.write(_look(legend))
        for tile in tiles:
            file.write(_source(tile, path, (west, north, across, down), legend.nodata))
        file.write("  </VRTRasterBand>\n</VRTDataset>\n")
    return west, south, east, north


def _axes(crs_wkt: str) -> str:
    """Coordinates are x before y; say so where the CRS itself has latitude first."""
    crs = rasterio.CRS.from_wkt(crs_wkt)
    return "2,1" if crs.is_geographic else "1,2"


def _look(legend: Legend) -> str:
    colours = {entry.code: (*entry.rgb, 255) for entry in legend.classes}
    names = {entry.code: entry.name for entry in legend.classes}
    entries = (colours.get(code, (0, 0, 0, 0)) for code in range(256))
    table = "".join(f'<Entry c1="{r}" c2="{g}" c3="{b}" c4="{a}"/>' for r, g, b, a in entries)
    listed = (escape(xml_text(names.get(code, ""))) for code in range(max(names) + 1))
    categories = "".join(f"<Category>{name}</Category>" for name in listed)
    return (
        f"    <NoDataValue>{legend.nodata}</NoDataValue>\n    <ColorInterp>Palette</ColorInterp>\n"
        f"    <ColorTable>{table}</ColorTable>\n    <CategoryNames>{categories}</CategoryNames>\n"
    )


def _source(tile: MosaicTile, vrt: Path, grid: tuple[float, float, float, float], nodata: int) -> str:
    west, north, across, down = grid
    rows, cols = tile.shape
    left, top = (tile.west - west) / across, (north - tile.north) / down
    wide, high = cols * tile.across / across, rows * tile.down / down
    return (
        f'    <ComplexSource><SourceFilename relativeToVRT="1">{_relative(tile.path, vrt)}</SourceFilename>'
        f"<SourceBand>1</SourceBand>"
        f'<SourceProperties RasterXSize="{cols}" RasterYSize="{rows}" DataType="Byte"'
        f' BlockXSize="{_BLOCK_PX}" BlockYSize="{_BLOCK_PX}"/>'
        f'<SrcRect xOff="0" yOff="0" xSize="{cols}" ySize="{rows}"/>'
        f'<DstRect xOff="{left!r}" yOff="{top!r}" xSize="{wide!r}" ySize="{high!r}"/>'
        f"<NODATA>{nodata}</NODATA></ComplexSource>\n"
    )


def _relative(path: Path, vrt: Path) -> str:
    return escape(os.path.relpath(path, vrt.parent))
