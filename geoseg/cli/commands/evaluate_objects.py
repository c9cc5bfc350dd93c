"""``geoseg evaluate objects``: detection scores of objects and the accuracy of their outlines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def objects(
    prediction: Annotated[Path, typer.Option(help="A scene's output folder, polygons, or a class raster.")],
    reference: Annotated[Path, typer.Option(help="Polygons, in any CRS.")],
    class_: Annotated[str | None, typer.Option("--class", help="Class of the prediction: name or code.")] = None,
    layer: Annotated[
        str | None, typer.Option(help="Layer of the prediction's polygons; default: objects, else segments.")
    ] = None,
    reference_layer: Annotated[
        str | None, typer.Option(help="Layer of the reference's polygons; or FILE:LAYER.")
    ] = None,
    reference_column: Annotated[str | None, typer.Option(help="Field of the reference that names classes.")] = None,
    reference_class: Annotated[str | None, typer.Option(help="Value of that field for these objects.")] = None,
    iou: Annotated[float, typer.Option(min=0.0, max=1.0, help="Least intersection over union of a pair.")] = 0.5,
    keep_multiparts: Annotated[
        bool, typer.Option("--keep-multiparts", help="A MultiPolygon is one object; default: each of its parts is.")
    ] = False,
    cell: Annotated[
        float, typer.Option(min=0.001, help="Side of the squares in which objects are counted, metres.")
    ] = 100.0,
    picture: Annotated[
        Path | None, typer.Option(help="Write hits, misses and false alarms as a picture here, PNG.")
    ] = None,
    verdicts: Annotated[
        Path | None, typer.Option(help="Write hits, misses and false alarms as a layer for QGIS here, .gpkg.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Also write the report here, JSON.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the report.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Score predicted objects against reference polygons: F1, average precision, outlines and counts."""
    from geoseg.cli.output.reports import check_out, deliver
    from geoseg.cli.output.score_tables import print_objects
    from geoseg.errors import UsageError
    from geoseg.score.object_files import evaluate_objects
    from geoseg.score.verdicts import VerdictFiles

    for file, suffix in ((picture, ".png"), (verdicts, ".gpkg")):
        if file is not None and file.suffix.lower() != suffix:
            raise UsageError(f"{file}: choose a name that ends in {suffix}.")
    for file in (out, picture, verdicts):
        check_out(file, (prediction, reference), overwrite=overwrite)
    values = evaluate_objects(
        prediction,
        reference,
        of_class=class_,
        layer=layer,
        reference_layer=reference_layer,
        reference_column=reference_column,
        reference_class=reference_class,
        iou=iou,
        keep_multiparts=keep_multiparts,
        cell=cell,
        files=VerdictFiles(layer=verdicts, picture=picture),
    )
    deliver(values, out, as_json=as_json)
    if not as_json:
        print_objects(values)
