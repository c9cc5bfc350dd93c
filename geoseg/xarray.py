"""Accessor of xarray: ``import geoseg.xarray`` gives each DataArray ``da.geoseg``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import xarray as xr

import geoseg

if TYPE_CHECKING:
    from geoseg.core.spec import PredictSpec
    from geoseg.models.model import Model


@xr.register_dataarray_accessor("geoseg")  # type: ignore[no-untyped-call]
class GeosegAccessor:
    """Methods of geoseg on an array.

    Args:
        pixels: (band, y, x) with a CRS, as rioxarray opens it.

    Examples:
        >>> import geoseg.xarray, rioxarray  # doctest: +SKIP
        >>> pixels = rioxarray.open_rasterio("scene.tif", chunks=2048)  # doctest: +SKIP
        >>> pixels.geoseg.segment("buildings-unet").codes  # doctest: +SKIP
    """

    def __init__(self, pixels: xr.DataArray) -> None:
        self._pixels = pixels

    def segment(self, model: Model | str | Path, *, spec: PredictSpec | None = None) -> xr.Dataset:
        """Segment the array lazily; see ``geoseg.segment``.

        Args:
            model: a loaded model, or its name or path.
            spec: options.

        Returns:
            Dataset of ``codes`` and ``confidence``, both (y, x).
        """
        return geoseg.segment(self._pixels, model, spec=spec)
