"""Edits in a GeoJSON file, and edits as JSON."""

from __future__ import annotations

import json
import operator
import re
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from geoseg.core.types.json_value import UntypedDict, UntypedMapping
from geoseg.edits.finished_map import FinishedMap
from geoseg.errors import SceneError, UsageError
from geoseg.io.edits.edit import Edit, LoggedEdit
from geoseg.io.files.input_file import read_input

_FIELDS = frozenset({"kind", "class", "ids", "layer", "width_px", "author"})
_WGS84 = "OGC:CRS84"
_ODD = (LookupError, ValueError, TypeError, AttributeError, OverflowError, RecursionError, ShapelyError)
"""Errors of Python and shapely over values that are none of an edit."""


def read_edits(path: Path, finished: FinishedMap) -> tuple[Edit, ...]:
    """Read edits from a GeoJSON file: one feature for each, in order.

    Coordinates are longitude and latitude, unless the collection has a member ``crs`` as GDAL writes it, or the scene
    has no CRS.

    Args:
        path: the file.
        finished: the map that is corrected.

    Raises:
        SceneError: the file cannot be read, is no GeoJSON or holds no edits, or a feature is no edit.
    """
    try:
        document = json.loads(read_input(path))
        features = document["features"]
        named = document.get("crs")
        crs = _WGS84 if named is None else str(named["properties"]["name"])
        found = [(feature.get("geometry"), _mapping(feature["properties"])) for feature in features]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        cause = getattr(error, "strerror", None) or f"it is no GeoJSON collection of features: {error!r}"
        raise SceneError(str(path), f"{cause}.", "Give a GeoJSON file of edits.") from error
    if not found:
        raise SceneError(str(path), "it holds no edits.", "Give one feature for each edit.")
    edits = []
    for number, (geometry, properties) in enumerate(found, start=1):
        try:
            edits.append(edit_of(geometry, properties, finished, crs))
        except UsageError as error:
            raise SceneError(str(path), f"feature {number}: {error}") from error
    return tuple(edits)


def edit_of(
    geometry: UntypedMapping | None, properties: UntypedMapping, finished: FinishedMap, crs: str | None = None
) -> Edit:
    """Make an edit from the geometry and the properties of a GeoJSON feature.

    Args:
        geometry: GeoJSON geometry, or None.
        properties: ``kind``; ``class``, by name or code; ``ids``; ``layer``; ``width_px``; ``author``.
        finished: the map that is corrected.
        crs: CRS of the geometry; None: that of the scene.

    Raises:
        UsageError: it is no edit.
    """
    unknown = sorted(set(properties) - _FIELDS)
    if unknown:
        raise UsageError(f"an edit has no {unknown[0]!r}; it has {', '.join(sorted(_FIELDS))}.")
    ids = properties.get("ids")
    if isinstance(ids, str):  # GDAL's formats have no lists
        ids = [part for part in re.split(r"[,\s]+", ids.strip("[]() ")) if part]
    listed = () if ids is None else ids if isinstance(ids, (list, tuple)) else (ids,)
    if not isinstance(properties.get("kind"), str):
        raise UsageError("an edit has no 'kind'.")
    try:
        return Edit(
            kind=properties["kind"],
            geometry=_geometry(geometry, finished, crs),
            class_code=class_code(properties.get("class"), finished),
            ids=tuple(_whole(ident) for ident in listed),
            layer=properties.get("layer") or "objects",
            width_px=None if properties.get("width_px") is None else float(properties["width_px"]),
            author=str(properties.get("author") or ""),
        )
    except UsageError:
        raise
    except _ODD as error:
        raise UsageError(f"{properties['kind']}: {error}.") from error


def read_geometry(geometry: UntypedMapping) -> BaseGeometry:
    """Read a GeoJSON geometry, without heights.

    Raises:
        UsageError: it is none.
    """
    try:
        found: BaseGeometry = shapely.force_2d(shape(dict(geometry)))
    except _ODD as error:
        raise UsageError(f"the geometry is no GeoJSON ({error}).") from error
    return found


def class_code(named: object, finished: FinishedMap) -> int | None:
    """Return the code of a class given by name or code, or ``nodata``; None for None.

    Raises:
        UsageError: there is no such class.
    """
    if named is None or named == "":
        return None
    legend = finished.legend
    by_name = {"nodata": legend.nodata} | {str(code): code for code in (*legend.codes, legend.nodata)}
    by_name |= dict(zip(legend.names, legend.codes, strict=True))
    code = by_name.get(str(named))
    if code is None:
        listed = ", ".join(f"{entry.name} ({entry.code})" for entry in legend.classes)
        raise UsageError(f"there is no class {named!r}. There are {listed}, and nodata.")
    return code


def facts_of_edit(entry: LoggedEdit) -> UntypedDict:
    """Describe an edit of the log as JSON values."""
    edit = entry.edit
    return {
        "id": edit.id,
        "kind": edit.kind,
        "class": edit.class_code,
        "ids": list(edit.ids),
        "layer": edit.layer,
        "author": edit.author,
        "time": edit.time.isoformat(timespec="seconds"),
        "state": entry.state,
        "saved": entry.saved,
    }


def _mapping(properties: object) -> UntypedDict:
    if not isinstance(properties, dict | None):
        raise TypeError(f"properties are {type(properties).__name__}")
    return properties or {}


def _whole(ident: Any) -> int:
    if isinstance(ident, str) and re.fullmatch(r"[0-9]{1,19}", ident):
        return int(ident)
    if isinstance(ident, bool) or (isinstance(ident, float) and not ident.is_integer()):
        raise ValueError(f"{ident} is no id")
    return operator.index(int(ident) if isinstance(ident, float) else ident)


def _geometry(geometry: UntypedMapping | None, finished: FinishedMap, crs: str | None) -> BaseGeometry | None:
    if geometry is None:
        return None
    found = read_geometry(geometry)
    target = finished.grid.crs_wkt
    if crs is None or target is None:
        return found
    try:
        to_scene = Transformer.from_crs(CRS.from_user_input(crs), CRS.from_wkt(target), always_xy=True)
    except (CRSError, ProjError) as error:
        raise UsageError(f"the CRS {crs} of the edits is not known.") from error

    def convert(points: Any) -> Any:
        return np.column_stack(to_scene.transform(points[:, 0], points[:, 1], errcheck=True))

    try:
        return shapely.transform(found, convert)
    except ProjError as error:
        raise UsageError(f"coordinates of the edits do not fit their CRS {crs}: {error}.") from error
