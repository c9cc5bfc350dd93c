"""Supported vector files: local files, identified by content, of formats that refer to no other files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from urllib.error import URLError
from urllib.parse import unquote, urlsplit

from geoseg.errors import SceneError, UsageError
from geoseg.io.files.drivers import first_bytes, is_address, local_name, sniff, whole_address
from geoseg.io.files.http import ask

READABLE = "GeoPackage, GeoJSON, FlatGeobuf, Shapefile, GeoParquet, KML or file geodatabase"
CONVERT = "Convert it: ogr2ogr -f GPKG OUT.gpkg IN."

DOWNLOAD = "Download it first."

_MAX_DOWNLOAD_BYTES = 4 * 2**30
_TIMEOUT_S = 60


class VectorFormat(StrEnum):
    """Supported formats; none of them refers to another file or an address."""

    geopackage = "GeoPackage"
    flatgeobuf = "FlatGeobuf"
    shapefile = "Shapefile"
    geoparquet = "GeoParquet"
    geojson = "GeoJSON"
    kml = "KML"
    zipped = "zip archive"
    geodatabase = "file geodatabase"


_MAGIC = (
    (b"SQLite format 3\x00", VectorFormat.geopackage),
    (b"fgb\x03fgb", VectorFormat.flatgeobuf),
    (b"\x00\x00\x27\x0a", VectorFormat.shapefile),
    (b"PAR1", VectorFormat.geoparquet),
    (b"PK\x03\x04", VectorFormat.zipped),
)
# formats that name other files or addresses, or make GDAL fetch a schema
_REFUSED_XML = (
    (b"<OGRVRTDataSource", "an OGR VRT, which names other files"),
    (b"<VRTDataset", "a VRT"),
    (b"<gml", "GML"),
    (b"opengis.net/gml", "GML"),
    (b"<gpx", "GPX"),
)


@contextmanager
def local_vector(name: str, *, allow_remote: bool = False, cure: str = DOWNLOAD) -> Iterator[Path]:
    """Provide the local file of a vector file's name; a remote one is downloaded for the duration of the ``with``.

    Args:
        name: path, or address of the web.
        allow_remote: True to allow a request to an address.
        cure: advice for the user if it is not allowed.

    Raises:
        UsageError: it is an address and ``allow_remote`` is off, or an address other than http(s).
        SceneError: it is missing, or cannot be downloaded.
    """
    if not is_address(name):
        yield _existing(name)
        return
    name = whole_address(name)
    if name.startswith("/vsi") or not name.lower().startswith(("http://", "https://")):
        raise UsageError(f"{name}: vector files are read from this machine or https://. {DOWNLOAD}")
    if not allow_remote:
        raise UsageError(f"{name}: remote vector files are not read by default. {cure}")
    with TemporaryDirectory() as folder:
        file = Path(folder, f"download{PurePosixPath(unquote(urlsplit(name).path)).suffix[:20]}")
        _download(name, file)
        yield file


def format_of(name: str, path: Path) -> VectorFormat:
    """Identify the format of a local file by its first bytes, never by its name.

    Args:
        name: for messages.
        path: the file from ``local_vector``; a folder is a file geodatabase.

    Raises:
        SceneError: the format is not supported.
    """
    if path.is_dir():
        return VectorFormat.geodatabase
    head = first_bytes(name, path)
    for magic, form in _MAGIC:
        # a binary file has a NUL byte early on, so no reader can take it for a text that names other files
        if head.startswith(magic) and b"\x00" in head[:64]:
            return form
        if head.startswith(magic) and form is VectorFormat.geoparquet:
            return form
    text = head.lstrip(b"\xef\xbb\xbf\x1e \t\r\n")
    if text.startswith(b"{"):
        return VectorFormat.geojson
    kind = sniff(head)[1]
    if text.startswith(b"<") and kind != "an HTML page":
        found = next((words for sign, words in _REFUSED_XML if sign in head), None)
        if found is None and (b"<kml" in head or b":kml" in head):
            return VectorFormat.kml
        kind = found or kind
    if path.suffix.lower() in {".dbf", ".shx", ".prj", ".cpg"}:
        raise SceneError(name, f"it is a part of a Shapefile ({path.suffix}).", "Give the .shp in its folder.")
    cure = CONVERT if text.startswith(b"<") and "HTML" not in kind and "VRT" not in kind else ""
    raise SceneError(name, f"it cannot be read as polygons (found: {kind}).", f"Give a {READABLE}. {cure}".strip())


def _existing(name: str) -> Path:
    text = local_name(name)
    path = Path(text)
    if "\x00" in text:
        raise SceneError(repr(name), "it cannot be read: the name holds a NUL character.", "Rename the file.")
    try:
        if path.suffix.lower() == ".gdb" and next(path.glob("*.gdbtable"), None) is not None:
            return path
        if path.is_file():
            with path.open("rb"):
                return path
        cause = "this is not a plain file" if path.exists() else "there is no such file"
    except OSError as error:
        cause = str(error.strerror)
    cure = "Give a vector file in it." if path.is_dir() else "Check the path."
    raise SceneError(name, f"it cannot be read: {cause}.", cure)


def _download(address: str, file: Path) -> None:
    try:
        with ask(address, timeout_s=_TIMEOUT_S) as answer, file.open("wb") as out:
            if int(answer.headers.get("Content-Length") or 0) > _MAX_DOWNLOAD_BYTES:
                raise SceneError(address, f"it is larger than {_MAX_DOWNLOAD_BYTES / 2**30:.0f} GiB.", "Cut it.")
            shutil.copyfileobj(answer, out)
    except (URLError, OSError, ValueError) as error:
        if isinstance(error, SceneError):
            raise
        raise SceneError(address, f"it cannot be fetched ({error}).", "Check the address.") from error
