"""``geoseg evaluate panoptic``: panoptic quality of stuff and things."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def panoptic(
    prediction: Annotated[
        Path, typer.Option(help="A scene's output folder, a raster of panoptic labels, or COCO panoptic JSON.")
    ],
    reference: Annotated[
        Path | None, typer.Option(help="A raster of panoptic labels or classes, a folder, or COCO panoptic JSON.")
    ] = None,
    reference_objects: Annotated[
        Path | None, typer.Option(help="Polygons, or a raster of numbers, that tell the reference's things apart.")
    ] = None,
    things: Annotated[
        str | None, typer.Option(metavar="CLASS,...", help="Classes of things; default: as the prediction says.")
    ] = None,
    boundary_px: Annotated[
        int, typer.Option(min=0, max=512, help="Also score boundaries of this width, pixels; 0: not.")
    ] = 0,
    resample: Annotated[
        bool, typer.Option("--resample", help="Take the reference's nearest label where grids differ.")
    ] = False,
    coco: Annotated[
        Path | None, typer.Option(help="Also write both maps into this folder as COCO panoptic PNG and JSON.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the report here, JSON.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the report and what is in the folder of --coco.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Score panoptic maps: PQ, SQ and RQ of each class, of things and of stuff."""
    from geoseg.cli.output.reports import check_out, deliver
    from geoseg.cli.output.score_tables import print_panoptic
    from geoseg.errors import UsageError
    from geoseg.score.panoptic.files import PanopticReading, document_paths, evaluate_panoptic

    check_out(out, (prediction, reference, reference_objects), overwrite=overwrite)
    if out is not None and coco is not None and out.absolute() in document_paths(coco.absolute()):
        raise UsageError(f"{out}: --coco writes this file too. Choose another --out.")
    reading = PanopticReading(
        reference_objects=reference_objects,
        things=() if things is None else tuple(name.strip() for name in things.split(",")),
        boundary_px=boundary_px,
        resample=resample,
        coco=coco,
        overwrite=overwrite,
    )
    values = evaluate_panoptic(prediction, reference, reading)
    deliver(values, out, as_json=as_json)
    if not as_json:
        print_panoptic(values)
