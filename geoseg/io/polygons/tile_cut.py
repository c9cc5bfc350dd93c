"""Polygons cut into map tiles: a pyramid of integer coordinates, finest zoom first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import shapely
from shapely import MultiPolygon

from geoseg.io.polygons.ring_snapping import on_grid
from geoseg.io.vectors.curved_edges import project_edges

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Geometry = npt.NDArray[np.object_]

EXTENT = 4096
"""Units along the side of a tile."""

MAX_LATITUDE = 85.0511287798066
"""Largest latitude of the square Web Mercator map, degrees."""

_BUFFER = 64
# seen on 512 screen pixels a tile, a unit is an eighth of a pixel; away from the finest zoom half a pixel will do, and
# what is smaller than 4 pixels is left out
_COARSE_UNITS = 4
_LEAST_UNITS2 = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class TilePieces:
    """Pieces of polygons in one tile.

    Attributes:
        zoom: level of the pyramid.
        column: column of the tile, from 180 degrees west.
        row: row of the tile, from the north.
        owner: (piece,) index of its polygon, ascending.
        geometry: the pieces in units of the tile, y downward, exterior rings clockwise as seen.
    """

    zoom: int
    column: int
    row: int
    owner: I64
    geometry: Geometry


def cut_into_tiles(lonlat: Geometry, max_zoom: int) -> Iterator[TilePieces]:
    """Cut polygons into tiles of every zoom at which any of them is visible.

    Shared edges stay shared: common vertices are snapped to the same places. At each zoom below the finest, polygons
    smaller than four screen pixels are left out.

    Args:
        lonlat: Polygons or MultiPolygons in longitude and latitude.
        max_zoom: the finest zoom.

    Yields:
        Tiles, finest zoom first.

    Source:
        Mapbox Vector Tile 2.1; https://en.wikipedia.org/wiki/Web_Mercator_projection.
    """
    owner, geometry = _to_units(lonlat, max_zoom)
    for zoom in range(max_zoom, -1, -1):
        # whether rings cross after that is looked at in each tile's pieces, which are small
        left, geometry = on_grid(geometry, 1 if zoom == max_zoom else _COARSE_UNITS)
        owner = owner[left]
        if not len(owner):
            return
        yield from _split(_Part(owner, geometry, np.zeros(len(owner), bool)), _Window.whole(zoom))
        large = shapely.area(geometry) >= 4 * _LEAST_UNITS2
        owner, geometry = owner[large], shapely.transform(geometry[large], lambda points: points / 2)


def cut_tile(lonlat: Geometry, *, zoom: int, column: int, row: int, least_units2: float = 0) -> TilePieces | None:
    """Cut polygons to one tile, as ``cut_into_tiles`` does at its finest zoom.

    Args:
        lonlat: Polygons or MultiPolygons in longitude and latitude.
        zoom: level of the pyramid.
        column: column of the tile.
        row: row of the tile.
        least_units2: area below which a polygon is left out, square units of the tile.

    Returns:
        The pieces; None if no polygon reaches the tile.
    """
    owner, geometry = _to_units(lonlat, zoom)
    large = shapely.area(geometry) >= least_units2
    owner, geometry = owner[large], geometry[large]
    corner = np.array([column, row]) * EXTENT
    # half a unit aside: no vertex lies on the edge that clips
    limits = np.r_[corner - _BUFFER - 0.5, corner + EXTENT + _BUFFER + 0.5]
    bounds = shapely.bounds(geometry)
    clipped = ~((bounds[:, :2] >= limits[:2]).all(axis=1) & (bounds[:, 2:] <= limits[2:]).all(axis=1))
    if clipped.any():
        geometry = geometry.copy()
        geometry[clipped] = _polygons_of(shapely.clip_by_rect(geometry[clipped], *limits))
        there = ~shapely.is_empty(geometry)
        owner, geometry = owner[there], geometry[there]
    if not len(owner):
        return None
    left, geometry = on_grid(geometry, 1)
    part = _Part(owner[left], geometry, np.zeros(len(left), bool))
    return next(_finished(part, zoom, column, row), None) if len(left) else None


def _to_units(lonlat: Geometry, zoom: int) -> tuple[I64, Geometry]:
    """Transform polygons to the map of a zoom: units from its north-western corner, to the right and downward."""
    owner = np.arange(len(lonlat))
    bounds = shapely.bounds(lonlat)
    far = np.maximum(bounds[:, 3], -bounds[:, 1]) > MAX_LATITUDE
    if far.any():
        lonlat = lonlat.copy()
        world = shapely.box(-180, -MAX_LATITUDE, 180, MAX_LATITUDE)
        lonlat[far] = _polygons_of(shapely.intersection(shapely.make_valid(lonlat[far], method="structure"), world))
        owner = np.flatnonzero(~shapely.is_empty(lonlat))
        if not len(owner):
            return owner, lonlat[owner]
    side = EXTENT * 2.0**zoom

    def project(points: F64) -> F64:
        lon, lat = np.radians(points).T
        return np.column_stack([lon / (2 * np.pi) + 0.5, 0.5 - np.arctanh(np.sin(lat)) / (2 * np.pi)]) * side

    return owner, project_edges(lonlat[owner], project, tolerance=0.5, reach=_BUFFER)


def _polygons_of(geometry: Geometry) -> Geometry:
    """Keep the polygonal parts of geometries."""
    mixed = ~np.isin(shapely.get_type_id(geometry), (shapely.GeometryType.POLYGON, shapely.GeometryType.MULTIPOLYGON))
    if not mixed.any():
        return geometry
    parts, index = shapely.get_parts(shapely.get_parts(geometry[mixed]), return_index=True)
    outer = shapely.get_parts(geometry[mixed], return_index=True)[1][index]
    areal = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    collected = np.full(int(mixed.sum()), MultiPolygon(), object)
    shapely.multipolygons(parts[areal], indices=outer[areal], out=collected)
    whole = geometry.copy()
    whole[mixed] = collected
    return whole


class _Window(NamedTuple):
    """Tiles of one zoom: first and last column and row."""

    zoom: int
    first: tuple[int, int]
    last: tuple[int, int]

    @classmethod
    def whole(cls, zoom: int) -> _Window:
        return cls(zoom, (0, 0), (2**zoom - 1, 2**zoom - 1))


class _Part(NamedTuple):
    """Polygons, or their clipped parts."""

    owner: I64
    geometry: Geometry
    clipped: Bools

    def pick(self, which: Bools) -> _Part:
        return _Part(self.owner[which], self.geometry[which], self.clipped[which])


def _split(part: _Part, window: _Window) -> Iterator[TilePieces]:
    """Halve a window of tiles recursively down to one tile, clipping polygons that cross the middle.

    So a polygon that covers the whole map is first cut into few pieces, and never clipped as a whole by every tile.
    """
    bounds = shapely.bounds(part.geometry)
    low = np.floor((bounds[:, :2] - _BUFFER) / EXTENT).astype(np.int64)
    high = np.floor((bounds[:, 2:] + _BUFFER) / EXTENT).astype(np.int64)
    near = np.all((low <= window.last) & (high >= window.first), axis=1)
    if not near.all():
        part, bounds, low, high = part.pick(near), bounds[near], low[near], high[near]
    if not len(bounds):
        return
    first, last = np.maximum(low.min(axis=0), window.first), np.minimum(high.max(axis=0), window.last)
    if (first == last).all():
        yield from _finished(part, window.zoom, int(first[0]), int(first[1]))
        return
    axis = int(np.argmax(last - first))
    middle = int(first[axis] + last[axis]) // 2
    cut = (middle + 1) * EXTENT
    # half a unit aside: no vertex lies on the edge that clips
    limits = cut + _BUFFER + 0.5, cut - _BUFFER - 0.5
    edges = np.r_[bounds[:, :2].min(axis=0) - 1, bounds[:, 2:].max(axis=0) + 1]
    for side in (0, 1):
        mine = low[:, axis] <= middle if side == 0 else high[:, axis] > middle
        crossing = mine & (high[:, axis] > middle if side == 0 else low[:, axis] <= middle)
        half = edges.copy()
        half[axis + 2 if side == 0 else axis] = limits[side]
        geometry = part.geometry.copy()
        geometry[crossing] = _polygons_of(shapely.clip_by_rect(geometry[crossing], *half))
        mine &= ~shapely.is_empty(geometry)
        if not mine.any():
            continue
        ends = list(first), list(last)
        ends[1 - side][axis] = middle + side
        inner = _Part(part.owner, geometry, part.clipped | crossing)
        yield from _split(inner.pick(mine), _Window(window.zoom, tuple(ends[0]), tuple(ends[1])))


def _finished(part: _Part, zoom: int, column: int, row: int) -> Iterator[TilePieces]:
    origin = np.array([column, row]) * EXTENT
    local = np.asarray(shapely.transform(part.geometry, lambda points: points - origin), object)
    left, pieces = on_grid(local[part.clipped], 1)
    owner = np.r_[part.owner[~part.clipped], part.owner[part.clipped][left]]
    local = np.r_[local[~part.clipped], pieces]
    broken = ~shapely.is_valid(local)
    if broken.any():
        # make_valid by lines would fill what rounding made rings cover twice
        local[broken] = shapely.set_precision(shapely.buffer(local[broken], 0), 1)
    order = np.argsort(owner, kind="stable")
    order = order[shapely.area(local[order]) > 0]
    if len(order):
        local = shapely.orient_polygons(local[order], exterior_cw=False)
        yield TilePieces(zoom=zoom, column=column, row=row, owner=owner[order], geometry=local)
