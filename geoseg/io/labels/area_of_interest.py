"""An area of interest: polygons of a vector file, as a mask on a scene's grid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely
from odc.geo.geobox import GeoBox
from rasterio.features import geometry_mask

from geoseg.core.digest import sha256_of_json
from geoseg.core.window import Window
from geoseg.io.raster.georeference import crop
from geoseg.io.vectors.names import split_layer

Mask = Callable[[Window], "npt.NDArray[np.bool_]"]


def read_area(name: str | Path, geobox: GeoBox, *, allow_remote: bool = False) -> Mask:
    """Read polygons and return a function that rasterises them onto a window of a grid.

    Args:
        name: a vector file in any CRS, or ``FILE:LAYER``.
        geobox: the scene's grid.
        allow_remote: download the file if ``name`` is a web address.

    Returns:
        window -> (y, x) bool, True where the pixel's centre lies inside a polygon.

    Raises:
        UsageError: ``name`` is an address, and remote files are not allowed.
        SceneError: the file cannot be read, holds no polygon, has no CRS, or lies outside the scene.
    """
    from geoseg.io.vectors.read import VectorRequest, read_polygons  # noqa: PLC0415 - geopandas, for areas alone

    request = VectorRequest(
        name=str(name),
        grid=geobox,
        others="leave out",
        allow_remote=allow_remote,
        cure_of_remote="Download it, or pass --allow-remote (in an archive's configuration, opening: allow_remote).",
    )
    polygons = read_polygons(request).geometry.to_numpy()
    tree = shapely.STRtree(polygons)

    def draw(window: Window) -> npt.NDArray[np.bool_]:
        part = crop(geobox, window)
        near = polygons[tree.query(part.extent.geom, predicate="intersects")]
        if not len(near):
            return np.zeros(window.shape, bool)
        drawn: npt.NDArray[np.bool_] = geometry_mask(near, window.shape, part.transform, invert=True)
        return drawn

    return draw


def area_digest(name: str) -> str:
    """Digest the content of an area's file, its layer and, for a Shapefile, its CRS; for an address, the address."""
    text, layer = split_layer(name)
    file = Path(text)
    files = [file] if file.is_file() else sorted(file.iterdir()) if file.is_dir() else []
    projection = file.with_suffix(".prj")
    if file.suffix.lower() == ".shp" and projection.is_file():
        files.append(projection)
    parts = [sha256_of_json(part.read_bytes().hex()) for part in files if part.is_file()]
    if not parts:
        return name
    if layer is not None:
        parts.append(layer)
    return parts[0] if len(parts) == 1 else sha256_of_json(parts)
