"""Labels on a scene's grid: from a raster of codes, or burnt from polygons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyogrio
import rasterio
from odc.geo.geobox import GeoBox
from pyogrio.errors import DataLayerError, DataSourceError
from rasterio.errors import RasterioError
from rasterio.features import rasterize
from rasterio.windows import Window as RasterioWindow

from geoseg.errors import SceneError

_VECTORS = frozenset({".gpkg", ".geojson", ".json", ".shp", ".fgb", ".parquet"})


def read_labels(path: Path, geobox: GeoBox, *, attribute: str | None = None) -> npt.NDArray[np.int64]:
    """Read the codes of a window of a scene.

    Args:
        path: a raster on the same grid (a larger one will do), or polygons in any CRS.
        geobox: the window's grid.
        attribute: for polygons, the field with the code; without it every polygon is code 1. Later polygons win.

    Returns:
        Codes (y, x); 0 where no polygon lies.

    Raises:
        SceneError: the file cannot be read, or a raster is not on the grid.
    """
    try:
        if path.suffix.lower() in _VECTORS:
            return _burn(path, geobox, attribute)
        return _window(path, geobox)
    except (RasterioError, DataSourceError, DataLayerError) as error:
        raise SceneError(str(path), f"the labels cannot be read ({error}).") from error


def _window(path: Path, geobox: GeoBox) -> npt.NDArray[np.int64]:
    with rasterio.open(path) as labels:
        theirs, ours = labels.transform, geobox.transform
        matrix = np.array([[theirs.a, theirs.b], [theirs.d, theirs.e]])
        exact_col, exact_row = np.linalg.solve(matrix, [ours.c - theirs.c, ours.f - theirs.f])
        row, col = round(exact_row), round(exact_col)
        height, width = geobox.shape
        inside = row >= 0 and row + height <= labels.height and col >= 0 and col + width <= labels.width
        aligned = max(abs(exact_row - row), abs(exact_col - col)) < 0.01
        if not (inside and aligned and np.allclose(matrix, [[ours.a, ours.b], [ours.d, ours.e]], rtol=1e-6, atol=0)):
            raise SceneError(
                str(path),
                f"its grid ({labels.height} x {labels.width} pixels) is not the image's.",
                "Give labels on the same grid, or polygons.",
            )
        return np.asarray(labels.read(1, window=RasterioWindow(col, row, width, height)), np.int64)


def _burn(path: Path, geobox: GeoBox, attribute: str | None) -> npt.NDArray[np.int64]:
    polygons = pyogrio.read_dataframe(path, columns=[] if attribute is None else [attribute])
    if attribute is not None and attribute not in polygons:
        raise SceneError(str(path), f"it has no field {attribute!r}.", "Name the field that holds the class code.")
    polygons = polygons[~polygons.geometry.is_empty & polygons.geometry.notna()]
    if polygons.crs is not None and geobox.crs is not None:
        polygons = polygons.to_crs(geobox.crs.to_wkt())
    values = [1] * len(polygons) if attribute is None else polygons[attribute].astype(int).tolist()
    if not values:
        return np.zeros(tuple(geobox.shape), np.int64)
    shapes = zip(polygons.geometry, values, strict=True)
    burnt = rasterize(shapes, out_shape=tuple(geobox.shape), transform=geobox.transform, dtype="int32")
    return np.asarray(burnt, np.int64)
