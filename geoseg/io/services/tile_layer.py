"""TileLayer: the tiles of one level of a service, and the pixels of them that are a scene."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from geoseg.core.types.json_value import JsonDict
from geoseg.core.window import Window
from geoseg.errors import SceneError, UsageError

_EDGE = 1e-6
"""Share of a pixel by which bounds may pass an edge without taking a further pixel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TileMatrix:
    """A grid of equal tiles.

    Attributes:
        crs: its CRS.
        left: x of its left edge.
        top: y of its upper edge.
        pixel: side of a pixel, units of the CRS.
        tile: rows and columns of a tile.
        tiles: rows and columns of tiles; None: without end.
    """

    crs: CRS
    left: float
    top: float
    pixel: float
    tile: tuple[int, int]
    tiles: tuple[int, int] | None = None

    def bounds_of(self, row: int, col: int) -> tuple[float, float, float, float]:
        """Return left, bottom, right and top of a tile."""
        height, width = self.tile[0] * self.pixel, self.tile[1] * self.pixel
        left, top = self.left + col * width, self.top - row * height
        return left, top - height, left + width, top


@dataclass(frozen=True, slots=True, kw_only=True)
class TileLayer:
    """Tiles of a service that make up a scene.

    Attributes:
        matrix: the grid of tiles.
        window: the scene's pixels on the grid of all tiles.
        address: makes the address of a tile from its row and column.
        facts: what is read, for records; no login, no query.
        title: name of the scene.
    """

    matrix: TileMatrix
    window: Window
    address: Callable[[int, int], str]
    facts: JsonDict
    title: str

    @property
    def geobox(self) -> GeoBox:
        """The scene's grid."""
        matrix, window = self.matrix, self.window
        left = matrix.left + window.col_start * matrix.pixel
        top = matrix.top - window.row_start * matrix.pixel
        return GeoBox(window.shape, Affine(matrix.pixel, 0, left, 0, -matrix.pixel, top), matrix.crs.to_wkt())


def window_of_bounds(shown: str, matrix: TileMatrix, bounds: tuple[float, float, float, float]) -> Window:
    """Return the pixels of a grid of tiles that bounds in degrees touch.

    Args:
        shown: name for messages.
        matrix: the grid.
        bounds: west, south, east, north.

    Raises:
        SceneError: nothing of the grid lies there.
    """
    left, bottom, right, top = bounds_in(shown, matrix.crs, bounds)
    rows, cols = (matrix.top - top, matrix.top - bottom), (left - matrix.left, right - matrix.left)
    row_start, col_start = (math.floor(side[0] / matrix.pixel + _EDGE) for side in (rows, cols))
    row_stop, col_stop = (math.ceil(side[1] / matrix.pixel - _EDGE) for side in (rows, cols))
    if matrix.tiles is not None:
        row_start, col_start = max(0, row_start), max(0, col_start)
        row_stop = min(row_stop, matrix.tiles[0] * matrix.tile[0])
        col_stop = min(col_stop, matrix.tiles[1] * matrix.tile[1])
    if row_start >= row_stop or col_start >= col_stop:
        raise SceneError(shown, "the service has no tiles within the bounds.", "Check bounds: W,S,E,N in degrees.")
    return Window(row_start, row_stop, col_start, col_stop)


def bounds_in(shown: str, crs: CRS, bounds: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """Project bounds in degrees; left, bottom, right, top in a CRS.

    Raises:
        UsageError: they have no place there.
    """
    try:
        found = Transformer.from_crs(4326, crs, always_xy=True).transform_bounds(*bounds, densify_pts=21)
    except ProjError as error:
        raise UsageError(f"{shown}: bounds have no place in {crs.name} ({error}).") from error
    if not all(map(math.isfinite, found)) or found[0] >= found[2] or found[1] >= found[3]:
        raise UsageError(f"{shown}: bounds have no place in {crs.name}.")
    left, bottom, right, top = found
    return left, bottom, right, top


def northing_first(crs: CRS) -> bool:
    """Return True if the first axis of a CRS, as its authority defines it, is the northing or latitude."""
    directions = [axis.direction.lower() for axis in crs.axis_info[:2]]
    return len(directions) == 2 and directions[0] in {"north", "south"} and directions[1] in {"east", "west"}
