"""``geoseg.vectorise``: a DataArray of class codes becomes a GeoDataFrame."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from geoseg.core.paths import path_text
from geoseg.core.segments import Segments
from geoseg.io.raster.scene import open_scene
from geoseg.vector.lazy_source import NODATA, LazyBands, LazyCodes, geobox_of
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import vectorise_codes
from geoseg.vector.zonal import band_columns

if TYPE_CHECKING:
    import geopandas
    import xarray as xr

    from geoseg.core.legend import Legend


def vectorise(
    codes: xr.DataArray | str | Path,
    legend: Legend | None = None,
    *,
    confidence: xr.DataArray | None = None,
    zonal: xr.DataArray | None = None,
    simplify_m: float = 0.0,
    min_area_m2: float = 0.0,
    spec: VectorSpec | None = None,
) -> geopandas.GeoDataFrame:
    """Turn class codes into polygons that tile the valid area without gap or overlap.

    Args:
        codes: (y, x) whole numbers 0-254 with a CRS and coordinates, in memory or lazy; the array's nodata, the
            legend's nodata, NaN and 255 mean no class. Or the path of a class raster.
        legend: names of the codes; without one a class is called by its code.
        confidence: (y, x) on the same grid: probabilities in [0, 1], or uint8 percent with 255 for none.
        zonal: (band, y, x) or (y, x) on the same grid: bands whose statistics each polygon gets. NaN and the array's
            nodata do not count.
        simplify_m: tolerance on the ground, metres; 0 gives polygons that follow every pixel.
        min_area_m2: regions smaller than this go to a neighbour.
        spec: all options at once, in place of the two above.

    Returns:
        One row per polygon, in the order of their last pixels: class_code, class_name, area_m2 (true ground area),
        perimeter_m, confidence (mean, 0-1), confidence_min, pixels, geometry; for each zonal band its mean, min, max
        and std, and the count of pixels that have a value, as ``b1_mean`` or by the band's name.

    Raises:
        UsageError: the array has no grid, is not two-dimensional, or holds other values; the bands lie on another grid.

    Example:
        >>> frame = geoseg.vectorise(codes, legend, simplify_m=0.5)  # doctest: +SKIP
    """
    import geopandas  # noqa: PLC0415 - a second of import time that streaming to a file does not need

    codes = _as_array(codes)
    geobox = geobox_of(codes)
    options = spec or VectorSpec(simplify_m=simplify_m, min_area_m2=min_area_m2)
    source = LazyCodes(codes, confidence, None if legend is None else legend.nodata)
    bands = None if zonal is None else LazyBands(zonal, codes)
    batches = list(vectorise_codes(source, geobox, nodata=NODATA, spec=options, bands=bands))
    names = {} if legend is None else dict(zip(legend.codes, legend.names, strict=True))
    plain = [name for name in Segments.__dataclass_fields__ if name not in {"geometry", "extra"}]
    columns = {name: _column(batches, name) for name in plain}
    extra = np.zeros(0, band_columns(() if bands is None else bands.names))
    extra = np.concatenate([extra, *(batch.extra for batch in batches)])
    columns |= {name: extra[name] for name in extra.dtype.names or ()}
    class_names = np.array([names.get(int(code), str(code)) for code in columns["class_code"]], dtype=object)
    return geopandas.GeoDataFrame(
        {"class_code": columns.pop("class_code"), "class_name": class_names, **columns},
        geometry=np.concatenate([batch.geometry for batch in batches]) if batches else [],
        crs=None if geobox.crs is None else geobox.crs.to_wkt(),
    )


def _as_array(codes: object) -> xr.DataArray:
    import xarray as xr  # noqa: PLC0415 - as geopandas above

    if isinstance(codes, xr.DataArray):
        return codes
    array = "an xarray.DataArray (y, x) with a CRS and coordinates, or the path of a class raster"
    path = path_text(codes, function="vectorise", meant=array, instead="Georeference an array with odc.geo.xr.wrap_xr.")
    with open_scene(path, palette_codes=True) as scene:
        pixels: xr.DataArray = scene.to_xarray().isel(band=0).load()
    return pixels


def _column(batches: list[Segments], name: str) -> npt.NDArray[Any]:
    kinds = {"class_code": np.uint8, "pixels": np.int64, "confidence": np.float32, "confidence_min": np.float32}
    empty = np.empty(0, kinds.get(name, np.float64))
    return np.concatenate([empty, *(getattr(batch, name) for batch in batches)])
