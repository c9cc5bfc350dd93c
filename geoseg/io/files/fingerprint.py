"""Fingerprints of files: a full digest for records, and a cheap state to detect changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from geoseg.errors import SceneError
from geoseg.io.files.input_file import open_input


def digest_files(uri: str, files: Iterable[str]) -> str:
    """Hash the content of files with SHA-256, as the hash of their hashes; names are not included.

    Args:
        uri: name for messages.
        files: paths.

    Raises:
        SceneError: one cannot be read.
    """
    total = hashlib.sha256()
    for name in files:
        try:
            with open_input(Path(name)) as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise SceneError(uri, f"{name} cannot be read ({error.strerror}).", "Restore it.") from error
    return total.hexdigest()


def state_of_files(uri: str, files: Iterable[str]) -> tuple[tuple[str, int, int, int], ...]:
    """Return the state of files without reading them: name, size in bytes, time of change in ns, inode.

    Args:
        uri: name for messages.
        files: paths.

    Raises:
        SceneError: a file is missing.
    """
    try:
        stats = [(name, Path(name).stat()) for name in files]
    except OSError as error:
        raise SceneError(
            uri, f"it went away while being read ({error.strerror}).", "Restore it and run again."
        ) from error
    return tuple((name, stat.st_size, stat.st_mtime_ns, stat.st_ino) for name, stat in stats)
