"""Write small GeoTIFFs that come out the same every time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from rasterio.io import MemoryFile

VAIHINGEN = ("EPSG:32632", 497_120.16, 5_419_980.0)
"""CRS, easting and northing of a top-left corner near Vaihingen an der Enz."""
POTSDAM = ("EPSG:32633", 366_676.8, 5_807_612.4)
"""CRS, easting and northing of a top-left corner in Potsdam."""


def grid_at(place: tuple[str, float, float], gsd_m: float, row: int = 0, col: int = 0) -> dict[str, Any]:
    """Give the CRS and transform of a window that starts ``row``, ``col`` pixels from a place."""
    crs, x, y = place
    return {"crs": crs, "transform": Affine(gsd_m, 0, x + col * gsd_m, 0, -gsd_m, y - row * gsd_m)}


def write_tiff(path: Path, values: np.ndarray[Any, Any], **profile: Any) -> None:
    """Write ``values`` (band, y, x) as a GeoTIFF, deflated unless the profile says otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    predictor = 3 if values.dtype.kind == "f" else 2
    options: dict[str, Any] = {
        "driver": "GTiff",
        "compress": "deflate",
        "zlevel": 9,
        "predictor": predictor,
        "dtype": values.dtype,
    }
    options |= {"count": values.shape[0], "height": values.shape[1], "width": values.shape[2], **profile}
    if options["compress"] != "deflate":
        options = {key: value for key, value in options.items() if key not in {"zlevel", "predictor"}}
    with rasterio.open(path, "w", **options) as target:
        target.write(values)


def write_cog(
    path: Path,
    values: np.ndarray[Any, Any],
    grid: dict[str, Any],
    colours: dict[int, tuple[int, int, int]] | None = None,
    **options: Any,
) -> None:
    """Write ``values`` (band, y, x) as a cloud-optimised GeoTIFF, with a colour table if there are ``colours``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    size = {"count": values.shape[0], "height": values.shape[1], "width": values.shape[2], "dtype": values.dtype}
    nodata = {} if colours is None else {"nodata": 255}
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", photometric="RGB" if values.shape[0] == 3 else "MINISBLACK", **size, **grid, **nodata
        ) as source:
            source.write(values)
            if colours is not None:
                source.write_colormap(1, colours)
        with memory.open() as source:
            rasterio.shutil.copy(source, path, driver="COG", **options)
