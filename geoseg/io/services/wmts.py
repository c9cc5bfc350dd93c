"""WMTS: tiles of the grids that a server describes in its capabilities.

Source:
    OGC 07-057r7, Web Map Tile Service 1.0.0: sections 6 (a pixel is 0.28 mm) and 10 (RESTful).
"""

from __future__ import annotations

import math
import re
from urllib.parse import quote, urljoin, urlsplit
from xml.etree import ElementTree as ET

from pyproj import CRS
from pyproj.exceptions import CRSError

from geoseg.core.text import printable, without_logins
from geoseg.errors import SceneError, UsageError
from geoseg.io.files.http import leads_inside
from geoseg.io.files.safe_xml import parse_xml
from geoseg.io.services.address import ServiceAddress
from geoseg.io.services.tile_layer import TileLayer, TileMatrix, northing_first, window_of_bounds

_PIXEL_M = 0.00028
_METRES_A_DEGREE = math.pi * 6378137 / 180
_MOST_SIDE = 4096
_LISTED = 40


def wmts_layer(service: ServiceAddress, document: bytes) -> TileLayer:
    """Make the tiles of a ``wmts:`` address.

    Args:
        service: names layer, matrix set and level after the ``#``.
        document: the server's capabilities.

    Raises:
        UsageError: layer, matrix set, level, style or format is not one of the server's; the message lists them.
        SceneError: the capabilities are damaged, or lead elsewhere than to tiles.
    """
    shown = service.shown
    root = parse_xml(document)
    if root is None or _local(root) != "Capabilities":
        raise SceneError(shown, "the server's answer is no WMTS capabilities.", "Check the address.")
    try:
        return _layer(service, root)
    except (ValueError, OverflowError, ZeroDivisionError, CRSError) as error:
        if isinstance(error, SceneError | UsageError):
            raise
        raise SceneError(shown, f"its capabilities are damaged ({error}).", "Ask the server's keeper.") from error


def _layer(service: ServiceAddress, root: ET.Element) -> TileLayer:
    shown = service.shown
    layers = {_text(layer, "Identifier"): layer for layer in root.iter() if _local(layer) == "Layer"}
    name = _chosen(shown, "layer", service.words.get("layer"), list(layers))
    layer = layers[name]
    sets = [_text(link, "TileMatrixSet") for link in _children(layer, "TileMatrixSetLink")]
    chosen = _chosen(shown, "matrixset", service.words.get("matrixset"), sets)
    described = {_text(one, "Identifier"): one for one in root.iter() if _local(one) == "TileMatrixSet" and len(one)}
    if chosen not in described:
        raise ValueError(f"matrix set {chosen} is not described")
    matrices = {_text(one, "Identifier"): one for one in _children(described[chosen], "TileMatrix")}
    level = _chosen(shown, "level", service.words.get("level"), list(matrices))
    matrix = _matrix(_text(described[chosen], "SupportedCRS"), matrices[level])
    styles = [_text(style, "Identifier") for style in _children(layer, "Style")] or [""]
    style = _chosen(shown, "style", service.words.get("style", styles[0]), styles)
    formats = [(one.text or "").strip() for one in _children(layer, "Format")]
    pictures = [one for one in formats if re.match(r"image/(png|jpe?g|webp|tiff)", one)] or formats[:1]
    picture = _chosen(shown, "format", service.words.get("format", pictures[0] if pictures else None), formats)
    dimensions = {_text(one, "Identifier"): _text(one, "Default") for one in _children(layer, "Dimension")}
    words = {
        "Layer": name,
        "Style": style,
        "TileMatrixSet": chosen,
        "TileMatrix": level,
        **dimensions,
    }
    template = _template(service, root, layer, picture)

    def address(row: int, col: int) -> str:
        numbers = words | {"TileRow": str(row), "TileCol": str(col)}
        if template[1]:
            known = {key.lower(): value for key, value in numbers.items()}
            return re.sub(r"\{([^{}]*)\}", lambda found: quote(known[found[1].lower()], safe=":"), template[0])
        fixed = {"SERVICE": "WMTS", "REQUEST": "GetTile", "VERSION": "1.0.0", "FORMAT": picture} | numbers
        text = "&".join(f"{key}={quote(value, safe=':/')}" for key, value in fixed.items())
        return f"{template[0].rstrip('?&')}{'&' if '?' in template[0] else '?'}{text}"

    address(0, 0)
    return TileLayer(
        matrix=matrix,
        window=window_of_bounds(shown, matrix, service.bounds),
        address=address,
        facts={
            "kind": "wmts",
            "layer": name,
            "style": style,
            "format": picture,
            "matrix_set": chosen,
            "level": level,
            "bounds": list(service.bounds),
            **({"dimensions": dimensions} if dimensions else {}),
        },
        title=f"{service.host}_{name}_{level}",
    )


