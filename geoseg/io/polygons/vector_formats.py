"""Writers of polygons in any supported format, chosen by the file's suffix."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from geoseg.core.layer import SEGMENTS, vector_suffix
from geoseg.core.segments import Segments
from geoseg.errors import UsageError
from geoseg.io.polygons.registry import VECTOR_SUFFIXES, WRITERS
from geoseg.io.polygons.vector_schema import VectorSchema
from geoseg.io.publish.style_file import write_style


class WriteSegments(Protocol):
    """Protocol of the writers of all formats; see ``geoseg.io.polygons.geopackage.write_segments``."""

    def __call__(  # noqa: D102
        self,
        path: Path,
        batches: Iterable[Segments],
        schema: VectorSchema,
    ) -> int: ...


def default_polygon_path(raster: Path, layer: str = SEGMENTS) -> Path:
    """Return the default path of a layer of polygons of a class raster."""
    return raster.with_name(raster.stem + vector_suffix(layer))


def writer_for(path: Path) -> WriteSegments:
    """Find the writer of a file before any work is done for it.

    Raises:
        UsageError: the suffix is unknown, or a library that the format needs is missing.
    """
    target = WRITERS.get(path.suffix.lower())
    if target is None:
        raise UsageError(
            f"{path}: {path.suffix or 'a name without suffix'} is not a vector format that can be written."
            f" Choose one of {', '.join(VECTOR_SUFFIXES)}."
        )
    module, _, function = target.partition(":")
    try:
        writer: WriteSegments = getattr(importlib.import_module(module), function)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in {"pmtiles", "mapbox_vector_tile"}:
            raise
        raise UsageError(
            f"{path}: PMTiles need the Python package {error.name}. Install it: pip install 'geoseg[pmtiles]'."
        ) from error
    return writer


def write_vectors(
    path: Path,
    batches: Iterable[Segments],
    schema: VectorSchema,
) -> int:
    """Write polygons in the format that the file's suffix names.

    A style file is written next to it (QML for QGIS, a MapLibre style for PMTiles); GeoPackages contain theirs.

    Args:
        path: the final file, ``.gpkg``, ``.fgb``, ``.parquet``, ``.geojson``, ``.geojsonl`` or ``.pmtiles``.
        batches: polygons, batch by batch; one batch at a time is in memory. No batches give an empty layer.
        schema: CRS, legend, name and columns of the layer.

    Returns:
        Number of polygons written.

    Raises:
        UsageError: the suffix is unknown, a library is missing, or the format needs longitude and latitude and the CRS
            cannot be transformed.
        WriteError: the disk is full or fails; nothing is left at ``path``.
        LegendError: a polygon's code is not in the legend.

    Examples:
        >>> write_vectors(Path("roofs.fgb"), batches, VectorSchema(crs_wkt=wkt, legend=legend))  # doctest: +SKIP
    """
    count = writer_for(path)(path, batches, schema)
    write_style(path, schema.legend, schema.layer, schema.extra.names or ())
    return count
