"""An area of interest: polygons of a vector file, as a mask on a scene's grid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import geopandas
import numpy as np
import numpy.typing as npt
import pyogrio.errors
import shapely
from odc.geo.geobox import GeoBox
from rasterio.features import geometry_mask

from geoseg.core.window import Window
from geoseg.errors import UsageError
from geoseg.io.georeference import crop
from geoseg.io.polygon_layer import readable

Mask = Callable[[Window], "npt.NDArray[np.bool_]"]


def read_area(path: str | Path, geobox: GeoBox) -> Mask:
    """Read polygons and return the function that draws them on a window of a grid.

    Args:
        path: any vector file GDAL reads, in any CRS.
        geobox: the scene's grid.

    Returns:
        window -> (y, x) bool, True where the pixel's centre lies inside a polygon.

    Raises:
        UsageError: the file cannot be read, holds no polygon, has no CRS, or lies outside the scene.
    """
    try:
        with readable(Path(path)) as source:
            frame = geopandas.read_file(source, columns=[])
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise UsageError(
            f"--aoi {path}: cannot be read ({error}). Pass a GeoPackage or GeoJSON of polygons."
        ) from error
    if not isinstance(frame, geopandas.GeoDataFrame):
        raise UsageError(f"--aoi {path}: holds no geometry. Pass a GeoPackage or GeoJSON of polygons.")
    frame = frame[frame.geometry.notna() & frame.geom_type.isin(["Polygon", "MultiPolygon"])]
    if frame.empty:
        raise UsageError(f"--aoi {path}: holds no polygon.")
    if frame.crs is None:
        raise UsageError(f"--aoi {path}: has no CRS. Save it with one.")
    polygons = np.asarray(frame.to_crs(geobox.crs.to_wkt()).geometry)
    tree = shapely.STRtree(polygons)

    def draw(window: Window) -> npt.NDArray[np.bool_]:
        part = crop(geobox, window)
        near = polygons[tree.query(part.extent.geom, predicate="intersects")]
        if not len(near):
            return np.zeros(window.shape, bool)
        drawn: npt.NDArray[np.bool_] = geometry_mask(near, window.shape, part.transform, invert=True)
        return drawn

    if not len(tree.query(geobox.extent.geom, predicate="intersects")):
        raise UsageError(f"--aoi {path}: lies outside the scene. Check the file and its CRS.")
    return draw
