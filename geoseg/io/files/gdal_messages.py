"""Warnings of GDAL and its bindings: meaningless ones are suppressed, the others are collected for notes."""

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
    """Log handler that collects rasterio's log of GDAL messages, so that Python prints none to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        for words in getattr(_listening, "stack", ()):
            words.append(" ".join(re.sub(r"^CPLE_\w+ in ", "", record.getMessage()).split()))


_listening = threading.local()
logging.getLogger("rasterio").addHandler(_Collector(logging.WARNING))


@contextmanager
def gdal_messages() -> Iterator[list[str]]:
    """Collect GDAL warnings of this thread; works only inside a ``rasterio.Env``, elsewhere GDAL prints them."""
    words: list[str] = []
    stack: list[list[str]] = _listening.__dict__.setdefault("stack", [])
    stack.append(words)
    try:
        yield words
    finally:
        del stack[-1]


@contextmanager
def suppress_gdal_messages() -> Iterator[None]:
    """Suppress warnings of rasterio on rasters without georeference and of pyogrio on layers; errors are still raised.

    Python's warning filters are one list for the whole process, and ``warnings.catch_warnings`` restores the list that
    it found: of two threads, the first to leave would remove the other's filters. So the first thread to enter sets the
    filters and the last one to leave removes them.
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
