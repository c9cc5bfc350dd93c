"""``geoseg.vectorise``: a DataArray of class codes becomes a GeoDataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from geoseg.core.segments import Segments
from geoseg.core.window import Window
from geoseg.errors import UsageError
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import vectorise_codes

if TYPE_CHECKING:
    import geopandas
    import xarray as xr
    from odc.geo.geobox import GeoBox

    from geoseg.core.legend import Legend

U8 = npt.NDArray[np.uint8]

NODATA = 255


def vectorise(
    codes: xr.DataArray,
    legend: Legend | None = None,
    *,
    confidence: xr.DataArray | None = None,
    simplify_m: float = 0.0,
    min_area_m2: float = 0.0,
    spec: VectorSpec | None = None,
) -> geopandas.GeoDataFrame:
    """Turn class codes into polygons that tile the valid area without gap or overlap.

    Args:
        codes: (y, x) whole numbers 0-254 with a CRS and coordinates, in memory or lazy; the array's nodata, the
            legend's nodata, NaN and 255 mean no class.
        legend: names of the codes; without one a class is called by its code.
        confidence: (y, x) on the same grid: probabilities in [0, 1], or uint8 percent with 255 for none.
        simplify_m: tolerance on the ground, metres; 0 gives polygons that follow every pixel.
        min_area_m2: regions smaller than this go to a neighbour.
        spec: all options at once, in place of the two above.

    Returns:
        One row per polygon, in the order of their last pixels: class_code, class_name, area_m2 (true ground area),
        perimeter_m, confidence (mean, 0-1), confidence_min, pixels, geometry.

    Raises:
        UsageError: the array has no grid, is not two-dimensional, or holds other values.

    Example:
        >>> frame = geoseg.vectorise(codes, legend, simplify_m=0.5)  # doctest: +SKIP
    """
    import geopandas  # noqa: PLC0415 - a second of import time that streaming to a file does not need

    geobox = _geobox(codes)
    options = spec or VectorSpec(simplify_m=simplify_m, min_area_m2=min_area_m2)
    source = _LazySource(codes, confidence, None if legend is None else legend.nodata)
    batches = list(vectorise_codes(source, geobox, nodata=NODATA, spec=options))
    names = {} if legend is None else dict(zip(legend.codes, legend.names, strict=True))
    columns = {name: _column(batches, name) for name in Segments.__dataclass_fields__ if name != "geometry"}
    class_names = np.array([names.get(int(code), str(code)) for code in columns["class_code"]], dtype=object)
    return geopandas.GeoDataFrame(
        {"class_code": columns.pop("class_code"), "class_name": class_names, **columns},
        geometry=np.concatenate([batch.geometry for batch in batches]) if batches else [],
        crs=None if geobox.crs is None else geobox.crs.to_wkt(),
    )


def _column(batches: list[Segments], name: str) -> npt.NDArray[Any]:
    kinds = {"class_code": np.uint8, "pixels": np.int64, "confidence": np.float32, "confidence_min": np.float32}
    empty = np.empty(0, kinds.get(name, np.float64))
    return np.concatenate([empty, *(getattr(batch, name) for batch in batches)])


def _geobox(codes: xr.DataArray) -> GeoBox:
    import odc.geo.xr  # noqa: F401, PLC0415 - registers the accessor

    if codes.ndim != 2:
        raise UsageError(f"codes are {codes.dims}; give one array (y, x), e.g. codes.isel(band=0)")
    geobox = codes.odc.geobox
    if geobox is None or tuple(geobox.shape) != codes.shape:
        raise UsageError(
            "codes have no regular grid; give y and x coordinates, and a CRS with codes.rio.write_crs(...)"
        )
    return geobox


class _LazySource:
    """Reads a DataArray by window; dask computes only what a window needs."""

    def __init__(self, codes: xr.DataArray, confidence: xr.DataArray | None, nodata: int | None) -> None:
        if confidence is not None and confidence.shape != codes.shape:
            raise UsageError(f"confidence is {confidence.shape}, codes are {codes.shape}; both must be on one grid")
        self.shape: tuple[int, int] = codes.shape[0], codes.shape[1]
        self._codes, self._confidence = codes, confidence
        own = codes.attrs.get("_FillValue", codes.attrs.get("nodata", codes.encoding.get("_FillValue")))
        self._nodata = {float(value) for value in (nodata, own) if value is not None}

    def read(self, window: Window) -> tuple[U8, U8 | None]:
        values = np.asarray(self._codes[window.slices])
        none = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, bool)
        for nodata in self._nodata:
            none |= values == nodata
        codes = np.where(none, NODATA, values).astype(np.uint8)
        wrong = ~none & (codes != values)
        if wrong.any():
            raise UsageError(f"codes hold {values[wrong][0]}; class codes are whole numbers from 0 to 254")
        if self._confidence is None:
            return codes, None
        known = np.asarray(self._confidence[window.slices])
        if known.dtype.kind != "f":
            return codes, known.astype(np.uint8)
        percent = np.rint(np.clip(known, 0, 1) * 100)
        return codes, np.where(np.isnan(percent), 255, percent).astype(np.uint8)
