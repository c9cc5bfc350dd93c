"""Check finished output on an object store: each scene is read, compared with its digests and looked into."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from geoseg.archive.check import Checked, check_folder
from geoseg.archive.outputs.store_manifest import StoreManifest, reading
from geoseg.errors import UsageError
from geoseg.io.files.recorded_file import FileState
from geoseg.io.objects.object_folder import ObjectFolder


def check_store(address: str) -> Iterator[Checked]:
    """Check the output of an archive under ``s3://bucket/prefix``; nothing is changed, one scene is here at a time.

    Args:
        address: the archive's place.

    Yields:
        One result for each scene that the records list as done; its paths begin with the scene's name.

    Raises:
        UsageError: there is no archive, or the store cannot be used.
        ResourceError: the store refuses or cannot be reached.
    """
    folder, empty = ObjectFolder(address), True
    for entry in StoreManifest(folder).entries():
        empty = False
        if entry.record.state == "done":
            yield _checked(folder, entry.record.layers, entry.objects)
    if empty:
        raise UsageError(f"{folder.address}: holds no archive. Give the out of an archive's configuration.")


def _checked(folder: ObjectFolder, layers: str, objects: dict[str, str]) -> Checked:
    with TemporaryDirectory(prefix="geoseg-check-") as scratch:
        copy = Path(scratch, Path(layers).name)
        copy.mkdir()
        with reading(folder):
            others = [name for name, e_tag in objects.items() if not _fetched(folder, f"{layers}/{name}", e_tag, copy)]
        states = [
            replace(state, path=Path(layers, state.path.name), cause=state.cause.replace(f"{copy}/", f"{layers}/"))
            for state in check_folder(copy)
        ]
    told = {state.path.name for state in states if state.condition != "whole"}
    cause = "it is not the object that the record names"
    more = [FileState(path=Path(layers, name), condition="changed", cause=cause) for name in others if name not in told]
    kept = [state for state in states if state.path.name not in {one.path.name for one in more}]
    return Checked(folder=Path(layers), states=(*kept, *more))


def _fetched(folder: ObjectFolder, path: str, e_tag: str, copy: Path) -> bool:
    """Copy an object here; return whether it is the one that a record names, or missing, which its digest tells."""
    state = folder.download(path, copy / path.rpartition("/")[2])
    return state is None or state == e_tag
