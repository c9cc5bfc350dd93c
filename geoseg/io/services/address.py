"""Addresses of services: ``xyz:``, ``wms:`` or ``wmts:`` before an http(s) address, and what to read after ``#``.

What stands after ``#`` is never sent to a server, so geoseg's own parameters have their place there, and an address
says all about a scene: it can stand in a list of an archive.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from geoseg.core.text import without_logins
from geoseg.errors import UsageError

Kind = Literal["xyz", "wms", "wmts"]

SERVICE = re.compile(r"^(?P<kind>xyz|wms|wmts):(?P<url>.*)$", re.DOTALL)
_COMMON = frozenset({"bounds", "tile", "bands", "dtype", "missing"})
_KEYS: Mapping[str, frozenset[str]] = {
    "xyz": _COMMON | {"zoom"},
    "wms": _COMMON | {"pixel"},
    "wmts": (_COMMON - {"tile"}) | {"layer", "matrixset", "level", "style", "format"},
}
_DTYPES = ("uint8", "uint16", "int16", "float32")
_MOST_TILE_PX = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAddress:
    """A parsed address of a service.

    Attributes:
        kind: ``xyz``, ``wms`` or ``wmts``.
        url: http(s) address before the ``#``; may hold a login.
        words: parameters after the ``#`` that are of one kind of service only.
        bounds: west, south, east, north in degrees (WGS 84).
        tile_px: side of a tile; 0: the kind's default.
        bands: data bands of the scene.
        dtype: data type of its values.
        missing_is_nodata: tiles that the server does not have are nodata; otherwise an error.
    """

    kind: Kind
    url: str
    words: Mapping[str, str]
    bounds: tuple[float, float, float, float]
    tile_px: int
    bands: int
    dtype: str
    missing_is_nodata: bool

    @property
    def shown(self) -> str:
        """The address for messages and records: without login, query and parameters."""
        return f"{self.kind}:{without_logins(self.url)}"

    @property
    def host(self) -> str:
        """Name of the server."""
        return urlsplit(self.url).hostname or "server"

    def word(self, name: str, example: str) -> str:
        """Return a parameter that must be given.

        Raises:
            UsageError: it is missing.
        """
        if not self.words.get(name):
            raise UsageError(f"{self.shown}: {name} is missing after the #. Add {name}={example}.")
        return self.words[name]


def service_kind(uri: str) -> str | None:
    """Return ``xyz``, ``wms`` or ``wmts`` for the address of such a service, else None."""
    found = SERVICE.match(uri)
    return found["kind"] if found is not None and re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", found["url"]) else None


def without_kind(uri: str) -> str:
    """Return the address without ``xyz:``, ``wms:`` or ``wmts:`` before it; others as they are."""
    return uri if service_kind(uri) is None else uri.partition(":")[2]


def parse_service(uri: str) -> ServiceAddress:
    """Parse the address of a service.

    Args:
        uri: an address for which ``service_kind`` is not None.

    Raises:
        UsageError: it is not http(s), or a parameter is unknown, repeated, missing or wrong.
    """
    found = SERVICE.match(uri)
    if found is None:
        raise UsageError(f"{without_logins(uri)}: no address of a service. It begins with xyz:, wms: or wmts:.")
    kind: Kind = found["kind"]  # type: ignore[assignment] # of the expression
    url, _, fragment = found["url"].partition("#")
    shown = f"{kind}:{without_logins(url)}"
    try:
        parts = urlsplit(url)
        wrong = parts.scheme not in {"http", "https"} or not parts.hostname or (parts.port or 1) < 1
        pairs = parse_qsl(fragment, keep_blank_values=True, strict_parsing=bool(fragment))
    except ValueError as error:
        raise UsageError(f"{shown}: this is no address ({error}).") from error
    if wrong or re.search(r"[\s\x00-\x1f\x7f]", url):
        raise UsageError(f"{shown}: an http:// or https:// address is expected after {kind}:.")
    words = dict(pairs)
    unknown = sorted(set(words) - _KEYS[kind])
    if unknown or len(words) < len(pairs):
        cause = f"{unknown[0][:40]!r} is unknown" if unknown else "a parameter is given twice"
        raise UsageError(f"{shown}: {cause} after the #. Known: {', '.join(sorted(_KEYS[kind]))}.")
    if not words.get("bounds"):
        raise UsageError(f"{shown}: bounds are missing after the #. Add bounds=WEST,SOUTH,EAST,NORTH in degrees.")
    if words.get("missing", "error") not in {"error", "nodata"}:
        raise UsageError(f"{shown}: missing is {words['missing'][:40]!r}; it is error or nodata.")
    if words.get("dtype", "uint8") not in _DTYPES:
        raise UsageError(f"{shown}: dtype is {words['dtype'][:40]!r}; it is one of {', '.join(_DTYPES)}.")
    return ServiceAddress(
        kind=kind,
        url=url,
        words={name: word for name, word in words.items() if name not in _COMMON},
        bounds=_bounds(shown, words["bounds"]),
        tile_px=whole_number(shown, "tile", words.get("tile", "0"), 0, _MOST_TILE_PX),
        bands=whole_number(shown, "bands", words.get("bands", "3"), 1, 64),
        dtype=words.get("dtype", "uint8"),
        missing_is_nodata=words.get("missing") == "nodata",
    )


def whole_number(shown: str, name: str, text: str, least: int, most: int) -> int:
    """Parse a parameter that is a whole number.

    Raises:
        UsageError: it is none, or outside of ``least`` to ``most``.
    """
    if not re.fullmatch(r"[0-9]{1,6}", text) or not least <= int(text) <= most:
        raise UsageError(f"{shown}: {name} is {text[:40]!r}; a whole number from {least} to {most} is expected.")
    return int(text)


def _bounds(shown: str, text: str) -> tuple[float, float, float, float]:
    try:
        west, south, east, north = (float(number) for number in text.split(","))
    except ValueError:
        west, south, east, north = math.nan, 0.0, 0.0, 0.0
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        expected = "WEST,SOUTH,EAST,NORTH in degrees are expected, west < east and south < north"
        raise UsageError(f"{shown}: bounds are {text[:80]!r}; {expected}.")
    return west, south, east, north
