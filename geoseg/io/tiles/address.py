"""TileAddress: zoom, column and row of a tile of the Web Mercator pyramid."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Final

from geoseg.errors import UsageError

MAX_ZOOM: Final = 24
TILE_SIDES: Final = (256, 512)
"""Sides of tiles that are made, pixels."""

_HALF_M: Final = 6378137.0 * pi
Bounds = tuple[float, float, float, float]
"""West, south, east and north."""


@dataclass(frozen=True, slots=True)
class TileAddress:
    """One tile of the pyramid.

    Attributes:
        zoom: 0 to ``MAX_ZOOM``.
        column: from 180 degrees west.
        row: from the north.

    Raises:
        UsageError: there is no such tile.

    Example:
        >>> TileAddress(1, 0, 0).bounds
        (-20037508.342789244, 0.0, 0.0, 20037508.342789244)
    """

    zoom: int
    column: int
    row: int

    def __post_init__(self) -> None:
        if not 0 <= self.zoom <= MAX_ZOOM or not all(0 <= n < 2**self.zoom for n in (self.column, self.row)):
            raise UsageError(f"there is no tile {self.zoom}/{self.column}/{self.row}.")

    @property
    def bounds(self) -> Bounds:
        """Bounds in Web Mercator (EPSG:3857), metres."""
        side = 2 * _HALF_M / 2**self.zoom
        west, north = self.column * side - _HALF_M, _HALF_M - self.row * side
        return west, north - side, west + side, north
