"""Paths and addresses given by callers."""

from __future__ import annotations

import os

from geoseg.errors import UsageError


def path_text(value: object, *, function: str, meant: str, instead: str = "") -> str:
    """Return a path or an address given by a caller as text.

    Args:
        value: ``str`` or ``Path``.
        function: the public function that was called, for the message.
        meant: description of the inputs that it takes.
        instead: the cure for other inputs, one sentence.

    Raises:
        UsageError: the value is empty or has another type.

    Examples:
        >>> path_text(3, function="open_scene", meant="a path")
        Traceback (most recent call last):
        geoseg.errors.UsageError: open_scene takes a path, not int.
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if isinstance(text, str) and text:
        return text
    kind = "an empty string" if text == "" else type(value).__name__
    raise UsageError(f"{function} takes {meant}, not {kind}.{' ' if instead else ''}{instead}")
