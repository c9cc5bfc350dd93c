"""Names of vector files: their suffixes, and ``FILE:LAYER`` for one layer of several."""

from __future__ import annotations

from pathlib import Path

from geoseg.io.files.drivers import is_remote

VECTOR_SUFFIXES = frozenset(
    {
        ".gpkg",
        ".geojson",
        ".json",
        ".geojsonl",
        ".geojsons",
        ".geojsonseq",
        ".ndjson",
        ".shp",
        ".shz",
        ".zip",
        ".fgb",
        ".parquet",
        ".geoparquet",
        ".kml",
        ".kmz",
        ".gdb",
    }
)
"""Suffixes by which an argument counts as polygons where a raster is possible too; the content decides the format."""


def is_vector(name: str | Path) -> bool:
    """Return True if a file, or a ``FILE:LAYER``, has the suffix of a vector file."""
    return Path(split_layer(name)[0]).suffix.lower() in VECTOR_SUFFIXES


def is_folder(name: str | Path) -> bool:
    """Return True if a name is a folder of files, other than a file geodatabase."""
    return Path(name).is_dir() and not is_vector(name)


def split_layer(name: str | Path) -> tuple[str, str | None]:
    """Split ``FILE:LAYER``; a colon in the name of an existing file or in an address is not a separator.

    Examples:
        >>> split_layer("town.gpkg:roofs"), split_layer("town.gpkg")
        (('town.gpkg', 'roofs'), ('town.gpkg', None))
    """
    text = str(name)
    if is_remote(text):
        start = text.find("://") + 3
    elif Path(text).exists():
        return text, None
    else:
        start = 0
    colon = text.find(":", start)
    while colon >= 0:
        file, layer = text[:colon], text[colon + 1 :]
        if layer and Path(file).suffix.lower() in VECTOR_SUFFIXES:
            return file, layer
        colon = text.find(":", colon + 1)
    return text, None
