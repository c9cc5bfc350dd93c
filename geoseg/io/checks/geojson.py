"""Check of GeoJSON: every feature parses and has a closed geometry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import shapely


def check_geojson(path: Path) -> None:
    """Check a feature collection; one feature per line is read line by line, other layouts as a whole.

    Raises:
        OSError: it is none, or a geometry is broken.
        ValueError: it is no JSON.
    """
    for feature in _features(path):
        _check(feature)


def check_geojson_lines(path: Path) -> None:
    """Check a file of one feature a line.

    Raises:
        OSError: a line is no feature, or a geometry is broken.
        ValueError: a line is no JSON.
    """
    with path.open(encoding="utf-8") as file:
        for line in file:
            if not line.endswith("\n"):
                raise OSError("the last line is not complete")
            _check(json.loads(line))


def _features(path: Path) -> Iterator[Any]:
    with path.open(encoding="utf-8") as file:
        head = file.readline()
        if not head.endswith('"features": [\n'):
            yield from _collection(head + file.read())
            return
        held = ""
        for line in file:
            if line.startswith("]"):
                yield from _collection(f"{head}{line}{file.read()}")
                return
            held = line.rstrip("\n").removesuffix(",")
            yield json.loads(held)
    raise OSError("the collection has no end")


def _collection(text: str) -> list[object]:
    value = json.loads(text)
    if not isinstance(value, dict) or value.get("type") != "FeatureCollection":
        raise OSError("it is no feature collection")
    return list(value["features"])


def _check(feature: object) -> None:
    if not isinstance(feature, dict) or feature.get("type") != "Feature" or "properties" not in feature:
        raise OSError("an element of it is not a feature")
    geometry = feature.get("geometry")
    if geometry is None:
        return
    try:
        shapely.from_geojson(json.dumps(geometry))
    except shapely.GEOSException as error:
        raise OSError(f"a geometry is broken: {error}") from error
