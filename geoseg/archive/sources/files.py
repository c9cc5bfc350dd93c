"""Scenes that are files: of a folder, listed once or watched, and of a text list."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from geoseg.archive.sources.config import FolderSource, ListSource
from geoseg.archive.sources.scene_names import name_of_address, name_of_path
from geoseg.archive.sources.scene_ref import SceneRef
from geoseg.errors import UsageError
from geoseg.io.files.drivers import is_remote

SUFFIXES = (".tif", ".tiff", ".jp2", ".png", ".jpg", ".jpeg", ".vrt")
"""Files taken from a folder; others can be named by a pattern or a list."""

_LIST_MAX_LINE = 8192


def folder_scenes(
    source: FolderSource, *, allow_vrt: bool = False, leave_out: Path | None = None
) -> Iterator[SceneRef]:
    """List the rasters of a folder by path; hidden files and folders are left out, links to folders not followed.

    Args:
        source: the folder.
        allow_vrt: take .vrt files.
        leave_out: folder of the archive's output, which is skipped if it lies inside.

    Raises:
        UsageError: the folder does not exist, cannot be read, or is the output itself.
    """
    root = source.path
    if not root.is_dir():
        raise UsageError(f"{root}: no such folder. Check the archive's source.")
    inside = "" if leave_out is None else _below(root, leave_out)
    if inside == "." and source.recursive:
        raise UsageError(
            f"{root}: out is the folder of the scenes, so layers would be taken for scenes. Choose another."
        )
    for path in _walk(root, "", recursive=source.recursive, leave_out=inside):
        if takes(path, source.glob, source.exclude, allow_vrt=allow_vrt):
            yield SceneRef(name=name_of_path(path), uri=str(root / path), bands=source.bands)


def watch_scenes(
    source: FolderSource, stop: threading.Event, *, allow_vrt: bool = False, leave_out: Path | None = None
) -> Iterator[SceneRef | None]:
    """List the rasters of a folder, then watch it for new and changed ones until ``stop`` is set.

    A file is taken only when its size and time of change have been constant for ``settle_s``, so that a file being
    copied is not read too early. A file is taken again only after it changed.

    Args:
        source: the folder.
        stop: ends the listing at once.
        allow_vrt: take .vrt files.
        leave_out: see ``folder_scenes``.

    Yields:
        A scene, or None while there is none, about once a second.
    """
    taken: dict[str, tuple[int, int]] = {}
    pending: dict[str, tuple[tuple[int, int], float]] = {}
    while not stop.is_set():
        for ref in folder_scenes(source, allow_vrt=allow_vrt, leave_out=leave_out):
            state = _state(ref.uri)
            if state is None or taken.get(ref.name) == state:
                continue
            before, since = pending.get(ref.name, (None, 0.0))
            if before != state:
                since = time.monotonic()
                pending[ref.name] = (state, since)
            if time.monotonic() - since >= source.settle_s:
                taken[ref.name] = state
                del pending[ref.name]
                yield ref
            if stop.is_set():
                return
        wait = min(source.poll_s, source.settle_s) if pending else source.poll_s
        until = time.monotonic() + wait
        while not stop.wait(min(1.0, max(0.0, until - time.monotonic()))) and time.monotonic() < until:
            yield None
        yield None


def list_scenes(source: ListSource) -> Iterator[SceneRef]:
    """List the paths and addresses of a text file; a line that occurs twice is listed twice, under one name.

    Raises:
        UsageError: the list cannot be read or is no text.
    """
    folder = source.path.absolute().parent
    try:
        with source.path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                entry = line.split(" #")[0].strip() if not line.startswith("#") else ""
                if len(line) > _LIST_MAX_LINE or "\0" in entry:
                    raise UsageError(f"{source.path}: line {number} is no path. Give one path or address a line.")
                if entry:
                    yield _listed(folder, entry, source.bands)
    except OSError as error:
        raise UsageError(f"{source.path}: cannot be read ({error.strerror}). Check the archive's source.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{source.path}: not UTF-8 (byte {error.start}). Save it as UTF-8.") from error


def takes(path: str, glob: str | None, exclude: tuple[str, ...], *, allow_vrt: bool = False) -> bool:
    """Return True if a relative path matches the patterns of a source.

    Args:
        path: path relative to the folder, with ``/``.
        glob: pattern of names to take; None: all rasters.
        exclude: patterns of names to leave out.
        allow_vrt: take .vrt files.
    """
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122 - a relative path of a listing, not of a file here
    if any(_fits(path, pattern) for pattern in exclude) or (suffix == ".vrt" and not allow_vrt):
        return False
    return suffix in SUFFIXES if glob is None else _fits(path, glob)


def _fits(path: str, pattern: str) -> bool:
    return fnmatchcase(path if "/" in pattern else path.rpartition("/")[2], pattern)


def _below(root: Path, folder: Path) -> str:
    """Return the path of a folder relative to another one; empty if it does not lie inside."""
    root, folder = Path(os.path.realpath(root)), Path(os.path.realpath(folder))  # as resolve, and ends in a circle
    return folder.relative_to(root).as_posix() if folder.is_relative_to(root) else ""


def _walk(root: Path, inside: str, *, recursive: bool, leave_out: str) -> Iterator[str]:
    try:
        with os.scandir(root / inside) as listing:
            entries = sorted((entry for entry in listing if not entry.name.startswith(".")), key=lambda e: e.name)
    except OSError as error:
        raise UsageError(f"{root / inside}: the folder cannot be read ({error.strerror}).") from error
    for entry in entries:
        path = f"{inside}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            if recursive and path != leave_out:
                yield from _walk(root, f"{path}/", recursive=True, leave_out=leave_out)
        elif entry.is_file():
            yield path


def _listed(folder: Path, entry: str, bands: tuple[str, ...] | None) -> SceneRef:
    if is_remote(entry):
        return SceneRef(name=name_of_address(entry), uri=entry, bands=bands)
    path = Path(os.path.normpath(folder / entry))
    inside = path.is_relative_to(folder)
    name = name_of_path(path.relative_to(folder).as_posix()) if inside else name_of_address(str(path))
    return SceneRef(name=name, uri=str(path), bands=bands)


def _state(uri: str) -> tuple[int, int] | None:
    try:
        stat = Path(uri).stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns
