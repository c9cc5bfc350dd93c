"""A raster layer as a file that geoseg reads: the layer's own file, a part of it, or an export of a map service."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from osgeo import gdal
from qgis.core import (
    QgsCoordinateTransformContext,
    QgsProcessingException,
    QgsProviderRegistry,
    QgsRasterFileWriter,
    QgsRasterLayer,
    QgsRasterPipe,
    QgsRectangle,
)

_CREATE = ["TILED=YES", "COMPRESS=DEFLATE", "BIGTIFF=IF_SAFER"]


@dataclass(frozen=True)
class RasterInput:
    """A raster layer, taken from the project before the algorithm leaves the main thread.

    Attributes:
        name: name of the layer.
        file: its file; None for a layer of a service.
        provider: copy of its provider, for a service.
        crs: its CRS.
        extent: part that is wanted, in its CRS; empty for all of it.
        pixel_size: size of a pixel of an export, units of the CRS; 0 where none is given.
    """

    name: str
    file: Path | None
    provider: Any
    crs: Any
    extent: QgsRectangle
    pixel_size: float

    def path(self, folder: Path) -> Path:
        """Return a file with the wanted part; where that is not the whole file, it is written into a folder.

        Raises:
            QgsProcessingException: the part is empty or cannot be written.
        """
        if self.file is not None and self.extent.isEmpty():
            return self.file
        folder.mkdir(parents=True, exist_ok=True)
        if self.file is not None:
            return self._cut(self.file, folder)
        return self._export(folder)

    def _cut(self, file: Path, folder: Path) -> Path:
        """Copy the pixels that the extent touches, on the same grid."""
        gdal.UseExceptions()
        source = gdal.OpenEx(str(file), gdal.OF_RASTER)
        inverse = gdal.InvGeoTransform(source.GetGeoTransform())
        box = self.extent
        corners = [
            gdal.ApplyGeoTransform(inverse, x, y)
            for x in (box.xMinimum(), box.xMaximum())
            for y in (box.yMinimum(), box.yMaximum())
        ]
        left, right = _range([col for col, _ in corners], source.RasterXSize)
        top, bottom = _range([row for _, row in corners], source.RasterYSize)
        if left >= right or top >= bottom:
            raise QgsProcessingException(f"The extent holds no pixel of {self.name}. Move the map, or choose another.")
        target = folder / f"{_file_name(self.name)}_{left}_{top}_{right - left}x{bottom - top}.tif"
        with gdal.config_options({"GDAL_TIFF_INTERNAL_MASK": "YES"}) if hasattr(gdal, "config_options") else _Nothing():
            gdal.Translate(str(target), source, srcWin=[left, top, right - left, bottom - top], creationOptions=_CREATE)
        return target

    def _export(self, folder: Path) -> Path:
        """Write what the service shows of the extent."""
        if self.extent.isEmpty() or self.pixel_size <= 0:
            raise QgsProcessingException(
                f"{self.name} is a map service, not a file. Give an extent and a pixel size, so that it is exported."
            )
        cols = max(1, math.ceil(self.extent.width() / self.pixel_size))
        rows = max(1, math.ceil(self.extent.height() / self.pixel_size))
        left, top = self.extent.xMinimum(), self.extent.yMaximum()
        box = QgsRectangle(left, top - rows * self.pixel_size, left + cols * self.pixel_size, top)
        target = folder / f"{_file_name(self.name)}_{left:.0f}_{top:.0f}_{cols}x{rows}.tif"
        pipe = QgsRasterPipe()
        pipe.set(self.provider.clone())
        writer = QgsRasterFileWriter(str(target))
        writer.setOutputFormat("GTiff")
        writer.setCreateOptions(_CREATE)
        error = writer.writeRaster(pipe, cols, rows, box, self.crs, QgsCoordinateTransformContext())
        if int(error) != 0:
            raise QgsProcessingException(f"{self.name} cannot be exported to {target} (error {int(error)} of QGIS).")
        return target


def raster_input(layer: QgsRasterLayer, extent: QgsRectangle, pixel_size: float) -> RasterInput:
    """Describe a layer; called in the main thread.

    Args:
        layer: any raster layer.
        extent: part that is wanted, in the layer's CRS; empty for all of it.
        pixel_size: for layers of services, units of the CRS.
    """
    file = _file(layer)
    provider = layer.dataProvider().clone() if file is None else None
    return RasterInput(
        name=layer.name(), file=file, provider=provider, crs=layer.crs(), extent=extent, pixel_size=pixel_size
    )


def raster_file(layer: QgsRasterLayer) -> str:
    """Return the file of a layer that must be one.

    Raises:
        QgsProcessingException: it is of a service, or part of a file.
    """
    file = _file(layer)
    if file is None:
        raise QgsProcessingException(f"{layer.name()} is no raster file on this machine. Export it first.")
    return str(file)


def _file(layer: QgsRasterLayer) -> Path | None:
    provider = layer.dataProvider()
    if provider is None or provider.name() != "gdal":
        return None
    parts = QgsProviderRegistry.instance().decodeUri("gdal", layer.source())
    path = Path(str(parts.get("path") or ""))
    return path if path.is_file() and not parts.get("layerName") and not parts.get("vsiPrefix") else None


def _range(values: list[float], size: int) -> tuple[int, int]:
    return max(0, math.floor(min(values) + 1e-6)), min(size, math.ceil(max(values) - 1e-6))


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)[:80] or "layer"


class _Nothing:
    """Stand-in for the options of GDAL before 3.5."""

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(self, *error: object) -> None:
        """Do nothing."""
