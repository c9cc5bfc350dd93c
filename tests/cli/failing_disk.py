"""A disk on which one call fails: the Nth that writes, syncs, renames, removes or makes something in a folder."""

from __future__ import annotations

import builtins
import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from unittest import mock

CALLS = ("mkdir", "replace", "rename", "link", "symlink", "unlink", "rmdir", "fsync", "utime")


class FailingDisk:
    """Count the calls below a folder, and let one of them fail.

    Args:
        folder: where calls count.
        nth: number of the call that fails, from 0; None: none.
        error: its errno.

    Attributes:
        calls: what was called, in order, each with the name it was for.
    """

    def __init__(self, folder: Path, nth: int | None = None, error: int = errno.EIO) -> None:
        self._folder, self._nth, self._error = os.path.realpath(folder), nth, error
        self.calls: list[str] = []

    @property
    def failed(self) -> str | None:
        """The call that failed."""
        return None if self._nth is None or self._nth >= len(self.calls) else self.calls[self._nth]

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """Put the failing calls in the place of Python's own."""
        with (
            mock.patch.object(builtins, "open", self._open(builtins.open)),
            mock.patch.object(io, "open", self._open(io.open)),
            mock.patch.multiple(os, open=self._os_open(os.open), **self._all_wrapped()),
        ):
            yield

    def count(self, name: str, path: Any) -> None:
        """Count a call for a path or a descriptor.

        Raises:
            OSError: it is the one that fails.
        """
        try:
            where = os.path.realpath(f"/proc/self/fd/{path}" if isinstance(path, int) else path)
        except (OSError, TypeError, ValueError):
            return
        if not os.fsdecode(where).startswith(self._folder):
            return
        self.calls.append(f"{name} {os.path.relpath(os.fsdecode(where), self._folder)}")
        if len(self.calls) - 1 == self._nth:
            raise OSError(self._error, os.strerror(self._error), os.fsdecode(where))

    def _all_wrapped(self) -> dict[str, Any]:
        return {name: self._wrapped(name) for name in CALLS}

    def _os_open(self, original: Callable[..., int]) -> Callable[..., int]:
        def opened(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if flags & (os.O_WRONLY | os.O_RDWR) and options.get("dir_fd") is None:
                self.count("open", path)
            return original(path, flags, *arguments, **options)

        return opened

    def _wrapped(self, name: str) -> Callable[..., Any]:
        original = getattr(os, name)

        def call(path: Any, *arguments: Any, **options: Any) -> Any:
            folder = options.get("dir_fd", options.get("src_dir_fd"))
            self.count(name, path if folder is None else f"/proc/self/fd/{folder}/{path}")
            return original(path, *arguments, **options)

        return call

    def _open(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def opened(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if isinstance(file, int) or not set(mode) & set("wxa+"):
                return original(file, mode, *arguments, **options)
            self.count("open", file)
            return _Counted(original(file, mode, *arguments, **options), file, self)

        return opened


class _Counted:
    """A file whose writes count."""

    def __init__(self, file: Any, path: Any, disk: FailingDisk) -> None:
        self._file, self._path, self._disk = file, path, disk

    def write(self, content: Any) -> Any:
        self._disk.count("write", self._path)
        return self._file.write(content)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._file)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
