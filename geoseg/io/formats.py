"""Which files may be opened, by which GDAL driver, and how big they may be."""

from __future__ import annotations

import os
import re
from pathlib import Path

from geoseg.errors import SceneError, UsageError

GIB = 2**30

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"II*\x00", "GTiff"),
    (b"MM\x00*", "GTiff"),
    (b"II+\x00", "GTiff"),
    (b"MM\x00+", "GTiff"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JP2OpenJPEG"),
    (b"\xff\x4f\xff\x51", "JP2OpenJPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
)
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "a gzip archive"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x89HDF", "an HDF5 or netCDF file"),
    (b"CDF", "a netCDF file"),
    (b"%PDF", "a PDF"),
    (b"SQLite format 3", "an SQLite database"),
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
)
_SUFFIXES = {
    "GTiff": (".tif", ".tiff", ".gtiff", ".btf", ".tf8"),
    "JP2OpenJPEG": (".jp2", ".j2k", ".jpx"),
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
}
_TITLES = {"GTiff": "GeoTIFF", "JP2OpenJPEG": "JPEG 2000", "PNG": "PNG", "JPEG": "JPEG"}
READABLE = "GeoTIFF, JPEG 2000, PNG or JPEG with a world file, VRT, or a STAC item"
_REMOTE = re.compile(r"^(?:[a-zA-Z][a-zA-Z0-9+.-]+://|/vsi)")
_SUBDATASET = re.compile(r"^[A-Za-z][A-Za-z0-9_]{2,}:")


def is_remote(uri: str) -> bool:
    """Whether GDAL would look for ``uri`` anywhere but in the local file system."""
    return bool(_REMOTE.match(uri)) and not uri.startswith("file://")


def sniff(head: bytes) -> tuple[str | None, str]:
    """Tell a file by its first bytes, never by its name.

    Returns:
        The GDAL driver that may read it (``VRT`` and ``STAC`` included) or None, and the kind in words.
    """
    for magic, driver in _MAGIC:
        if head.startswith(magic):
            return driver, _TITLES[driver]
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"<VRTDataset"):
        return "VRT", "a VRT"
    if text[:1] == b"{":
        return "STAC", "JSON"
    if re.match(rb"<(!doctype html|html)", text, re.IGNORECASE):
        return None, "an HTML page"
    if text.startswith(b"<"):
        return ("VRT", "a VRT") if b"<VRTDataset" in text else (None, "XML")
    if not head:
        return None, "an empty file"
    return None, next((kind for magic, kind in _OTHERS if head.startswith(magic)), "an unknown format")


def local_path(uri: str) -> Path:
    """Resolve a scene's name to a readable local file.

    Raises:
        SceneError: it is missing, a directory, not a plain file or not readable.
        UsageError: it is a GDAL subdataset string.
    """
    text = uri.removeprefix("file://")
    path = Path(text)
    if "\x00" in text:
        raise SceneError(repr(uri), "the name holds a NUL character.", "Rename the file.")
    try:
        if not path.exists():
            if _SUBDATASET.match(text) and not path.parent.is_dir():
                raise UsageError(f"{uri}: GDAL subdataset names are not read. Give the file itself.")
            raise SceneError(uri, "there is no such file.", "Check the path.")
        if path.is_dir():
            raise SceneError(uri, "this is a directory, not one scene.", "Give a file in it.")
        if not path.is_file():
            raise SceneError(uri, "this is not a plain file.", "Give a raster file.")
        if not os.access(path, os.R_OK):
            raise SceneError(uri, "permission to read is missing.", "Change the file's permissions.")
    except OSError as error:
        raise SceneError(uri, f"the path cannot be used ({error.strerror}).", "Check the path.") from error
    return path


def driver_of(uri: str, path: Path) -> str:
    """Choose the one driver allowed to open a local file.

    Raises:
        SceneError: the content is none of the readable formats, or not what the suffix says.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise SceneError(uri, f"it cannot be read ({error.strerror}).", "Check the disk and the permissions.") from error
    driver, kind = sniff(head)
    suffix = path.suffix.lower()
    expected = next((name for name, suffixes in _SUFFIXES.items() if suffix in suffixes), None)
    if expected is not None and driver != expected:
        raise SceneError(uri, f"not a {_TITLES[expected]} (found: {kind}).", "Download or export it again.")
    if driver is None or (driver == "VRT" and suffix != ".vrt"):
        raise SceneError(uri, f"not a raster that can be read (found: {kind}).", f"Give a {READABLE}.")
    return driver
