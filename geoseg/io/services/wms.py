"""WMS: maps of any size, asked for in tiles of a grid of our own.

Source:
    OGC 06-042, Web Map Service 1.3.0: in it the order of the axes is that of the CRS, in 1.1.1 it is x, y.
"""

from __future__ import annotations

import math
from urllib.parse import parse_qsl, quote, urlsplit

from pyproj import CRS
from pyproj.exceptions import CRSError

from geoseg.errors import UsageError
from geoseg.io.services.address import ServiceAddress
from geoseg.io.services.tile_layer import TileLayer, TileMatrix, bounds_in, northing_first, window_of_bounds

_VERSIONS = ("1.3.0", "1.1.1")
_OURS = frozenset({"BBOX", "WIDTH", "HEIGHT", "REQUEST", "SERVICE"})


def wms_layer(service: ServiceAddress) -> TileLayer:
    """Make the tiles of a ``wms:`` address, whose query holds the parameters of GetMap.

    Args:
        service: its query holds ``layers`` and, unless it is EPSG:3857, ``crs``; further ones are sent as they are.

    Raises:
        UsageError: a parameter is missing or wrong.
    """
    shown = service.shown
    parts = urlsplit(service.url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    given = {name.upper(): value for name, value in query}
    if not given.get("LAYERS"):
        raise UsageError(f"{shown}: layers are missing in the address. Add ?layers=NAME.")
    ours = sorted(_OURS & set(given) - {"REQUEST", "SERVICE"})
    if ours or len(given) < len(query):
        raise UsageError(f"{shown}: {ours[0] if ours else 'a parameter'} cannot be given{'' if ours else ' twice'}.")
    version = given.get("VERSION", _VERSIONS[0])
    if version not in _VERSIONS:
        raise UsageError(f"{shown}: version is {version[:20]!r}; it is one of {', '.join(_VERSIONS)}.")
    name = given.get("CRS") or given.get("SRS") or "EPSG:3857"
    crs = _crs(shown, name)
    pixel = _pixel(shown, service.word("pixel", "0.2"))
    side = service.tile_px or 512
    left, _, _, top = bounds_in(shown, crs, service.bounds)
    matrix = TileMatrix(  # anchored at multiples of the pixel, so that scenes of one service share a grid
        crs=crs,
        left=math.floor(left / pixel + 1e-6) * pixel,
        top=math.ceil(top / pixel - 1e-6) * pixel,
        pixel=pixel,
        tile=(side, side),
    )
    swapped = version == "1.3.0" and name.upper().startswith("EPSG:") and northing_first(crs)
    fixed = {"SERVICE": "WMS", "VERSION": version, "REQUEST": "GetMap", "STYLES": "", "FORMAT": "image/png"} | {
        key: value for key, value in given.items() if key not in _OURS | {"CRS", "SRS", "VERSION"}
    }
    fixed["CRS" if version == "1.3.0" else "SRS"] = name
    fixed.setdefault("TRANSPARENT", "TRUE" if fixed["FORMAT"].lower() in {"image/png", "image/webp"} else "FALSE")

    def address(row: int, col: int) -> str:
        west, south, east, north = matrix.bounds_of(row, col)
        corners = (south, west, north, east) if swapped else (west, south, east, north)
        numbers = {"BBOX": ",".join(f"{corner:.12g}" for corner in corners), "WIDTH": str(side), "HEIGHT": str(side)}
        text = "&".join(f"{quote(key)}={quote(value, safe=',:/')}" for key, value in (fixed | numbers).items())
        return parts._replace(query=text, fragment="").geturl()

    return TileLayer(
        matrix=matrix,
        window=window_of_bounds(shown, matrix, service.bounds),
        address=address,
        facts={
            "kind": "wms",
            "layers": given["LAYERS"],
            "styles": fixed["STYLES"],
            "format": fixed["FORMAT"],
            "crs": name,
            "pixel": pixel,
            "bounds": list(service.bounds),
            "tile_px": side,
        },
        title=f"{service.host}_{given['LAYERS']}",
    )


_NAMES = {"CRS:84": "OGC:CRS84"}
"""Names of CRSs that services use and PROJ does not know."""


def _crs(shown: str, name: str) -> CRS:
    try:
        crs = CRS.from_user_input(_NAMES.get(name.upper(), name))
    except CRSError as error:
        raise UsageError(f"{shown}: crs is {name[:80]!r}, which is none. Give EPSG:code.") from error
    if not (crs.is_projected or crs.is_geographic):
        raise UsageError(f"{shown}: crs {name[:80]} is no CRS of maps. Give EPSG:code.")
    return crs


def _pixel(shown: str, text: str) -> float:
    try:
        pixel = float(text)
    except ValueError:
        pixel = math.nan
    if not 1e-9 <= pixel <= 1e6:
        raise UsageError(f"{shown}: pixel is {text[:40]!r}; the side of a pixel in units of the CRS is expected.")
    return pixel
