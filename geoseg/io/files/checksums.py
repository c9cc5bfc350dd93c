"""Checksums that come with imagery: a file of ``sha256sum``, or ``file:checksum`` of STAC."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from geoseg.errors import SceneError, UsageError
from geoseg.io.files.drivers import is_remote, local_path
from geoseg.io.files.input_file import open_input, read_input

_LINE = re.compile(r"(?P<escaped>\\?)(?P<digest>[0-9a-fA-F]{64}) [ *](?P<name>.+)", re.DOTALL)
_ESCAPE = re.compile(r"\\([\\nr])")
_ESCAPED = MappingProxyType({"\\": "\\", "n": "\n", "r": "\r"})
"""Escapes of ``sha256sum`` in a name whose line begins with a backslash."""
_FUNCTIONS = MappingProxyType({"1114": "sha1", "1220": "sha256", "1340": "sha512"})
"""Prefixes of a multihash, function and length, and their names in hashlib."""
_MOST_BYTES = 2**26
_CURE = "The file is damaged or another one: copy or download it again."


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedChecksums:
    """Checksums of a file that ``sha256sum`` wrote.

    Attributes:
        path: that file, for messages.
        digests: SHA-256 by real path.
    """

    path: Path
    digests: Mapping[str, str]

    def verify(self, uri: str) -> None:
        """Compare the file that a scene's name leads to, before anything else reads it.

        Raises:
            UsageError: it has no checksum here, or is not on this machine.
            SceneError: it cannot be read, or its content is another one.
        """
        if is_remote(uri):
            raise _not_local(uri)
        self._compare(uri, local_path(uri))

    def verify_all(self, uri: str, files: Iterable[str], *, remote: bool) -> None:
        """Compare every file of an opened scene: of a STAC item or VRT also the files that it names, and sidecars.

        Files that were compared before, and did not change, are not read again.

        Args:
            uri: the scene.
            files: its files on this machine.
            remote: True if it has others too.

        Raises:
            UsageError: one has no checksum here, or is not on this machine.
            SceneError: one cannot be read, or its content is another one.
        """
        if remote:
            raise _not_local(uri)
        for name in files:
            self._compare(name, Path(name))

    def _compare(self, name: str, path: Path) -> None:
        expected = self.digests.get(os.path.realpath(path))
        if expected is None:
            raise UsageError(
                f"{name}: {self.path} has no checksum of it. Add it by sha256sum, or leave out --checksum."
            )
        _verify(name, path, "sha256", expected)


def _not_local(uri: str) -> UsageError:
    cure = "Download it, or leave out --checksum."
    return UsageError(f"{uri}: --checksum is compared with local files only, and not all of it is one. {cure}")


def read_checksums(path: Path) -> ListedChecksums:
    """Read a file that ``sha256sum`` wrote; names in it are relative to its folder.

    Raises:
        UsageError: it cannot be read, a line is not of that format, or two lines differ on one file.
    """
    try:
        text = read_input(path, _MOST_BYTES).decode(errors="surrogateescape")
    except OSError as error:
        raise UsageError(f"--checksum {path}: cannot be read ({error.strerror}). Check the path.") from error
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):  # a name may hold other ends of lines
        match = _LINE.fullmatch(line.removesuffix("\r"))
        if match is None and not line.strip():
            continue
        if match is None or "\x00" in line:
            raise UsageError(f"--checksum {path}: line {number} is not of sha256sum: DIGEST, two spaces, NAME.")
        name = _ESCAPE.sub(lambda escape: _ESCAPED[escape[1]], match["name"]) if match["escaped"] else match["name"]
        file, digest = os.path.realpath(path.absolute().parent / name), match["digest"].lower()
        if found.setdefault(file, digest) != digest:
            raise UsageError(f"--checksum {path}: line {number} gives {name} another digest than a line before it.")
    if not found:
        raise UsageError(f"--checksum {path}: it names no file. Make it by sha256sum SCENE... > FILE.")
    return ListedChecksums(path=path, digests=found)


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
