"""Cleaning of text that is printed, logged or recorded: control characters and credentials."""

from __future__ import annotations

import re

# user and password of an address, and its query, where signatures stand
_LOGIN, _QUERY = re.compile(r"(?<=://)[^\s/?#]*@"), re.compile(r"(://[^\s?]*)\?\S*?(?=[:,.)]*(?:\s|$))")


def without_logins(text: str) -> str:
    """Remove credentials and query strings from the addresses in a text, since it ends up in logs.

    Examples:
        >>> without_logins("https://me:secret@example.org/a.tif?token=1: no such file")
        'https://example.org/a.tif: no such file'
        >>> without_logins("https://me:p@ss@example.org/a.tif")
        'https://example.org/a.tif'
    """
    return _QUERY.sub(r"\1", _LOGIN.sub("", text))


def printable(text: str) -> str:
    r"""Escape the control characters of a text, so that a file's name cannot steer the terminal.

    Examples:
        >>> printable("a\nb.tif")
        'a\\nb.tif'
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
