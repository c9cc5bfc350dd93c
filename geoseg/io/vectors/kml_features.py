"""KML and KMZ, parsed without GDAL: no links are followed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import shapely
from pyproj import CRS

from geoseg.io.vectors.features import Features, Geometry, choose_layer

_MULTI = frozenset({"MultiGeometry", "MultiTrack"})


def read_kml(path: Path, columns: tuple[str, ...], layer: str | None = None) -> Features:
    """Read the placemarks of one folder of a KML file.

    Args:
        path: the file.
        columns: ``name``, ``description`` or names of extended data.
        layer: name of the folder; None: the only one with placemarks.

    Raises:
        ValueError: it is not KML, links to other files, or has several folders.

    Source:
        OGC KML 2.3.
    """
    content = path.read_bytes()
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise ValueError("it declares XML entities")
    try:
        root = ET.fromstring(content)  # noqa: S314 - entities are refused above
    except ET.ParseError as error:
        raise ValueError(f"it is not XML ({error})") from error
    if _tag(root) != "kml":
        raise ValueError(f"its root element is {_tag(root)}, not kml")
    if any(_tag(element) == "NetworkLink" for element in root.iter()):
        raise ValueError("it links to other files (NetworkLink), which are not read")
    folders = dict(_folders(root, path.stem))
    marks = folders[choose_layer(list(folders), layer)]
    fields: dict[str, None] = {}
    geometry: Geometry = np.empty(len(marks), object)
    rows = []
    for number, mark in enumerate(marks):
        geometry[number] = _geometry(mark)
        rows.append(_values(mark))
        fields.update(dict.fromkeys(rows[-1]))
    kept = {name: [row.get(name) for row in rows] for name in columns if name in fields}
    return Features(geometry=geometry, columns=kept, fields=tuple(fields), crs=CRS.from_epsg(4326))


def _tag(element: ET.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _child(element: ET.Element, tag: str) -> ET.Element | None:
    return next((child for child in element if _tag(child) == tag), None)


def _text(element: ET.Element | None) -> str | None:
    return None if element is None or element.text is None else element.text.strip()


def _folders(root: ET.Element, stem: str) -> Iterator[tuple[str, list[ET.Element]]]:
    """Find the elements that contain placemarks directly; equal names are numbered."""
    taken: set[str] = set()
    for element in root.iter():
        marks = [child for child in element if _tag(child) == "Placemark"]
        if marks:
            name = _text(_child(element, "name")) or stem
            unique = name if name not in taken else f"{name} {len(taken) + 1}"
            taken.add(unique)
            yield unique, marks


def _values(mark: ET.Element) -> dict[str, str | None]:
    values = {_tag(child): _text(child) for child in mark if _tag(child) in {"name", "description"}}
    for element in mark.iter():
        name = element.get("name")
        if name and _tag(element) == "SimpleData":
            values[name] = _text(element)
        elif name and _tag(element) == "Data":
            values[name] = _text(_child(element, "value"))
    return values


def _geometry(element: ET.Element) -> object:
    parts = [part for child in element for part in _shapes(child)]
    return None if not parts else parts[0] if len(parts) == 1 else _joined(parts)


def _joined(parts: list[Any]) -> Any:
    if all(part.geom_type == "Polygon" for part in parts):
        return shapely.MultiPolygon(parts)
    return shapely.GeometryCollection(parts)


def _shapes(element: ET.Element) -> Iterator[Any]:
    tag = _tag(element)
    if tag in _MULTI:
        for child in element:
            yield from _shapes(child)
    elif tag == "Polygon":
        rings = [_ring(element, "outerBoundaryIs"), *_rings(element, "innerBoundaryIs")]
        if rings[0] is not None:
            yield shapely.Polygon(rings[0], rings[1:])
    elif tag in {"LineString", "LinearRing"}:
        points = _points(element)
        if len(points) > 1:
            yield shapely.LineString(points)
    elif tag == "Point":
        yield from (shapely.Point(point) for point in _points(element)[:1])


def _ring(polygon: ET.Element, side: str) -> Any:
    return next(iter(_rings(polygon, side)), None)


def _rings(polygon: ET.Element, side: str) -> list[Any]:
    boundaries = [child for child in polygon if _tag(child) == side]
    rings = [_points(ring) for side in boundaries for ring in side if _tag(ring) == "LinearRing"]
    return [ring for ring in rings if len(ring) > 2]


def _points(element: ET.Element) -> list[tuple[float, float]]:
    points = []
    for triple in (_text(_child(element, "coordinates")) or "").split():
        lon, lat, *_ = (*triple.split(","), "")
        points.append((float(lon), float(lat)))
    return points
