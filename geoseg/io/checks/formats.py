"""Checks of all formats that geoseg writes, by the file's suffix."""

from __future__ import annotations

import importlib
import json
import sqlite3
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

_CHECKS = {
    ".tif": "geoseg.io.checks.raster:check_cog",
    ".png": "geoseg.io.checks.raster:check_picture",
    ".gpkg": "geoseg.io.checks.geopackage:check_geopackage",
    ".fgb": "geoseg.io.checks.flatgeobuf:check_flatgeobuf",
    ".parquet": "geoseg.io.checks.geoparquet:check_geoparquet",
    ".geojson": "geoseg.io.checks.geojson:check_geojson",
    ".geojsonl": "geoseg.io.checks.geojson:check_geojson_lines",
    ".pmtiles": "geoseg.io.checks.pmtiles:check_pmtiles",
    ".qgz": "geoseg.io.checks.documents:check_project",
    ".stac.json": "geoseg.io.checks.documents:check_item",
    ".json": "geoseg.io.checks.documents:check_json",
    ".qml": "geoseg.io.checks.documents:check_xml",
    ".xml": "geoseg.io.checks.documents:check_xml",
}
CHECKED_SUFFIXES = tuple(_CHECKS)
"""Checks by suffix; the first suffix that a name ends with is used."""
_BROKEN = (
    CPLE_BaseError,
    RasterioError,
    UnicodeDecodeError,
    json.JSONDecodeError,
    sqlite3.Error,
    zipfile.BadZipFile,
    zlib.error,
)


def check_file(path: Path) -> None:
    """Check a whole file by the format of its suffix; a file of an unknown suffix is only read.

    Raises:
        OSError: it cannot be read, or is not a complete file of its format.
    """
    try:
        _check_of(path)(path)
    except _BROKEN as error:
        raise OSError(" ".join(str(error.__cause__ or error).split()) or type(error).__name__) from error


def _check_of(path: Path) -> Callable[[Path], None]:
    name = path.name.lower()
    target = next((check for suffix, check in _CHECKS.items() if name.endswith(suffix)), None)
    if target is None:
        return _read
    module, _, function = target.partition(":")
    check: Callable[[Path], None] = getattr(importlib.import_module(module), function)
    return check


def _read(path: Path) -> None:
    with path.open("rb") as file:
        while file.read(2**20):
            pass
