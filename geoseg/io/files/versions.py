"""Versions of native libraries."""

from __future__ import annotations

import rasterio


def gdal_version() -> str:
    """Return the version of the GDAL inside rasterio."""
    return str(rasterio.__gdal_version__)
