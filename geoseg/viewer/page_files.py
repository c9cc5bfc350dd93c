"""Files of the page: a fixed list, read once; no path of a request ever reaches the file system."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
PAGE: Final = "page/index.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFile:
    """One file of the page.

    Attributes:
        content: gzip of its bytes.
        media_type: by its suffix.
    """

    content: bytes
    media_type: str


@cache
def page_files() -> dict[str, PageFile]:
    """Read all files of the page, by their path below ``geoseg/viewer``."""
    found: dict[str, PageFile] = {}
    _collect(files("geoseg.viewer") / "page", "page", found)
    return found


def _collect(folder: Traversable, prefix: str, found: dict[str, PageFile]) -> None:
    for item in folder.iterdir():
        name = f"{prefix}/{item.name}"
        suffix = item.name[item.name.rfind(".") :]
        if item.is_dir():
            _collect(item, name, found)
        elif suffix in _TYPES:
            content = gzip.compress(item.read_bytes(), compresslevel=6, mtime=0)
            found[name] = PageFile(content=content, media_type=_TYPES[suffix])
