"""File names for GDAL, whose bindings require UTF-8 while a file's name may be any bytes."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path

_UNDECODED = re.compile(r"[\ud800-\udfff]")
_LOCK = threading.Lock()


def is_utf8(name: str) -> bool:
    """Return True if a file's name is valid UTF-8; Python keeps other bytes as lone surrogates (PEP 383)."""
    return _UNDECODED.search(name) is None


def escaped(name: str) -> str:
    r"""Escape undecodable bytes as ``\\xff``, for text documents.

    Examples:
        >>> escaped("s\udcff.tif")
        's\\xff.tif'
    """
    return _UNDECODED.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", name)


def gdal_name(path: Path) -> Path:
    """Return a path that GDAL can open or create: the path itself, or one through symbolic links of this process.

    A file whose own name is not UTF-8 is linked together with the files next to it that begin with its stem: masks and
    other sidecars. The name of a new file must be UTF-8.
    """
    if is_utf8(str(path)):
        return path
    path = path.absolute()
    if not is_utf8(path.name):
        return _linked_file(path)
    return _folder_link(path.parent) / path.name


@cache
def _links() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="geoseg-names-")


def _place(path: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(_links().name) / digest


def _folder_link(folder: Path) -> Path:
    with _LOCK:
        link = _place(folder)
        with suppress(FileExistsError):
            link.symlink_to(folder)
    return link


def _linked_file(path: Path) -> Path:
    with _LOCK:
        place = _place(path)
        place.mkdir(exist_ok=True)
        stem = path.stem
        for entry in os.scandir(path.parent):
            if entry.name.startswith(stem):
                with suppress(FileExistsError):
                    (place / _plain(entry.name)).symlink_to(path.parent / entry.name)
    return place / _plain(path.name)


def _plain(name: str) -> str:
    return _UNDECODED.sub(lambda found: f"_x{ord(found[0]) & 0xFF:02x}", name)
