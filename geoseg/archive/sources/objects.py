"""Objects of a store: listed by obstore (S3) or fsspec, read by GDAL under the same address."""

from __future__ import annotations

from collections.abc import Iterator

import fsspec

from geoseg.archive.fingerprints import stamp_of_object
from geoseg.archive.sources.config import ObjectsSource
from geoseg.archive.sources.files import takes
from geoseg.archive.sources.scene_names import name_of_path
from geoseg.archive.sources.scene_ref import SceneRef
from geoseg.core.digest import sha256_of_json
from geoseg.core.types.json_value import JsonObject
from geoseg.errors import SceneError, UsageError
from geoseg.io.files.drivers import is_remote
from geoseg.io.objects.access import CREDENTIALS_CURE, is_s3
from geoseg.io.objects.object_folder import ObjectFolder

_STATE = ("ETag", "etag", "md5Hash", "checksum", "generation", "mtime", "LastModified", "last_modified", "updated")


def object_scenes(source: ObjectsSource, *, allow_remote: bool = False) -> Iterator[SceneRef]:
    """List the rasters under a prefix, folder by folder, so that a large store is not held in memory.

    Raises:
        UsageError: remote stores are not allowed, or the package for this kind of store is not installed.
        SceneError: the store cannot be listed.
    """
    remote = is_remote(source.path)
    if remote and not allow_remote:
        raise UsageError(f"{source.path}: remote stores are not listed by default. Set opening: allow_remote.")
    if is_s3(source.path) and not source.options:
        yield from _listed(source)
        return
    try:
        system, root = fsspec.core.url_to_fs(source.path, **source.options)
    except (ImportError, ValueError, TypeError) as error:
        raise UsageError(f"{source.path}: cannot be listed ({error}). Install what it names.") from error
    root = root.rstrip("/")
    try:
        for folder, _, files in system.walk(root, detail=True):
            for name in sorted(files):
                path = f"{folder.rstrip('/')}/{name.rpartition('/')[2]}".removeprefix(root).lstrip("/")
                if name and takes(path, source.glob, source.exclude):
                    uri = f"{source.path.rstrip('/')}/{path}" if remote else f"{root}/{path}"
                    yield SceneRef(name=name_of_path(path), uri=uri, bands=source.bands, stamp=_stamp(files[name]))
    except (OSError, PermissionError) as error:
        raise SceneError(source.path, f"it cannot be listed ({error}).", "Check address and credentials.") from error


def _listed(source: ObjectsSource) -> Iterator[SceneRef]:
    """List an S3-compatible store, with the credentials that GDAL will read it with."""
    address = source.path.rstrip("/")
    try:
        for state in ObjectFolder(address).list():
            if takes(state.path, source.glob, source.exclude):
                uri, stamp = f"{address}/{state.path}", stamp_of_object(state)
                yield SceneRef(name=name_of_path(state.path), uri=uri, bands=source.bands, stamp=stamp)
    except OSError as error:
        raise SceneError(source.path, f"it cannot be listed ({error}).", CREDENTIALS_CURE) from error


def _stamp(facts: JsonObject) -> str:
    state = {key: str(facts[key]) for key in _STATE if facts.get(key) is not None}
    return sha256_of_json(state | {"size": str(facts.get("size"))}) if state else ""