def _template(service: ServiceAddress, root: ET.Element, layer: ET.Element, picture: str) -> tuple[str, bool]:
    """Return the template of addresses of tiles, and True; or the address that takes parameters, and False."""
    template = next(
        (
            one.get("template", "")
            for one in _children(layer, "ResourceURL")
            if one.get("resourceType") == "tile" and one.get("format", picture) == picture
        ),
        "",
    )
    if template:
        names = {name.lower() for name in re.findall(r"\{([^{}]*)\}", template)}
        known = {"layer", "style", "tilematrixset", "tilematrix", "tilerow", "tilecol"}
        known |= {_text(one, "Identifier").lower() for one in _children(layer, "Dimension")}
        if not {"tilerow", "tilecol"} <= names <= known:
            raise ValueError(f"addresses of tiles are {template[:80]}")
    found = template or next(
        (
            value
            for operation in root.iter()
            if _local(operation) == "Operation" and operation.get("name") == "GetTile"
            for get in operation.iter()
            if _local(get) == "Get"
            for key, value in get.attrib.items()
            if key.endswith("href")
        ),
        "",
    )
    if not found:
        raise ValueError("no addresses of tiles")
    place = urljoin(service.url, found)
    there, here = urlsplit(place), urlsplit(service.url)
    elsewhere = there.netloc.rpartition("@")[2].lower() != here.netloc.rpartition("@")[2].lower()
    if there.scheme not in {"http", "https"} or "@" in there.netloc or leads_inside(place, service.url):
        raise SceneError(
            service.shown,
            f"its tiles lie at {without_logins(place)[:120]}, which is not followed.",
            "Ask the server's keeper.",
        )
    login = here.netloc.rpartition("@")[0]
    if login and not elsewhere and there.scheme == here.scheme:
        place = there._replace(netloc=f"{login}@{there.netloc}").geturl()
    return place, bool(template)


def _matrix(crs_name: str, described: ET.Element) -> TileMatrix:
    crs = CRS.from_user_input(crs_name)
    if not (crs.is_projected or crs.is_geographic) or not crs.axis_info:
        raise ValueError(f"{crs_name[:80]} is no CRS of maps")
    unit = crs.axis_info[0].unit_conversion_factor
    metres = _METRES_A_DEGREE * math.degrees(unit) if crs.is_geographic else unit
    pixel = float(_text(described, "ScaleDenominator")) * _PIXEL_M / metres
    one, two = (float(number) for number in _text(described, "TopLeftCorner").split())
    left, top = (two, one) if northing_first(crs) else (one, two)
    sides = [int(_text(described, key)) for key in ("TileHeight", "TileWidth", "MatrixHeight", "MatrixWidth")]
    if not all(map(math.isfinite, (pixel, left, top))) or pixel <= 0 or min(sides) < 1 or max(sides[:2]) > _MOST_SIDE:
        raise ValueError("a matrix without tiles")
    return TileMatrix(crs=crs, left=left, top=top, pixel=pixel, tile=(sides[0], sides[1]), tiles=(sides[2], sides[3]))


def _chosen(shown: str, name: str, asked: str | None, known: list[str]) -> str:
    if asked is None and len(known) == 1:
        return known[0]
    if asked in known:
        return str(asked)
    listed = ", ".join(printable(one[:80]) for one in known[:_LISTED]) + (", ..." if len(known) > _LISTED else "")
    cause = f"{name} is missing after the #" if asked is None else f"there is no {name} {printable(asked[:80])!r}"
    raise UsageError(f"{shown}: {cause}. Add {name}=NAME with one of: {listed or 'none'}.")


def _local(element: ET.Element) -> str:
    """Return the name of an element without its namespace."""
    return element.tag.rpartition(":")[2]


def _children(element: ET.Element, name: str) -> list[ET.Element]:
    return [child for child in element if _local(child) == name]


def _text(element: ET.Element, name: str) -> str:
    return next(((child.text or "").strip() for child in _children(element, name)), "")
