"""Errors of Python, the operating system and the libraries that are no bug of geoseg, in words of the user."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import Final

_MEMORY: Final = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "unable to allocate",
    "could not allocate",
    "not enough memory",
    "std::bad_alloc",
    "bad allocation",
    "bad_alloc",
    "failed to map segment",
    "can't start new thread",
    "memory allocation failed",
    "failed to allocate",
    "allocation failed",
)
_OUT_OF_MEMORY: Final = "out of memory. Free memory, or raise the limit that this process has."
_OPEN_FILES: Final = "too many open files. Raise the limit that this process has (ulimit -n), or use fewer workers."


def resource_fault(error: BaseException) -> str | None:
    """Say in a sentence which resource of the machine was missing; None where it is another kind of error.

    Args:
        error: what was raised; causes and contexts are looked at too.
    """
    if any(_is_memory(inner) for inner in _causes(error)):
        return _OUT_OF_MEMORY
    shortage = open_files_fault(error)
    if shortage is not None:
        return shortage
    if isinstance(error, OSError) and error.errno is not None:
        if error.filename is None:
            return f"standard output or a file cannot be written or read ({error.strerror}). Check where output goes."
        return f"{error.filename}: cannot be used ({error.strerror}). Check the path, the disk and the permissions."
    return None


def open_files_fault(error: BaseException) -> str | None:
    """Say in a sentence that the process has too many open files; None where that is not the cause.

    A file that cannot be opened for that reason is often reported as one that cannot be read.

    Args:
        error: what was raised; causes and contexts are looked at too.
    """
    return _OPEN_FILES if any(_is_open_files(inner) for inner in _causes(error)) else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    inner: BaseException | None = error
    while inner is not None and id(inner) not in seen:
        seen.add(id(inner))
        yield inner
        inner = inner.__cause__ or inner.__context__


def _is_open_files(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}:
        return True
    return not isinstance(error, AssertionError) and "too many open files" in str(error).lower()


def _is_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno in {errno.ENOMEM, errno.EAGAIN}:
        return True
    text = str(error).lower()
    return not isinstance(error, AssertionError) and any(words in text for words in _MEMORY)
