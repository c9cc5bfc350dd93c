"""Meaning of nodata in class rasters, as given by users."""

from __future__ import annotations

from typing import Literal

from geoseg.errors import UsageError

Nodata = int | Literal["none"] | None
"""One more value that means no class; ``none``: the file's own nodata value is a class; None: as the file has it."""


def parse_nodata(text: str | None, option: str = "--nodata") -> Nodata:
    """Parse the value of a nodata option.

    Args:
        text: a whole number, ``none``, or None.
        option: name of the option, for the message.

    Raises:
        UsageError: the text is something else.
    """
    if text is None or text == "none":
        return None if text is None else "none"
    try:
        return int(text)
    except ValueError as error:
        raise UsageError(f"{option} {text}: a whole number is expected, or none.") from error
