"""Requests for tiles: with a login, a limit, retries, and a cache, so that no tile is asked for twice."""

from __future__ import annotations

import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException, IncompleteRead
from urllib.error import HTTPError, URLError

from geoseg.core.text import without_logins
from geoseg.errors import SceneError
from geoseg.io.files.http import ask, request_with_login

TIMEOUT_S = 60.0
ATTEMPTS = 3
PAUSE_S = 1.0
"""Pause before the second attempt, seconds; doubled before the third."""

_MOST_BYTES = 64 * 2**20
_CACHE_BYTES, _CACHE_MEMORY_BYTES = 4 * 2**30, 64 * 2**20
_TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_MISSING = frozenset({204, 404, 410})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """An answer of a server: the content, or None where the server has nothing there."""

    content: bytes | None


def fetch(shown: str, address: str, *, limit: int = _MOST_BYTES) -> Fetched:
    """Ask for a document; an overloaded server or a lost connection is tried again.

    Args:
        shown: name for messages, without login.
        address: http(s) address; its login is sent to this server alone.
        limit: most bytes.

    Raises:
        SceneError: the server refuses, fails or does not answer, or the answer is too large.
    """
    for attempt in range(ATTEMPTS):
        try:
            return _asked(shown, address, limit)
        except _BusyError as busy:
            refusal = busy.refusal
        if attempt < ATTEMPTS - 1:
            time.sleep(PAUSE_S * 2**attempt)
    raise refusal


class _BusyError(Exception):
    """A failure that may pass; ``refusal`` is what to raise if it does not."""

    def __init__(self, refusal: SceneError) -> None:
        super().__init__()
        self.refusal = refusal


def _asked(shown: str, address: str, limit: int) -> Fetched:
    # None is the cause of what is raised here: urllib's errors hold the address, and its login
    try:
        with ask(request_with_login(address), timeout_s=TIMEOUT_S) as answer:
            if answer.status in _MISSING:
                return Fetched(content=None)
            content = answer.read(limit + 1)
            if answer.length and len(content) <= limit:
                raise IncompleteRead(b"", answer.length)
    except HTTPError as error:
        error.close()
        if error.code in _MISSING:
            return Fetched(content=None)
        raise _refused(shown, error) from None
    except (OSError, HTTPException) as error:
        cause = error.reason if isinstance(error, URLError) else error
        text = "no answer in time" if isinstance(cause, TimeoutError) else str(cause) or type(cause).__name__
        raise _BusyError(
            SceneError(shown, f"the server does not answer ({without_logins(text)}).", "Try again later.")
        ) from None
    except ValueError:
        raise SceneError(shown, "this is no address.", "Check how it is written.") from None
    if len(content) > limit:
        raise SceneError(shown, f"the server sent more than {limit / 2**20:.0f} MiB.", "Check the address.")
    return Fetched(content=content)


def _refused(shown: str, error: HTTPError) -> SceneError | _BusyError:
    words = without_logins(f"{error.code} {error.reason}")
    if error.code in _TRY_AGAIN:
        return _BusyError(SceneError(shown, f"the server fails ({words}).", "Try again later."))
    cure = "Check the address."
    if error.code in {401, 403}:
        cure = "Check the login, and that you may use the service."
    return SceneError(shown, f"the server refuses it ({words}).", cure)


class TileCache:
    """Tiles as they were sent, in memory or a file that has no name. Thread-safe.

    When it is full, what it holds stays and further tiles are asked for again.
    """

    def __init__(self, limit_bytes: int = _CACHE_BYTES) -> None:
        self._file: tempfile.SpooledTemporaryFile[bytes] | None = None
        self._places: dict[tuple[int, int], tuple[int, int] | None] = {}
        self._limit, self._size = limit_bytes, 0
        self._lock = threading.Lock()

    def find(self, tile: tuple[int, int]) -> Fetched | None:
        """Return a tile, or None if it was not kept."""
        with self._lock:
            if tile not in self._places:
                return None
            place = self._places[tile]
            if place is None or self._file is None:
                return Fetched(content=None)
            try:
                self._file.seek(place[0])
                content = self._file.read(place[1])
            except OSError:
                content = b""
            return Fetched(content=content) if len(content) == place[1] else None

    def keep(self, tile: tuple[int, int], fetched: Fetched) -> None:
        """Keep a tile if there is room; a full disk is no error."""
        with self._lock:
            content = fetched.content
            if content is None:
                self._places[tile] = None
                return
            if self._size + len(content) > self._limit:
                return
            if self._file is None:
                self._file = tempfile.SpooledTemporaryFile(max_size=_CACHE_MEMORY_BYTES)  # noqa: SIM115 - see close
            try:
                self._file.seek(self._size)
                self._file.write(content)
            except OSError:  # the file may be left half written: nothing in it is believed any more
                self._limit = 0
                self._forget()
                return
            self._places[tile] = (self._size, len(content))
            self._size += len(content)

    def close(self) -> None:
        """Forget all tiles."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        self._places.clear()
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):  # what could not be written is tried again when it is closed
                file.close()
