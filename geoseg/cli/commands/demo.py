"""``geoseg demo``: a synthetic town, segmented and scored."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the layers.")] = Path("out"),
    scene: Annotated[Path | None, typer.Option(help="A town to segment; default: one is drawn.")] = None,
    labels: Annotated[Path | None, typer.Option(help="Its exact labels.")] = None,
) -> None:
    """Segment a synthetic town and score the result against its exact labels."""
    from geoseg.cli.demo_town import run_demo

    run_demo(out, scene, labels)
