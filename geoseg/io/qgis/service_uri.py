"""Sources of QGIS's provider ``wms`` for XYZ, WMS and WMTS services, without logins and keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from odc.geo.geobox import GeoBox
from pyproj import CRS

from geoseg.io.services.address import ServiceAddress, parse_service

_OWN: Final = frozenset({"service", "request", "version", "bbox", "width", "height"})
"""Parameters that QGIS sets itself."""

_MAP: Final = frozenset({"layers", "styles", "crs", "srs", "format", "transparent", "bgcolor", "exceptions"})
"""Parameters of GetMap that choose what is drawn."""

_PUBLIC: Final = frozenset({"time", "elevation", "map"})
"""Further parameters that choose what is drawn: the dimensions of WMS, and the file of a MapServer."""

_KEPT: Final[Mapping[str, frozenset[str]]] = {
    "xyz": frozenset(),
    "wms": _OWN | _MAP | _PUBLIC,
    "wmts": _OWN | frozenset({"map"}),
}
_CAPABILITIES: Final = "/WMTSCapabilities.xml"
"""End of an address to which QGIS adds no parameters."""


def private_part(uri: str) -> str | None:
    """Name what of a service's address may be a secret: a login, or a parameter that is not one of maps; None: nothing.

    Args:
        uri: ``xyz:``, ``wms:`` or ``wmts:`` address.
    """
    service = parse_service(uri)
    parts = urlsplit(service.url)
    if "@" in parts.netloc:
        return "a login"
    kept = _KEPT[service.kind]
    names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True) if name.lower() not in kept]
    if names or (parts.query and not parse_qsl(parts.query, keep_blank_values=True)):
        return "a parameter that may be a key"
    return None


def service_uri(uri: str, facts: Mapping[str, Any], geobox: GeoBox) -> str:
    """Write the source of a service's layer in QGIS.

    Args:
        uri: ``xyz:``, ``wms:`` or ``wmts:`` address of which nothing is private.
        facts: what is read of it, as ``Scene.service`` says.
        geobox: the scene's grid.

    Source:
        QGIS 3.22, ``QgsWmsSettings::parseUri``.
    """
    service = parse_service(uri)
    if service.kind == "xyz":
        words = [("type", "xyz"), ("url", service.url), ("zmin", "0"), ("zmax", str(facts["zoom"]))]
        return _joined([*words, *([("tilePixelRatio", "2")] if facts["tile_px"] == 512 else [])])
    common = [("contextualWMSLegend", "0"), ("dpiMode", "7"), ("format", str(facts["format"]))]
    if service.kind == "wmts":
        chosen = [("layers", facts["layer"]), ("styles", facts["style"]), ("tileMatrixSet", facts["matrix_set"])]
        dimensions = ";".join(f"{name}={value}" for name, value in facts.get("dimensions", {}).items())
        chosen += [("tileDimensions", dimensions)] if dimensions else []
        return _joined([*common, ("crs", _authority(geobox)), *chosen, ("url", _capabilities(service))])
    layers, styles = str(facts["layers"]).split(","), str(facts["styles"]).split(",")
    styles += [""] * (len(layers) - len(styles))
    drawn = [("layers", name) for name in layers] + [("styles", style) for style in styles]
    return _joined([*common, ("crs", str(facts["crs"])), *drawn, ("url", _with_query(service, _PUBLIC, []))])


def _capabilities(service: ServiceAddress) -> str:
    """Return the address of a WMTS's capabilities so that QGIS asks for WMTS, not for WMS."""
    if urlsplit(service.url).path.endswith(_CAPABILITIES):
        return service.url
    return _with_query(service, {"map"}, [("SERVICE", "WMTS"), ("REQUEST", "GetCapabilities")])


def _with_query(service: ServiceAddress, kept: Iterable[str], further: Sequence[tuple[str, str]]) -> str:
    parts = urlsplit(service.url)
    pairs = [pair for pair in parse_qsl(parts.query, keep_blank_values=True) if pair[0].lower() in kept]
    query = "&".join(f"{quote(name)}={quote(value, safe=',:/')}" for name, value in [*pairs, *further])
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))


def _authority(geobox: GeoBox) -> str:
    found = CRS.from_wkt(geobox.crs.to_wkt()).to_authority(min_confidence=70)
    return "EPSG:3857" if found is None else ":".join(found)


def _joined(words: Sequence[tuple[str, str]]) -> str:
    return "&".join(f"{name}={quote(str(value), safe='/:,')}" for name, value in words)
