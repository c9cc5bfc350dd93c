"""Write an array as a plain GeoTIFF."""

from __future__ import annotations

from pathlib import Path

import rasterio
from odc.geo.geobox import GeoBox

from geoseg.core.types.arrays import AnyArray
from geoseg.io.files.gdal_name import gdal_name
from geoseg.io.files.writing import whole_file


def write_picture(path: Path, values: AnyArray, geobox: GeoBox) -> None:
    """Write an array as a tiled, compressed GeoTIFF.

    Args:
        path: the final ``.tif``.
        values: (band, y, x).
        geobox: the grid.

    Raises:
        WriteError: the disk is full or fails.
    """
    count, height, width = values.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": values.dtype}
    layout = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate", "predictor": 2}
    photometric = {"photometric": "RGB"} if count == 3 else {}
    grid = {"crs": geobox.crs.to_wkt(), "transform": geobox.transform}
    with (
        whole_file(path) as part,
        rasterio.open(gdal_name(part), "w", **profile, **layout, **photometric, **grid) as target,
    ):
        target.write(values)
