"""Cached downloads."""

from __future__ import annotations

import hashlib
import re
import shutil
from pathlib import Path
from urllib.error import URLError
from urllib.parse import unquote, urlparse
from urllib.request import Request, urlopen

from geoseg.errors import ModelError
from geoseg.io.files.writing import whole_file

_TIMEOUT_S = 30


def fetch(url: str, folder: Path) -> Path:
    """Return the file of a URL, downloaded if it is not in ``folder`` yet.

    A name that ends in ``-`` and eight or more hexadecimal digits, as torch's hub has them, is checked against the
    file's sha256.

    Args:
        url: ``https://``, ``http://`` or ``file://``.
        folder: folder of downloaded files; created when missing.

    Raises:
        ModelError: the file cannot be downloaded, or its digest differs from that in its name.
    """
    parts = urlparse(url)
    if parts.scheme not in ("https", "http", "file"):
        raise ModelError(f"{url}: cannot be fetched: an https, http or file address is expected.")
    target = folder / Path(unquote(parts.path)).name
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    try:
        request = Request(url, headers={"User-Agent": "geoseg"})  # noqa: S310 - checked above
        with (
            urlopen(request, timeout=_TIMEOUT_S) as stream,  # noqa: S310 - checked above
            whole_file(target, verify=lambda part: _check(url, part)) as part,
            part.open("wb") as file,
        ):
            shutil.copyfileobj(stream, file)
    except (URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise ModelError(f"{url}: cannot be fetched ({reason}). Offline? Put the file at {target}.") from error
    return target


def _check(url: str, part: Path) -> None:
    digest_in_name = re.search(r"-([0-9a-f]{8,64})\.\w+$", unquote(urlparse(url).path))
    if digest_in_name is None:
        return
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if not found.startswith(digest_in_name[1]):
        raise ModelError(f"{url}: its sha256 begins with {found[: len(digest_in_name[1])]}, not as its name says.")
