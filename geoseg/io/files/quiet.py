"""Warnings of GDAL and its bindings: those that say nothing are kept away, the others are collected for notes."""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from rasterio.errors import NotGeoreferencedWarning

_LOCK = threading.Lock()
_inside: list[warnings.catch_warnings[None]] = []
_depth = 0


class _Collector(logging.Handler):
    """Takes what rasterio logs of GDAL's messages; with it, Python prints none of them to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        for words in getattr(_listening, "stack", ()):
            words.append(" ".join(re.sub(r"^CPLE_\w+ in ", "", record.getMessage()).split()))


_listening = threading.local()
logging.getLogger("rasterio").addHandler(_Collector(logging.WARNING))


@contextmanager
def gdal_messages() -> Iterator[list[str]]:
    """Collect what GDAL warns of in this thread; inside of a ``rasterio.Env`` only, elsewhere GDAL prints it."""
    words: list[str] = []
    stack: list[list[str]] = _listening.__dict__.setdefault("stack", [])
    stack.append(words)
    try:
        yield words
    finally:
        del stack[-1]


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what rasterio says of rasters without a place, and pyogrio of layers; its errors are raised all the same.

    Python's filters of warnings are one list for the whole process, and ``warnings.catch_warnings`` puts back the list
    it found: of two threads, the one that leaves first would take the other's filters away. So the first that comes
    sets the filters and the last that leaves removes them.
    """
    global _depth  # noqa: PLW0603 - as are the filters themselves
    with _LOCK:
        if _depth == 0:
            caught = warnings.catch_warnings()
            caught.__enter__()
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            warnings.filterwarnings("ignore", message=".*'crs' was not provided")
            warnings.filterwarnings("ignore", module="pyogrio")
            _inside.append(caught)
        _depth += 1
    try:
        yield
    finally:
        with _LOCK:
            _depth -= 1
            if _depth == 0:
                _inside.pop().__exit__(None, None, None)
