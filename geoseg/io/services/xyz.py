"""XYZ tiles: the grid of web maps, in EPSG:3857."""

from __future__ import annotations

import math
import re
from urllib.parse import urlsplit

from pyproj import CRS

from geoseg.errors import UsageError
from geoseg.io.services.address import ServiceAddress, whole_number
from geoseg.io.services.tile_layer import TileLayer, TileMatrix, window_of_bounds

_EDGE_M = math.pi * 6378137
_MOST_ZOOM = 24
_MERCATOR_LATITUDE = 85.06


def xyz_layer(service: ServiceAddress) -> TileLayer:
    """Make the tiles of an ``xyz:`` address.

    Args:
        service: its url holds ``{z}``, ``{x}`` and ``{y}`` (or ``{-y}``, counted from the south, as TMS does).

    Raises:
        UsageError: the placeholders or the zoom level are wrong.
        SceneError: nothing lies within the bounds.
    """
    shown, url = service.shown, service.url
    found = re.findall(r"\{[^{}]*\}", url)
    parts = urlsplit(url)
    if sorted(found) not in (["{x}", "{y}", "{z}"], ["{-y}", "{x}", "{z}"]) or "{" in parts.netloc:
        raise UsageError(f"{shown}: {{z}}, {{x}} and {{y}} are expected, each once, and nothing else in braces.")
    zoom = whole_number(shown, "zoom", service.word("zoom", "17"), 0, _MOST_ZOOM)
    side = service.tile_px or 256
    if side not in {256, 512}:
        raise UsageError(f"{shown}: tile is {side}; XYZ tiles are of 256 or 512 px.")
    west, south, east, north = service.bounds
    bounds = west, max(south, -_MERCATOR_LATITUDE), east, min(north, _MERCATOR_LATITUDE)
    if bounds[1] >= bounds[3]:
        raise UsageError(f"{shown}: bounds lie beyond latitude 85, where XYZ tiles end.")
    count = 2**zoom
    matrix = TileMatrix(
        crs=CRS.from_epsg(3857),
        left=-_EDGE_M,
        top=_EDGE_M,
        pixel=2 * _EDGE_M / (side * count),
        tile=(side, side),
        tiles=(count, count),
    )

    def address(row: int, col: int) -> str:
        numbers = {"{z}": zoom, "{x}": col, "{y}": row, "{-y}": count - 1 - row}
        return re.sub(r"\{[^{}]*\}", lambda name: str(numbers[name[0]]), url)

    return TileLayer(
        matrix=matrix,
        window=window_of_bounds(shown, matrix, bounds),
        address=address,
        facts={"kind": "xyz", "zoom": zoom, "bounds": list(service.bounds), "tile_px": side},
        title=f"{service.host}_z{zoom}",
    )
