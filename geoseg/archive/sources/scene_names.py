"""Names of scenes: unique in the archive and independent of the other scenes.

A path gives its parts joined by ``--``, without ``.tif``. That is all as long as the path can be read back from it; a
path that could be mistaken for another's (parts with ``--`` in them, other suffixes, characters that no folder should
have) carries a digest of itself. So a name depends on its own path alone. Names are ASCII, and stand in a link as they
stand on the disk.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from pathlib import PurePosixPath

from geoseg.io.publish.stac_item import public_name
from geoseg.io.services.address import service_kind

_JOIN = "--"
_SUFFIX = ".tif"
_PLAIN = re.compile(r"[\w.,()+@=-]+")
_DIGESTED = re.compile(r"-[0-9a-f]{12}$")
_MAX_BYTES = 120


def name_of_path(path: str) -> str:
    """Name a scene by its path in the archive.

    Args:
        path: relative, with ``/``.

    Examples:
        >>> name_of_path("town.tif"), name_of_path("north/town.tif")
        ('town', 'north--town')
        >>> name_of_path("north/town.jp2")
        'north--town.jp2-1052d829207a'
    """
    parts = path.split("/")
    readable = _JOIN.join(parts).removesuffix(_SUFFIX)
    parts[-1] = parts[-1].removesuffix(_SUFFIX)
    plain = path.endswith(_SUFFIX) and all(map(_is_plain, parts)) and not _DIGESTED.search(readable)
    if plain and len(readable.encode()) <= _MAX_BYTES:
        return readable
    return _digested(readable, path)


def name_of_item(collection: str | None, item: str) -> str:
    """Name a STAC item, whose id is unique in its collection.

    Examples:
        >>> name_of_item("ortho", "town"), name_of_item(None, "town")
        ('ortho--town', 'town')
    """
    parts = [item] if collection is None else [collection, item]
    readable = _JOIN.join(parts)
    if all(map(_is_plain, parts)) and not _DIGESTED.search(readable) and len(readable.encode()) <= _MAX_BYTES:
        return readable
    return _digested(readable, repr(parts))


def name_of_address(uri: str) -> str:
    """Name a scene that lies outside the archive's own folder: its file's name and a digest of its address.

    A scene of a service has the name of its server.
    """
    stem = public_name(uri) if service_kind(uri) is not None else PurePosixPath(uri.partition("?")[0]).stem
    return _digested(stem, uri)


def _is_plain(part: str) -> bool:
    """Return True if a path component cannot be confused with a separator and is no reserved folder name."""
    whole = _PLAIN.fullmatch(part) is not None and part.isascii()
    return whole and _JOIN not in part and part[0] not in ".-_" and part[-1] not in ".-"


def _digested(readable: str, whole: str) -> str:
    plain = unicodedata.normalize("NFKD", readable).encode("ascii", "ignore").decode()
    safe = re.sub(r"[^\w.,()+@=-]", "_", plain).strip(".-")
    safe = safe[:_MAX_BYTES].rstrip(".-") or "scene"
    return f"{safe}-{hashlib.sha256(os.fsencode(whole)).hexdigest()[:12]}"
