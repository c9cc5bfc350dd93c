"""Supported raster formats: detection by content, GDAL drivers, GDAL settings and size limits."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import rasterio

from geoseg.errors import SceneError, UsageError
from geoseg.io.files.input_file import read_input
from geoseg.io.objects.access import S3Access, is_s3

READ_CACHE_BYTES = 256 * 2**20
"""GDAL's block cache while a scene is read. rasterio passes this to GDALSetCacheMax64 (bytes; the config
option of that name would be read only once per process), and GDAL drops blocks beyond it at once."""

READABLE = "GeoTIFF, JPEG 2000, PNG or JPEG with a world file, VRT, or STAC item"
"""Formats of scenes here and at addresses; a local one may also be netCDF, HDF5 or a Sentinel-2 product."""

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
)
_SUFFIXES = {
    "GTiff": (".tif", ".tiff", ".gtiff", ".btf", ".tf8"),
    "JP2OpenJPEG": (".jp2", ".j2k", ".jpx", ".j2c"),
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg"),
}
_TITLES = {"GTiff": "GeoTIFF", "JP2OpenJPEG": "JPEG 2000", "PNG": "PNG", "JPEG": "JPEG"}
_REMOTE = re.compile(r"^(?:(?:(?:xyz|wms|wmts):)?[a-zA-Z][a-zA-Z0-9+.-]+://|/vsi)")
_API_ITEM = re.compile(r"/collections/[^/]+/items/[^/]+$")
_LOST_SLASH = re.compile(r"^((?:https?|ftp|s3|gs|az|abfs):)/(?!/)", re.IGNORECASE)
_SUBDATASET = re.compile(r"^[A-Za-z][A-Za-z0-9_]{2,}:")


def is_remote(uri: str) -> bool:
    """Return True if GDAL would look for ``uri`` outside the local file system."""
    return bool(_REMOTE.match(uri)) and not uri.startswith("file://")


def gdal_address(uri: str) -> str:
    """Return the name under which GDAL opens an address.

    An object of S3 is opened by GDAL itself, without rasterio's search for credentials, which needs boto3.

    Raises:
        UsageError: the environment names an endpoint that is no address.
    """
    if not is_s3(uri):
        return uri
    S3Access.of_environment().check()
    return f"/vsis3/{uri[5:]}"


def is_address(name: str) -> bool:
    """Return True if a name is an address, even one that lost one of its slashes as a ``Path``."""
    return is_remote(name) or bool(_LOST_SLASH.match(name))


def whole_address(name: str) -> str:
    """Return an address with the slash that it lost as a ``Path``; other text is unchanged."""
    return _LOST_SLASH.sub(r"\1//", name)


def local_name(uri: str) -> str:
    """Return the path of a ``file://`` address; other text is unchanged.

    Raises:
        SceneError: it is no address.
    """
    try:
        return unquote(urlsplit(uri).path) if uri.startswith("file://") else uri
    except ValueError as error:
        raise SceneError(uri, f"this is no address ({error}).", "Check how it is written.") from error


def is_plain_file(path: Path) -> bool:
    """Return True if a sidecar path is an existing regular file; False too for a name too long for the file system."""
    try:
        return path.is_file()
    except OSError:
        return False


def sniff(head: bytes) -> tuple[str | None, str]:
    """Identify a file by its first bytes, never by its name.

    Returns:
        The GDAL driver that may read it (``VRT`` and ``STAC`` included) or None, and a description of the kind.
    """
    for magic, driver in _MAGIC:
        if head.startswith(magic):
            return driver, _TITLES[driver]
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"{"):
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
        UsageError: it is an address, or a GDAL subdataset string.
    """
    text = local_name(uri)
    if "\x00" in text:
        raise SceneError(repr(uri), "the name holds a NUL character.", "Rename the file.")
    path = Path(text)
    try:
        if not path.exists():
            if path.is_symlink():
                raise SceneError(uri, "the symbolic link leads nowhere.", "Check what it points at.")
            if is_address(text):
                raise UsageError(f"{whole_address(text)}: remote files are not read here. Download it first.")
            if _SUBDATASET.match(text):
                raise UsageError(
                    f"{uri}: GDAL subdataset names are not read. Give the file itself, and its part by --subdataset."
                )
            raise SceneError(uri, "there is no such file.", "Check the path.")
        if path.is_dir():
            raise SceneError(uri, "this is a directory, not one scene.", "Give a file in it.")
        if not path.is_file():
            raise SceneError(uri, "this is not a plain file.", "Give a raster file.")
    except OSError as error:
        raise SceneError(uri, f"the path cannot be used ({error.strerror}).", "Check the path.") from error
    if not os.access(path, os.R_OK):
        raise SceneError(uri, "permission to read it is missing.", "Change the file's permissions.")
    return path


