"""JSON documents by path or http address, of bounded size; network requests are retried with exponential backoff."""

from __future__ import annotations

import json
import time
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request

from geoseg.core.types.json_value import JsonDict, JsonObject
from geoseg.errors import SceneError
from geoseg.io.files.http import ask
from geoseg.io.files.input_file import read_input

_MAX_BYTES = 64 * 2**20
_ATTEMPTS = 4
_BACKOFF_S = 0.5
_WORTH_RETRYING = frozenset({408, 425, 429, 500, 502, 503, 504})


def read_document(uri: str, body: JsonObject | None = None, *, timeout_s: float = 60.0) -> JsonDict:
    """Read a JSON object.

    Args:
        uri: path, or address of http or https.
        body: JSON to POST; None: a GET request.
        timeout_s: timeout of one attempt, seconds.

    Raises:
        SceneError: it cannot be read, is too large, or is no JSON object.
    """
    text = _fetched(uri, body, timeout_s) if uri.startswith(("http://", "https://")) else _read(uri)
    if len(text) > _MAX_BYTES:
        raise SceneError(uri, f"the document is larger than {_MAX_BYTES // 2**20} MiB.", "Give a smaller one.")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SceneError(uri, f"it is not JSON ({error}).", "Give a STAC document.") from error
    if not isinstance(document, dict):
        raise SceneError(uri, f"it is JSON but not an object ({type(document).__name__}).", "Give a STAC document.")
    return document


def _read(uri: str) -> bytes:
    try:
        return read_input(Path(uri), _MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or error
        raise SceneError(uri, f"it cannot be read ({cause}).", "Check the path.") from error


def _fetched(uri: str, body: JsonObject | None, timeout_s: float) -> bytes:
    headers = {"Accept": "application/geo+json, application/json"}
    data = None
    if body is not None:
        data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    request = Request(uri, data=data, headers=headers)  # noqa: S310 - http and https only, see read_document
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with ask(request, timeout_s=timeout_s) as answer:
                return answer.read(_MAX_BYTES + 1)
        except (OSError, HTTPException) as error:
            final = isinstance(error, HTTPError) and error.code not in _WORTH_RETRYING
            if final or attempt == _ATTEMPTS:
                raise SceneError(_shown(uri), f"it cannot be read ({error}).", "Check the address.") from error
            time.sleep(_BACKOFF_S * 2 ** (attempt - 1))
    raise AssertionError


def _shown(uri: str) -> str:
    """Return an address without credentials."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()
