"""``--nodata VALUE|none``: the meaning of nodata in class rasters."""

from __future__ import annotations

from typing import Annotated

import typer

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