def driver_of(uri: str, path: Path) -> str:
    """Choose the only driver allowed to open a local file.

    Args:
        uri: name for messages.
        path: the file.

    Raises:
        SceneError: the content is of no supported format, or contradicts the suffix.
    """
    driver, kind = sniff(first_bytes(uri, path))
    suffix = path.suffix.lower()
    expected = driver_of_suffix(path)
    if expected is not None and driver != expected:
        raise SceneError(uri, f"not a {_TITLES[expected]} (found: {kind}).", "Download or export it again.")
    if driver is None or (driver == "VRT" and suffix != ".vrt"):
        raise SceneError(uri, f"not a raster that can be read (found: {kind}).", f"Give a {READABLE}.")
    return driver


def driver_of_suffix(path: Path) -> str | None:
    """Return the driver of the image format that a file's suffix names; None for any other suffix."""
    suffix = path.suffix.lower()
    return next((name for name, suffixes in _SUFFIXES.items() if suffix in suffixes), None)


def first_bytes(uri: str, path: Path) -> bytes:
    """Read the head of a file, enough for ``sniff``.

    Args:
        uri: name for messages.
        path: the file.

    Raises:
        SceneError: the operating system refuses, or it is no regular file.
    """
    try:
        return read_input(path, 4096)
    except OSError as error:
        raise SceneError(
            uri, f"it cannot be read ({error.strerror}).", "Check the disk and the permissions."
        ) from error


def remote_driver(uri: str) -> str:
    """Choose the driver of a remote file by its suffix, since its first bytes are unknown before a request.

    Raises:
        SceneError: the suffix is of no supported format.
    """
    try:
        path = urlsplit(uri).path
    except ValueError as error:
        raise SceneError(uri, f"this is no address ({error}).", "Check how it is written.") from error
    suffix = Path(path).suffix.lower()
    if suffix in (".json", ".geojson") or _API_ITEM.search(path):
        return "STAC"
    for driver, suffixes in _SUFFIXES.items():
        if suffix in suffixes:
            return driver
    raise SceneError(
        uri, f"a remote scene cannot be read as {suffix or 'a file without suffix'}.", f"Give a {READABLE}."
    )


def gdal_settings(
    *, sidecars: bool = False, mask_file: bool = False, cache_bytes: int = READ_CACHE_BYTES
) -> rasterio.Env:
    """Make the GDAL environment for opening or reading a file.

    Args:
        sidecars: use .aux.xml and world files; otherwise only the file itself.
        mask_file: look for an external .msk.
        cache_bytes: decoded blocks GDAL may keep while inside.
    """
    return rasterio.Env(
        CPL_DEBUG="OFF",
        GDAL_CACHEMAX=cache_bytes,
        # EMPTY_DIR: GDAL probes for no neighbour file at all, also on object stores; TRUE: it asks for them by name.
        GDAL_DISABLE_READDIR_ON_OPEN="TRUE" if sidecars or mask_file else "EMPTY_DIR",
        GDAL_PAM_ENABLED="YES" if sidecars else "NO",
        # Internal first: GDAL's default lets a stray .aux.xml move a GeoTIFF.
        GDAL_GEOREF_SOURCES="INTERNAL,PAM,WORLDFILE" if sidecars else "INTERNAL",
        GDAL_VRT_ENABLE_PYTHON="NO",
        # its other way of reading whole images does not see that one is cut short
        GDAL_PNG_WHOLE_IMAGE_OPTIM="NO",
        GDAL_HTTP_MAX_RETRY="3",
        GDAL_HTTP_RETRY_DELAY="1",
        GDAL_HTTP_TIMEOUT="60",
        # GDAL would answer from its cache after an object has changed, for as long as the process lives
        CPL_VSIL_CURL_NON_CACHED="/vsis3/:/vsigs/:/vsiaz/:/vsicurl/",
        **S3Access.of_environment().gdal_options(),
    )
