"""``--nodata VALUE|none``: the meaning of nodata in class rasters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from geoseg.io.labels.class_raster import Nodata

NodataOption = Annotated[
    str | None,
    typer.Option(
        metavar="VALUE|none", help="One more value that means no class; none: the file's own nodata value is a class."
    ),
]
ReferenceNodataOption = Annotated[
    str | None,
    typer.Option(
        metavar="VALUE|none",
        help="One more value of the reference that means no class; none: its own nodata value is a class.",
    ),
]


def nodata_of(text: str | None, option: str = "--nodata") -> Nodata:
    """Parse the value of ``--nodata``.

    Args:
        text: a whole number, ``none``, or None.
        option: name of the option, for the message.

    Raises:
        UsageError: the text is something else.
    """
    from geoseg.errors import UsageError

    if text is None or text == "none":
        return None if text is None else "none"
    try:
        return int(text)
    except ValueError as error:
        raise UsageError(f"{option} {text}: a whole number is expected, or none.") from error
