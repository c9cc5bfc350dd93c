"""Reading of polygons from vector files, for all purposes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import geopandas
import numpy as np
import pandas as pd
import pyarrow as pa
import pyproj.exceptions
import shapely
from odc.geo.geobox import GeoBox
from pyogrio.errors import CRSError, DataLayerError, DataSourceError, FeatureError, GeometryError
from pyproj import CRS

from geoseg.errors import ElsewhereError, GeosegError, SceneError
from geoseg.io.vectors.archives import unzipped
from geoseg.io.vectors.buffers import widened
from geoseg.io.vectors.content import DOWNLOAD, VectorFormat, format_of, local_vector
from geoseg.io.vectors.features import Features, Geometry, LayerChoiceError
from geoseg.io.vectors.geojson_features import read_geojson
from geoseg.io.vectors.kml_features import read_kml
from geoseg.io.vectors.names import split_layer
from geoseg.io.vectors.ogr_features import read_ogr, read_tables
from geoseg.io.vectors.polygonal import made_valid, other_kinds, parts_of, polygonal
from geoseg.io.vectors.projection import ProjectionError, crs_of, near_grid, onto_grid

_FAULTS = (
    CRSError,
    pyproj.exceptions.CRSError,
    DataLayerError,
    DataSourceError,
    FeatureError,
    GeometryError,
    OSError,
    RuntimeError,
    ValueError,
    shapely.errors.GEOSException,
    pa.ArrowException,
)

_EARTH = "Save it in a CRS of the Earth, such as EPSG:4326."

Others = Literal["refuse", "leave out"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorRequest:
    """Request for the polygons of a vector file.

    Attributes:
        name: path or ``FILE:LAYER``; with ``allow_remote`` also an address of the web.
        layer: name of the layer, if ``name`` does not include it.
        default_layer: used if no layer is named and it is among several.
        columns: required fields.
        optional: fields that are read if they exist.
        grid: the target grid; None: polygons stay in their own CRS.
        of_grid: description of the grid, for messages.
        must_meet: required overlap with the grid: a polygon; the rectangle around all polygons, for a file that serves
            several grids; or nothing.
        others: treatment of lines or points among polygons; without any polygon they are refused.
        buffer_m: metres by which lines and points are buffered to polygons; None: they are not.
        cure_of_others: advice on lines and points, for messages.
        cure_of_empty: advice on a file without polygons.
        parts: split MultiPolygons, each part becoming a feature.
        may_be_empty: True to accept a file without polygons.
        allow_remote: download the file if ``name`` is an address.
        cure_of_remote: advice on an address that is not allowed.
    """

    name: str
    layer: str | None = None
    default_layer: str | None = None
    columns: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    grid: GeoBox | None = None
    of_grid: str = "scene"
    must_meet: Literal["polygon", "bounds", "nothing"] = "polygon"
    others: Others = "refuse"
    buffer_m: float | None = None
    cure_of_others: str = "Give polygons."
    cure_of_empty: str = "Check the file and its layer."
    parts: bool = False
    may_be_empty: bool = False
    allow_remote: bool = False
    cure_of_remote: str = DOWNLOAD


def read_polygons(request: VectorRequest) -> geopandas.GeoDataFrame:
    """Read the polygons of a vector file, projected onto the target grid.

    Returns:
        Valid Polygons and MultiPolygons without z, with the requested columns; if there is a grid, in its CRS, and only
        those near it.

    Raises:
        UsageError: it is an address, and remote files are not allowed.
        SceneError: see ``read_everywhere`` and ``laid_on_grid``.
    """
    return laid_on_grid(read_everywhere(request), request)


def read_everywhere(request: VectorRequest) -> geopandas.GeoDataFrame:
    """Read all polygons of a vector file in its own CRS.

    Raises:
        UsageError: it is an address, and remote files are not allowed.
        SceneError: it cannot be read, its layer is ambiguous, a field is missing, only one of file and grid has a CRS,
            or it has no polygons.
    """
    file, layer = split_layer(request.name)
    try:
        with local_vector(file, allow_remote=request.allow_remote, cure=request.cure_of_remote) as path:
            features = _features(file, path, request, layer or request.layer)
        _check_columns(file, features, request.columns)
        _check_place(file, features.crs, request)
        return _polygons(file, features, request)
    except GeosegError:
        raise
    except LayerChoiceError as error:
        example = f"Name one: {Path(file).name}:{error.layers[0]}." if error.layers else "Check the file."
        raise SceneError(file, f"{error}.", example) from error
    except ProjectionError as error:
        raise SceneError(file, f"{error}.", _EARTH) from error
    except _FAULTS as error:
        reason = " ".join(str(error).split())
        raise SceneError(file, f"the polygons cannot be read ({reason}).", "Check the file.") from error


def laid_on_grid(frame: geopandas.GeoDataFrame, request: VectorRequest) -> geopandas.GeoDataFrame:
    """Project polygons to the CRS of the target grid; those far from it are left out.

    Args:
        frame: polygons in their own CRS.
        request: the request, with the target grid.

    Raises:
        ElsewhereError: the required overlap with the grid is missing.
        SceneError: there is no transformation from their CRS to the grid's.
    """
    grid, file = request.grid, split_layer(request.name)[0]
    if grid is None or not len(frame):
        return frame
    areas, crs = frame.geometry.to_numpy(), None if frame.crs is None else CRS(frame.crs)
    try:
        if request.must_meet == "bounds":
            ground = grid.extent.geom if crs is None else near_grid(grid, crs)
            met = shapely.intersects(ground, shapely.box(*shapely.total_bounds(areas)))
        if crs is not None:
            areas = onto_grid(areas, crs, grid)
    except ProjectionError as error:
        raise SceneError(file, f"{error}.", _EARTH) from error
    there = ~shapely.is_missing(areas)
    if request.must_meet == "polygon":
        met = shapely.intersects(grid.extent.geom, areas[there]).any()
    if request.must_meet != "nothing" and not met:
        cause = f"no polygon of it lies on the {request.of_grid}; all are outside."
        raise ElsewhereError(file, cause, "Check the file and its CRS.")
    near = pd.DataFrame(frame.drop(columns=frame.geometry.name)[there]).reset_index(drop=True)
    return geopandas.GeoDataFrame(near, geometry=areas[there], crs=crs_of(grid))


def read_tables_of(name: str, layers: tuple[str, ...]) -> list[pd.DataFrame]:
    """Read tables of a GeoPackage without their geometries.

    Args:
        name: path of the GeoPackage.
        layers: names of the tables.

    Raises:
        SceneError: it is missing, not a GeoPackage, or lacks a table.
    """
    with local_vector(name) as path:
        if format_of(name, path) is not VectorFormat.geopackage:
            raise SceneError(name, "it is no GeoPackage.", "Check the path.")
        try:
            return read_tables(path, layers)
        except _FAULTS as error:
            raise SceneError(name, f"its tables cannot be read ({error}).", "Check the file.") from error


def _features(name: str, path: Path, request: VectorRequest, layer: str | None) -> Features:
    form = format_of(name, path)
    columns = request.columns + request.optional
    if form is VectorFormat.zipped:
        with unzipped(path, layer) as (member, left):
            inner = format_of(f"{name}/{member.name}", member)
            if inner is VectorFormat.zipped:
                raise ValueError("an archive in an archive is not read")
            return _features(name, member, request, left)
    if form is VectorFormat.geojson:
        return read_geojson(path, columns)
    if form is VectorFormat.kml:
        return read_kml(path, columns, layer)
    if form is VectorFormat.geoparquet:
        return _parquet(path, columns)
    return read_ogr(path, form, columns, layer=layer, default=request.default_layer)


def _parquet(path: Path, columns: tuple[str, ...]) -> Features:
    try:
        with path.open("rb") as file:
            frame = geopandas.read_parquet(file)
    except (LookupError, TypeError, AttributeError) as error:  # pandas and geopandas trust the file's own notes
        raise ValueError(f"its metadata is damaged: {type(error).__name__}: {error}") from error
    fields = tuple(str(name) for name in frame.columns if name != frame.geometry.name)
    kept = {name: frame[name] for name in columns if name in fields}
    return Features(geometry=np.asarray(frame.geometry.to_numpy(), object), columns=kept, fields=fields, crs=frame.crs)


def _check_columns(name: str, features: Features, columns: tuple[str, ...]) -> None:
    for column in columns:
        if column not in features.columns and len(features.geometry):
            fields = ", ".join(features.fields) or "none"
            raise SceneError(name, f"it has no field {column!r}.", f"Its fields are: {fields}.")


def _polygons(name: str, features: Features, request: VectorRequest) -> geopandas.GeoDataFrame:
    geometry = features.geometry
    if request.buffer_m is not None and request.grid is not None and features.crs is not None:
        geometry = widened(geometry, features.crs, request.grid, request.buffer_m)
    areas = polygonal(geometry)
    if not np.isfinite(shapely.get_coordinates(areas)).all():
        raise SceneError(name, "it has coordinates that are no numbers.", "Repair it.")
    _check_kinds(name, geometry, areas, request)
    rows = np.flatnonzero(~shapely.is_missing(areas))
    areas = areas[rows]
    if request.parts:
        areas, index = parts_of(areas)
        rows = rows[index]
    areas = made_valid(areas)
    there = ~shapely.is_missing(areas)
    rows, areas = rows[there], areas[there]
    columns = {column: np.asarray(values, object)[rows] for column, values in features.columns.items()}
    frame = pd.DataFrame(columns, index=range(len(areas))).infer_objects()
    return geopandas.GeoDataFrame(frame, geometry=areas, crs=features.crs)


def _check_place(name: str, crs: CRS | None, request: VectorRequest) -> None:
    if request.grid is None:
        return
    where = request.of_grid
    if crs is None and request.grid.crs is not None:
        raise SceneError(name, "it has no CRS.", "Save it with one: ogr2ogr -a_srs EPSG:CODE OUT.gpkg IN.")
    if crs is not None and request.grid.crs is None:
        raise SceneError(name, f"it lies in {crs.name}, the {where} nowhere.", f"Give a {where} with a CRS.")


def _check_kinds(name: str, geometry: Geometry, areas: Geometry, request: VectorRequest) -> None:
    found = int((~shapely.is_missing(areas)).sum())
    lines, points = other_kinds(geometry, areas)
    if (lines or points) and (not found or request.others == "refuse"):
        kinds = [f"{count:,} {word}" for count, word in ((lines, "lines"), (points, "points")) if count]
        context = f" beside {found:,} polygons" if found else " and no polygon"
        raise SceneError(name, f"it holds {' and '.join(kinds)}{context}.", request.cure_of_others)
    if not found and not request.may_be_empty:
        raise SceneError(name, "it holds no polygon.", request.cure_of_empty)
