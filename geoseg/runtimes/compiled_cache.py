"""Compiled networks, kept in a folder of the user so that the next process need not convert and compile them again."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from geoseg.core.digest import sha256_of_json
from geoseg.io.files.writing import replace_file

FOLDER_VARIABLE = "GEOSEG_CACHE_DIR"
"""Environment variable that names the folder of caches; empty: nothing is kept."""

LIMIT_BYTES = 2_000_000_000
"""Most that is kept; what was used longest ago is removed first."""

_DIGEST_BYTES = 32
_SUFFIX = ".compiled"
_CODE = ("nn", "models/heads.py", "models/network.py", "models/softmax_head.py")
"""Sources that decide what a network computes, besides its weights."""


def cache_folder() -> Path | None:
    """Return the folder of compiled networks; None where the user keeps none.

    It is ``compiled`` in ``$GEOSEG_CACHE_DIR`` or, unless that is set, in the user's cache of geoseg.
    """
    named = os.environ.get(FOLDER_VARIABLE)
    if named is not None:
        return Path(named) / "compiled" if named else None
    try:
        home = Path.home()
    except RuntimeError:  # a user without a home
        return None
    usual = {"darwin": home / "Library" / "Caches", "win32": Path(os.environ.get("LOCALAPPDATA", home))}
    caches = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return usual.get(sys.platform, caches) / "geoseg" / "compiled"


class CompiledCache:
    """Compiled forms of one network; safe for several processes that read and write at a time.

    A file is a SHA-256 and what it is the digest of, so a damaged one counts as missing. Where the folder cannot be
    written, nothing is kept.

    Args:
        folder: of all compiled networks.
        network: digest of everything that the network's answers depend on.
        limit_bytes: most that is kept in ``folder``.
    """

    def __init__(self, folder: Path, network: str, *, limit_bytes: int = LIMIT_BYTES) -> None:
        parts = [network, _code_digest(), _version("torch")]
        self._root, self._limit = folder, limit_bytes
        self._folder = folder / sha256_of_json(parts)[:32]

    @property
    def filled(self) -> bool:
        """True where the network was compiled before, for whatever tile or precision, so that it is known to work."""
        return any(self._folder.glob(f"*{_SUFFIX}"))

    def read(self, form: str) -> bytes | None:
        """Return a compiled form of the network; None where it is missing or damaged."""
        path = self._path(form)
        try:
            content = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        digest, compiled = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        return compiled if hashlib.sha256(compiled).digest() == digest else None

    def write(self, form: str, compiled: bytes) -> None:
        """Keep a compiled form, and remove what was used longest ago where there is too much."""
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_file(self._path(form), hashlib.sha256(compiled).digest() + compiled)
            _shrink(self._root, self._limit)

    def _path(self, form: str) -> Path:
        return self._folder / (hashlib.sha256(form.encode()).hexdigest()[:32] + _SUFFIX)


def kept_bytes(folder: Path) -> int:
    """Sum up the sizes of all compiled networks in a folder."""
    return sum(size for _, size, _ in _files(folder))


def clear(folder: Path) -> None:
    """Remove all compiled networks of a folder."""
    for _, _, path in _files(folder):
        with suppress(OSError):
            path.unlink()


def _shrink(folder: Path, limit_bytes: int) -> None:
    files = sorted(_files(folder))
    total = sum(size for _, size, _ in files)
    for _, size, path in files[:-1]:  # the newest stays, however large it is
        if total <= limit_bytes:
            return
        with suppress(OSError):
            path.unlink()
        total -= size


def _files(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Yield time of use, size and path of each file; some may be removed meanwhile."""
    for path in folder.glob(f"*/*{_SUFFIX}"):
        with suppress(OSError):
            state = path.stat()
            yield state.st_mtime_ns, state.st_size, path


@lru_cache(maxsize=1)
def _code_digest() -> str:
    root = Path(__file__).resolve().parents[1]
    found = hashlib.sha256(_version("geoseg").encode())
    for part in _CODE:
        for path in sorted((root / part).rglob("*.py")) if (root / part).is_dir() else [root / part]:
            found.update(path.read_bytes())
    return found.hexdigest()


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return ""
