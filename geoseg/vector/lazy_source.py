"""DataArrays as sources of the vectoriser: read by window, so that dask computes only what a window needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from geoseg.core.columns import OWN_NAMES, distinct_names, plain_name
from geoseg.core.grid import grid_difference
from geoseg.core.types.arrays import AnyArray
from geoseg.core.window import Window
from geoseg.errors import UsageError

if TYPE_CHECKING:
    import xarray as xr
    from odc.geo.geobox import GeoBox

U8 = npt.NDArray[np.uint8]

NODATA = 255


def geobox_of(array: xr.DataArray, name: str = "codes") -> GeoBox:
    """Read the grid of a (y, x) array.

    Raises:
        UsageError: it has none, or is not two-dimensional; the message calls it ``name``.
    """
    import odc.geo.xr  # noqa: F401, PLC0415 - registers the accessor

    if array.ndim != 2:
        raise UsageError(f"{name} are {array.dims}; give one array (y, x), e.g. {name}.isel(band=0)")
    geobox = array.odc.geobox
    if geobox is None or tuple(geobox.shape) != array.shape:
        raise UsageError(
            f"{name} have no regular grid; give y and x coordinates, and a CRS with {name}.rio.write_crs(...)"
        )
    return geobox


def _nodata_of(array: xr.DataArray) -> Any:
    return array.attrs.get("_FillValue", array.attrs.get("nodata", array.encoding.get("_FillValue")))


class LazyCodes:
    """Class codes (y, x), and their confidence or None: whole percent, or shares from 0 to 1 in floating point.

    Raises:
        UsageError: the two are not on one grid.
    """

    def __init__(self, codes: xr.DataArray, confidence: xr.DataArray | None, nodata: int | None) -> None:
        if confidence is not None and confidence.shape != codes.shape:
            raise UsageError(f"confidence is {confidence.shape}, codes are {codes.shape}; both must be on one grid")
        if confidence is not None and "x" in confidence.coords and "x" in codes.coords:
            difference = grid_difference(geobox_of(codes), geobox_of(confidence, "confidence"))
            if difference is not None:
                raise UsageError(f"confidence is not on the grid of the codes: {difference}")
        self.shape: tuple[int, int] = codes.shape[0], codes.shape[1]
        self._codes, self._confidence = codes, confidence
        self._nodata = {float(value) for value in (nodata, _nodata_of(codes)) if value is not None}

    def read(self, window: Window) -> tuple[U8, U8 | None]:
        """Read codes (255 = no class) and confidence in percent.

        Raises:
            UsageError: a value is no class code, or no confidence.
        """
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
        return codes, self._percent(self._confidence, window)

    @staticmethod
    def _percent(confidence: xr.DataArray, window: Window) -> U8:
        known = np.asarray(confidence[window.slices])
        whole = known.dtype.kind != "f"
        none = known == NODATA if whole else np.isnan(known)
        nodata = _nodata_of(confidence)
        if nodata is not None:
            none |= known == nodata
        top = 100 if whole else 1 + 1e-6  # a sum of float32 may be a little above
        wrong = ~none & ~((known >= 0) & (known <= top))
        if wrong.any():
            raise UsageError(
                f"confidence holds {known[wrong][0]}; whole numbers are percent, 0 to 100, others shares, 0 to 1"
            )
        percent = known if whole else np.rint(np.where(none, 0, known) * 100)
        return np.where(none, NODATA, percent).astype(np.uint8)


def _band_names(bands: xr.DataArray) -> list[str]:
    """Read names from labels of the first dimension that are words, or from ``long_name`` as rioxarray fills it."""
    labels = bands.coords[bands.dims[0]].values.tolist() if bands.dims[0] in bands.coords else []
    choices_ = bands.attrs.get("long_name", ())
    names = labels if labels and all(isinstance(label, str) for label in labels) else choices_
    names = [names] if isinstance(names, str) else list(names)
    return [str(name) for name in names] if len(names) == len(bands) else [""] * len(bands)


class LazyBands:
    """Bands (band, y, x) or (y, x) on the grid of the codes.

    Raises:
        UsageError: they lie on another grid.
    """

    def __init__(self, zonal: xr.DataArray, codes: xr.DataArray) -> None:
        bands = zonal.expand_dims("band") if zonal.ndim == 2 else zonal
        if bands.ndim != 3 or bands.shape[1:] != codes.shape:
            raise UsageError(
                f"zonal is {zonal.shape}, codes are {codes.shape}; give (band, y, x) on one grid with them"
            )
        difference = grid_difference(geobox_of(codes), geobox_of(bands[0], "zonal bands"))
        if difference is not None:
            raise UsageError(
                f"zonal is not on the grid of the codes: {difference}. "
                "Resample it: zonal.odc.reproject(codes.odc.geobox)"
            )
        self.shape: tuple[int, int] = codes.shape[0], codes.shape[1]
        choices_ = enumerate(_band_names(bands), start=1)
        choices = [(plain_name(name), f"b{number}") for number, name in choices_]
        self.names = distinct_names(choices, reserved=OWN_NAMES)
        self._bands = bands
        nodata = _nodata_of(bands)
        self._nodata = None if nodata is None else float(nodata)

    def read(self, window: Window) -> tuple[AnyArray, npt.NDArray[np.bool_]]:
        """Read values and which of them count: neither NaN nor infinite nor nodata."""
        values = np.asarray(self._bands[(slice(None), *window.slices)])
        valid = np.isfinite(values)
        return values, valid if self._nodata is None else valid & (values != self._nodata)
