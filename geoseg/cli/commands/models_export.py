"""``geoseg models export``: a model's network for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from geoseg.models.export_model import Format


def export(
    model: Annotated[str, typer.Argument(help="Name of a bundled model or a model file.")],
    out: Annotated[Path, typer.Argument(help="File to write: .onnx, .xml (OpenVINO) or .pt (TorchScript).")],
    to: Annotated[str, typer.Option(help="onnx, openvino or torchscript.")] = "onnx",
    tile_px: Annotated[
        int | None, typer.Option(min=1, max=8192, help="Side of the tiles; default: the card's.")
    ] = None,
    any_size: Annotated[
        bool, typer.Option("--any-size", help="ONNX: accept tiles with sides of any multiple of 32 px.")
    ] = False,
    probabilities: Annotated[
        bool,
        typer.Option(
            "--probabilities", help="ONNX: from values of 0 to 1 to probabilities, as GeoDeep and Deepness do."
        ),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
) -> None:
    """Export a model's network, and compare its output before the file is written."""
    from geoseg.models.export_model import export_model

    apart = export_model(
        model,
        cast("Format", to),
        out,
        tile_px=tile_px,
        any_size=any_size,
        probabilities=probabilities,
        overwrite=overwrite,
    )
    print(f"{out}: its {'probabilities' if probabilities else 'logits'} differ by at most {apart:.1e} of the largest")
