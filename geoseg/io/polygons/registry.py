"""Registry of the vector formats of segments, by the file's suffix; imports no library."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

WRITERS: Mapping[str, str] = MappingProxyType(
    {
        ".gpkg": "geoseg.io.polygons.geopackage:write_segments",
        ".fgb": "geoseg.io.polygons.flatgeobuf:write_flatgeobuf",
        ".parquet": "geoseg.io.polygons.geoparquet:write_geoparquet",
        ".geojson": "geoseg.io.polygons.geojson:write_geojson",
        ".geojsonl": "geoseg.io.polygons.geojson:write_geojson",
        ".pmtiles": "geoseg.io.polygons.pmtiles:write_pmtiles",
    }
)
"""Module and function of each format's writer, the default format first."""

VECTOR_SUFFIXES = tuple(WRITERS)
"""Suffixes of the supported formats, the default first."""
