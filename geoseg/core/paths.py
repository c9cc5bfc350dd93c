"""Paths as callers give them."""

from __future__ import annotations

import os

from geoseg.errors import UsageError


def path_text(value: object, *, function: str, meant: str, instead: str = "") -> str:
    """Read a path or an address that a caller gives.

    Args:
        value: ``str`` or ``Path``.
        function: the public function that was called, for the message.
        meant: the inputs that it takes, in words.
        instead: the cure for other inputs, one sentence.

    Raises:
        UsageError: it is empty or something else.

    Example:
        >>> path_text(3, function="open_scene", meant="a path")
        Traceback (most recent call last):
        geoseg.errors.UsageError: open_scene takes a path, not int.
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if isinstance(text, str) and text:
        return text
    kind = "an empty string" if text == "" else type(value).__name__
    raise UsageError(f"{function} takes {meant}, not {kind}.{' ' if instead else ''}{instead}")
