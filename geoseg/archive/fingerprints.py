"""Detection of changed imagery without reading its pixels.

Local files: size and time of change of the scene's own files and of all sidecars that could georeference or mask it.
Remote files: the state given by the listing, else size, ETag and time of change from one HEAD request to a server of
the web or an S3-compatible store. A digest of the
pixels is taken when a scene is segmented and stored with the stamp; while the stamp is unchanged, the digest is valid.
"""

from __future__ import annotations

from collections.abc import Iterable
from http.client import HTTPException
from pathlib import Path
from urllib.request import Request

from geoseg.archive.sources.scene_ref import SceneRef
from geoseg.core.digest import sha256_of_json
from geoseg.errors import UsageError
from geoseg.io.files.drivers import is_remote
from geoseg.io.files.http import ask
from geoseg.io.objects.access import is_s3
from geoseg.io.objects.object_folder import StoredObject, state_of_object

_BESIDE = (".tfw", ".tifw", ".wld", ".pgw", ".jgw", ".j2w", ".prj")
_HEADERS = ("ETag", "Last-Modified", "Content-Length")
_TIMEOUT_S = 30.0

Files = dict[str, tuple[int, int]]
"""Path to size in bytes and time of change in ns."""


def state_of(ref: SceneRef, known: Iterable[str] = (), *, allow_remote: bool = False) -> tuple[Files, str]:
    """Return the state of a scene's imagery without reading pixels.

    Args:
        ref: the scene.
        known: further local files it was read from before (assets of an item, sources of a VRT).
        allow_remote: ask the host of a remote scene; without it no request is sent.

    Returns:
        States of local files, and the stamp of remote ones; both empty if unknown.
    """
    if ref.refused:
        return {}, sha256_of_json(ref.refused)
    if is_remote(ref.uri):
        return {}, ref.stamp or (_asked(ref.uri) if allow_remote else "")
    path = Path(ref.uri)
    sidecars = [str(path.with_suffix(suffix)) for suffix in _BESIDE]
    sidecars += [f"{ref.uri}{suffix}" for suffix in (".aux.xml", ".msk", ".MSK")]
    names = dict.fromkeys((ref.uri, *sidecars, *known))
    return {name: state for name in names if (state := _stat(name)) is not None}, ref.stamp


def _stat(name: str) -> tuple[int, int] | None:
    try:
        stat = Path(name).stat()
    except (OSError, ValueError):
        return None
    return stat.st_size, stat.st_mtime_ns


def _asked(uri: str) -> str:
    """Ask a server for the state of one file; empty if it gives none, so that the scene counts as changed."""
    if is_s3(uri):
        return _asked_store(uri)
    if not uri.startswith(("http://", "https://")):
        return ""
    try:
        with ask(Request(uri, method="HEAD"), timeout_s=_TIMEOUT_S) as answer:  # noqa: S310 - http and https only
            headers = {name: answer.headers[name] for name in _HEADERS if answer.headers[name]}
    except (OSError, ValueError, HTTPException):  # ValueError: what only looks like an address
        return ""
    return sha256_of_json(headers) if headers.keys() & {"ETag", "Last-Modified"} else ""


def stamp_of_object(state: StoredObject) -> str:
    """Return the stamp of an object of a store: another one where its content was replaced."""
    return sha256_of_json({"ETag": state.e_tag, "size": state.size_bytes})


def _asked_store(uri: str) -> str:
    try:
        state = state_of_object(uri)
    except (OSError, UsageError):  # opening the scene tells the reason
        return ""
    return "" if state is None or not state.e_tag else stamp_of_object(state)
