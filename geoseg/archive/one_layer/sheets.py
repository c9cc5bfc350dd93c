"""Sheets: the finished scenes of an archive as pieces of one map, from their STAC items."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import shapely
from affine import Affine
from pyproj import CRS
from pyproj.exceptions import CRSError

from geoseg.archive.record import SceneRecord
from geoseg.io.publish.bundle import Bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A finished scene as a piece of the map.

    Attributes:
        name: its name in the archive.
        segments: GeoPackage of its polygons.
        transform: from pixels to coordinates.
        shape: (rows, columns) of its grid.
        crs_wkt: its CRS.
    """

    name: str
    segments: Path
    transform: Affine
    shape: tuple[int, int]
    crs_wkt: str

    @property
    def footprint(self) -> shapely.Polygon:
        """Outline of the grid, in its CRS."""
        rows, cols = self.shape
        corners = [self.transform * corner for corner in ((0, 0), (cols, 0), (cols, rows), (0, rows))]
        return shapely.Polygon(corners)

    @property
    def pixel(self) -> float:
        """Side of a pixel, in units of the CRS."""
        return float(abs(self.transform.determinant) ** 0.5)

    def off_grid_px(self, other: Sheet) -> float:
        """Return how far another sheet's first corner lies from a corner of a pixel of this one's grid, pixels."""
        col, row = ~self.transform * (other.transform.c, other.transform.f)
        return float(max(abs(col - round(col)), abs(row - round(row))))


def sheets_of(out: Path, records: Iterable[SceneRecord]) -> Iterator[Sheet]:
    """Yield the finished scenes that have polygons on a grid of their own.

    Args:
        out: the archive's folder.
        records: records of its scenes.
    """
    for record in records:
        layers = PurePosixPath(record.layers)
        if record.state != "done" or not record.layers or layers.is_absolute() or ".." in layers.parts:
            continue
        bundle = Bundle(directory=out / layers, stem=layers.name)
        if not bundle.segments.is_file():
            continue
        try:
            facts = json.loads(bundle.item.read_bytes())["properties"]
            rows, cols = facts["proj:shape"]
            transform = Affine(*map(float, facts["proj:transform"][:6]))
            wkt = CRS.from_user_input(facts.get("proj:code") or facts["proj:wkt2"]).to_wkt()
        except (OSError, ValueError, KeyError, TypeError, CRSError, RecursionError):
            continue
        shape = (int(rows), int(cols))
        yield Sheet(name=record.name, segments=bundle.segments, transform=transform, shape=shape, crs_wkt=wkt)
