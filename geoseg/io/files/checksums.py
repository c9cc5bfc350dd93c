"""Checksums that come with imagery: a file of ``sha256sum``, or ``file:checksum`` of STAC."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from geoseg.errors import SceneError, UsageError
from geoseg.io.files.drivers import is_remote
from geoseg.io.files.input_file import open_input, read_input

_LINE = re.compile(r"(?P<escaped>\\?)(?P<digest>[0-9a-fA-F]{64}) [ *](?P<name>.+)")
_FUNCTIONS = MappingProxyType({"1114": "sha1", "1220": "sha256", "1340": "sha512"})
"""Prefixes of a multihash, function and length, and their names in hashlib."""
_MOST_BYTES = 2**26
_CURE = "The file is damaged or another one: copy or download it again."


def read_checksums(path: Path) -> dict[Path, str]:
    """Read a file that ``sha256sum`` wrote.

    Args:
        path: the file; names in it are relative to its folder.

    Returns:
        SHA-256 by absolute path.

    Raises:
        UsageError: it cannot be read, or a line is not of that format.
    """
    try:
        text = read_input(path, _MOST_BYTES).decode(errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"--checksum {path}: cannot be read ({error.strerror}). Check the path.") from error
    found: dict[Path, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None and line.strip():
            raise UsageError(f"--checksum {path}: line {number} is not of sha256sum: DIGEST, two spaces, NAME.")
        if match is not None:
            name = match["name"]
            if match["escaped"]:
                name = name.replace("\\n", "\n").replace("\\\\", "\\")
            found[(path.absolute().parent / name).resolve()] = match["digest"].lower()
    if not found:
        raise UsageError(f"--checksum {path}: it names no file. Make it by sha256sum SCENE... > FILE.")
    return found


def verify_listed(uri: str, checksums: Mapping[Path, str], of: Path) -> None:
    """Compare a scene with its entry in a file of checksums.

    Args:
        uri: the scene.
        checksums: as ``read_checksums`` returns them.
        of: the file of checksums, for messages.

    Raises:
        UsageError: it has no entry, or is no local file.
        SceneError: its content is another one.
    """
    if is_remote(uri):
        raise UsageError(f"{uri}: --checksum is compared with local files only. Download it, or leave out --checksum.")
    expected = checksums.get(Path(uri).resolve())
    if expected is None:
        raise UsageError(f"{uri}: {of} has no checksum of it. Add it by sha256sum, or leave out --checksum.")
    _verify(uri, Path(uri), "sha256", expected)


def verify_multihash(uri: str, path: Path, checksum: str) -> None:
    """Compare a file with ``file:checksum`` of STAC; functions other than SHA-1, SHA-256 and SHA-512 are not compared.

    Args:
        uri: name for messages.
        path: the file.
        checksum: multihash in hexadecimal digits.

    Raises:
        SceneError: its content is another one.

    Source:
        STAC extension File Info 2.1; https://multiformats.io/multihash/.
    """
    function = _FUNCTIONS.get(checksum[:4])
    if function is not None:
        _verify(uri, path, function, checksum[4:].lower())


def _verify(uri: str, path: Path, function: str, expected: str) -> None:
    try:
        state = path.stat()
        found = _digest(path, function, (state.st_size, state.st_mtime_ns, state.st_ino))
    except OSError as error:
        raise SceneError(uri, f"it cannot be read ({error.strerror}).", "Check the path.") from error
    if found != expected:
        raise SceneError(uri, f"its {function} is {found[:16]}..., not {expected[:16]}... as its checksum says.", _CURE)


@lru_cache(maxsize=1024)
def _digest(path: Path, function: str, state: tuple[int, int, int]) -> str:
    """Digest of a file in a state: a process that opens it again need not read it again."""
    del state
    with open_input(path) as file:
        return hashlib.file_digest(file, function).hexdigest()
