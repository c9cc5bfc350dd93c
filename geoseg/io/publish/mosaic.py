"""One VRT over rasters of many scenes, like GDAL's gdalbuildvrt, but without opening them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import rasterio
import rasterio.shutil
from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT

from geoseg.core.layer import RasterLayer
from geoseg.core.legend import Legend
from geoseg.errors import SceneError
from geoseg.io.files.gdal_name import gdal_name
from geoseg.io.files.writing import read_errors_handled, whole_file
from geoseg.io.publish.styles import xml_text
from geoseg.io.qgis.document import Bounds
from geoseg.io.raster.georeference import BY_CONTROL_POINTS

_LARGEST_SIDE_PX = 2**31 - 2
_BLOCK_PX = 512
_GDAL_TYPES = {
    "uint8": "Byte",
    "int16": "Int16",
    "uint16": "UInt16",
    "int32": "Int32",
    "uint32": "UInt32",
    "int64": "Int64",
    "uint64": "UInt64",
    "float32": "Float32",
    "float64": "Float64",
}
"""GDAL's name of each data type of a layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MosaicTile:
    """A raster of a mosaic, north up.

    Attributes:
        path: the raster.
        shape: rows and columns.
        west: x of its upper left corner, in CRS units.
        north: y of its upper left corner.
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
    """Describe a raster as a tile of a mosaic; None when it is rotated, sheared or south-up: see ``upright``.

    Args:
        path: the raster.
        shape: (rows, columns).
        transform: affine transform of the raster.
    """
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        return None
    return MosaicTile(
        path=path, shape=shape, west=transform.c, north=transform.f, across=transform.a, down=-transform.e
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MosaicGrid:
    """Pixels of a mosaic: the finest of its tiles, around all of them.

    Attributes:
        shape: rows and columns.
        west: x of the upper left corner, in CRS units.
        north: y of the upper left corner.
        across: CRS units from one column to the next.
        down: CRS units from one row to the next, positive.
        bounds: west, south, east and north of the tiles.
    """

    shape: tuple[int, int]
    west: float
    north: float
    across: float
    down: float
    bounds: Bounds

    @classmethod
    def over(cls, tiles: Sequence[MosaicTile]) -> MosaicGrid:
        """Make the grid of at least one tile."""
        edges = [tile.bounds for tile in tiles]
        west, south = min(edge[0] for edge in edges), min(edge[1] for edge in edges)
        east, north = max(edge[2] for edge in edges), max(edge[3] for edge in edges)
        # a mosaic from one end of the Earth to the other may hold more of the finest pixels than GDAL can count
        across = max(min(tile.across for tile in tiles), (east - west) / _LARGEST_SIDE_PX)
        down = max(min(tile.down for tile in tiles), (north - south) / _LARGEST_SIDE_PX)
        shape = max(1, round((north - south) / down)), max(1, round((east - west) / across))
        bounds = west, south, east, north
        return cls(shape=shape, west=west, north=north, across=across, down=down, bounds=bounds)

    def place(self, tile: MosaicTile) -> str:
        """Return the pixels of the mosaic that a tile covers, as VRT attributes."""
        rows, cols = tile.shape
        left, top = (tile.west - self.west) / self.across, (self.north - tile.north) / self.down
        wide, high = cols * tile.across / self.across, rows * tile.down / self.down
        return (
            f'<SrcRect xOff="0" yOff="0" xSize="{cols}" ySize="{rows}"/>'
            f'<DstRect xOff="{left!r}" yOff="{top!r}" xSize="{wide!r}" ySize="{high!r}"/>'
        )


def upright(raster: Path, vrt: Path, *, nodata: float | None) -> MosaicTile:
    """Write a VRT that warps a rotated raster, or one on ground control points, to north up by nearest neighbour.

    Args:
        raster: a GeoTIFF on any grid.
        vrt: the final ``.vrt``; it names the raster by a relative path.
        nodata: value of pixels without a result; None: an alpha band marks them.

    Raises:
        SceneError: the raster cannot be read.
        WriteError: the disk is full or fails.
    """
    with _north_up(raster, nodata) as warped, whole_file(vrt) as part:
        rasterio.shutil.copy(warped, part, driver="VRT")
        shape, transform = (warped.height, warped.width), warped.transform
        named = f'<SourceDataset relativeToVRT="1">{relative(raster, vrt)}</SourceDataset>'
        text, found = re.subn("<SourceDataset.*?</SourceDataset>", lambda _: named, part.read_text(), flags=re.DOTALL)
        if found != 1:
            raise OSError("GDAL wrote a warped VRT without a source")
        part.write_text(text)
    tile = north_up(vrt, shape, transform)
    assert tile is not None  # noqa: S101 - GDAL's own grid of a warped VRT is north up
    return tile


@contextmanager
def _north_up(raster: Path, nodata: float | None) -> Iterator[WarpedVRT]:
    """Open a raster, warped to north up.

    Raises:
        SceneError: it cannot be read.
    """
    with ExitStack() as closing:
        try:
            with read_errors_handled():
                source = closing.enter_context(rasterio.open(gdal_name(raster), driver="GTiff"))
                crs = source.crs or source.gcps[1]
                empty = {"add_alpha": not _has_alpha(source)} if nodata is None else {"nodata": nodata}
                how: dict[str, Any] = {"crs": crs, "src_crs": crs, "resampling": Resampling.nearest}
                if source.gcps[0]:
                    how |= BY_CONTROL_POINTS
                warped = closing.enter_context(WarpedVRT(source, **how, **empty))
        except (RasterioError, CPLE_BaseError) as error:
            raise SceneError(str(raster), f"it cannot be read ({error}).", "Predict the scene again.") from error
        yield warped


def is_geotiff(path: Path) -> bool:
    """Return True if a file can be opened as a GeoTIFF."""
    try:
        with read_errors_handled(), rasterio.open(gdal_name(path), driver="GTiff"):
            return True
    except rasterio.RasterioIOError:
        return False


def _has_alpha(source: rasterio.DatasetReader) -> bool:
    return ColorInterp.alpha in source.colorinterp


def write_mosaic(
    path: Path, tiles: Sequence[MosaicTile], layer: RasterLayer, *, crs_wkt: str, legend: Legend | None = None
) -> Bounds:
    """Write a VRT of one-band tiles in one CRS: later tiles over earlier ones, nodata transparent.

    Args:
        path: the final ``.vrt``; its sources have relative paths and are not opened.
        tiles: at least one.
        layer: data type and nodata of all of them.
        crs_wkt: CRS of all of them.
        legend: colours and category names of class codes; None: they are other values.

    Returns:
        West, south, east and north in CRS units.

    Raises:
        WriteError: the disk is full or fails, or GDAL cannot read the file.
    """
    grid = MosaicGrid.over(tiles)
    kind, nodata = _GDAL_TYPES[layer.dtype], _plain(layer.nodata)

    def band() -> Iterator[str]:
        yield f'  <VRTRasterBand dataType="{kind}" band="1">\n'
        yield f"    <NoDataValue>{nodata}</NoDataValue>\n" if legend is None else _look(legend)
        for tile in tiles:
            yield _source(tile, path, grid, kind=kind, nodata=nodata)
        yield "  </VRTRasterBand>\n"

    write_vrt(path, grid, crs_wkt, band())
    return grid.bounds


def write_vrt(path: Path, grid: MosaicGrid, crs_wkt: str, bands: Iterable[str]) -> None:
    """Write a VRT.

    Args:
        path: the final ``.vrt``.
        grid: its pixels.
        crs_wkt: its CRS.
        bands: ``VRTRasterBand`` elements, in pieces.

    Raises:
        WriteError: the disk is full or fails, or GDAL cannot read the file.

    Source:
        https://gdal.org/en/stable/drivers/raster/vrt.html; ``SourceProperties`` let GDAL open it without the sources.
    """
    rows, cols = grid.shape

    def verify(part: Path) -> None:
        with rasterio.open(gdal_name(part), driver="VRT") as written:
            if written.shape != (rows, cols):
                raise OSError(f"GDAL reads {written.shape} pixels, {(rows, cols)} were written")

    with whole_file(path, verify=verify) as part, part.open("w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(f'<VRTDataset rasterXSize="{cols}" rasterYSize="{rows}">\n')
        file.write(f'  <SRS dataAxisToSRSAxisMapping="{_axes(crs_wkt)}">{escape(crs_wkt)}</SRS>\n')
        transform = f"{grid.west!r}, {grid.across!r}, 0, {grid.north!r}, 0, {-grid.down!r}"
        file.write(f"  <GeoTransform>{transform}</GeoTransform>\n")
        file.writelines(bands)
        file.write("</VRTDataset>\n")


def _axes(crs_wkt: str) -> str:
    """Return the axis mapping for coordinates with x first, needed if the CRS has latitude first."""
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


def _plain(nodata: float) -> str:
    return str(int(nodata)) if nodata == int(nodata) else repr(nodata)


def _source(tile: MosaicTile, vrt: Path, grid: MosaicGrid, *, kind: str, nodata: str) -> str:
    rows, cols = tile.shape
    return (
        f'    <ComplexSource><SourceFilename relativeToVRT="1">{relative(tile.path, vrt)}</SourceFilename>'
        f"<SourceBand>1</SourceBand>"
        f'<SourceProperties RasterXSize="{cols}" RasterYSize="{rows}" DataType="{kind}"'
        f' BlockXSize="{_BLOCK_PX}" BlockYSize="{_BLOCK_PX}"/>'
        f"{grid.place(tile)}<NODATA>{nodata}</NODATA></ComplexSource>\n"
    )


def relative(path: Path, vrt: Path) -> str:
    """Return the path of a source relative to a VRT's folder, as XML."""
    return escape(os.path.relpath(path, vrt.parent))
