"""``geoseg evaluate``: score maps against references."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geoseg.cli.arguments.nodata import ReferenceNodataOption
from geoseg.cli.commands.evaluate_area import estimate, sample
from geoseg.cli.commands.evaluate_clicks import clicks
from geoseg.cli.commands.evaluate_objects import objects
from geoseg.cli.commands.evaluate_panoptic import panoptic
from geoseg.cli.commands.evaluate_seams import seams
from geoseg.core.choices import FileProtocol, Unanswered
from geoseg.io.labels.nodata import parse_nodata

if TYPE_CHECKING:
    from geoseg.score.boundary import Distance

evaluate = typer.Typer(
    help="Score predictions against references; measure seams; estimate areas.", invoke_without_command=True
)
evaluate.command()(seams)
evaluate.command()(objects)
evaluate.command()(panoptic)
evaluate.command()(clicks)
evaluate.command()(sample)
evaluate.command()(estimate)


@evaluate.callback()
def compare(
    context: typer.Context,
    prediction: Annotated[
        Path | None, typer.Option(help="Class raster, a scene's output folder, or a folder of either.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="Class raster, coloured raster, polygons or .mat; or a folder, matched by name.")
    ] = None,
    protocol: Annotated[FileProtocol, typer.Option(help="Evaluation protocol, see docs/evaluate.md.")] = "classes",
    eroded: Annotated[Path | None, typer.Option(help="isprs: the eroded reference; default: derived.")] = None,
    confidence: Annotated[Path | None, typer.Option(help="Confidence raster; default: next to the prediction.")] = None,
    legend: Annotated[Path | None, typer.Option(help="Class names and colours, YAML or JSON.")] = None,
    column: Annotated[str | None, typer.Option(help="Polygons: field of the class, code or name.")] = None,
    outside: Annotated[str, typer.Option(help="Polygons: code where none lies, or none for unlabelled.")] = "0",
    reference_layer: Annotated[
        str | None, typer.Option(help="Polygons: layer of a file that has several; or FILE:LAYER.")
    ] = None,
    allow_empty_reference: Annotated[
        bool, typer.Option("--allow-empty-reference", help="Polygons: accept a file without any.")
    ] = False,
    positive: Annotated[
        str | None, typer.Option(help="binary: labels that count, e.g. 2 or 1,3; default: all but 0.")
    ] = None,
    reference_positive: Annotated[str | None, typer.Option(help="binary: the same for the reference.")] = None,
    nodata: ReferenceNodataOption = None,
    prediction_nodata: Annotated[
        str | None, typer.Option(metavar="VALUE|none", help="The same of the prediction.")
    ] = None,
    boundary: Annotated[
        str | None, typer.Option(help="Also boundary F1 and IoU at these distances, e.g. 1,3,5 (pixels) or 0.5m,2m.")
    ] = None,
    thresholds: Annotated[int, typer.Option(min=1, max=999, help="bsds: thresholds to try.")] = 99,
    unanswered: Annotated[Unanswered, typer.Option(help="Labelled pixels without prediction.")] = "ignore",
    resample: Annotated[bool, typer.Option("--resample", help="Take the nearest label where grids differ.")] = False,
    out: Annotated[Path | None, typer.Option(help="Also write the report here, JSON.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the report.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Score predictions against references."""
    if context.invoked_subcommand is not None:
        return
    from geoseg.cli.output.reports import check_out, deliver
    from geoseg.cli.output.score_tables import print_report
    from geoseg.errors import UsageError
    from geoseg.io.labels.legend_file import read_value_legend
    from geoseg.score.evaluate_files import evaluate as evaluate_files

    if prediction is None or reference is None:
        raise UsageError(
            "give --prediction and --reference, or a command: seams, objects, panoptic, clicks, sample, estimate. "
            "See --help."
        )
    check_out(out, (prediction, reference, eroded, confidence, legend), overwrite=overwrite)
    if protocol != "isprs" and eroded is not None:
        raise UsageError("--eroded: only --protocol isprs has an eroded reference.")
    if protocol in {"binary", "bsds"} and boundary is not None:
        raise UsageError(f"--boundary: not with --protocol {protocol}; use --protocol classes.")
    report = evaluate_files(
        prediction,
        reference,
        protocol=protocol,
        eroded=eroded,
        confidence=confidence,
        legend=None if legend is None else read_value_legend(legend),
        distances=_distances(boundary),
        unanswered=unanswered,
        resample=resample,
        positive=_labels(positive, "--positive"),
        reference_positive=_labels(reference_positive, "--reference-positive"),
        column=column,
        outside=_outside(outside),
        reference_layer=reference_layer,
        allow_empty_reference=allow_empty_reference,
        nodata=parse_nodata(nodata),
        prediction_nodata=parse_nodata(prediction_nodata, "--prediction-nodata"),
        thresholds=thresholds,
    )
    deliver(report.as_json(), out, as_json=as_json)
    if not as_json:
        print_report(report)


def _outside(text: str) -> int | None:
    from geoseg.errors import UsageError

    if text == "none":
        return None
    if not text.isdigit() or int(text) > 254:
        raise UsageError(f"--outside {text}: a code from 0 to 254 is expected, or none.")
    return int(text)


def _labels(text: str | None, option: str) -> frozenset[int]:
    from geoseg.errors import UsageError

    if text is None:
        return frozenset()
    try:
        return frozenset(int(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"{option} {text}: whole numbers are expected, with commas between.") from error


def _distances(text: str | None) -> tuple[Distance, ...]:
    from geoseg.errors import UsageError

    distances: list[Distance] = []
    for part in [] if text is None else text.split(","):
        number, unit = (
            (part.strip()[:-1], "m") if part.strip().endswith("m") else (part.strip().removesuffix("px"), "px")
        )
        try:
            value = float(number)
        except ValueError:
            value = -1.0
        if not 0 < value <= 1000:
            raise UsageError(f"--boundary {text}: distances look like 1,3,5 (pixels) or 0.5m,2m.")
        distances.append((value, unit))
    return tuple(dict.fromkeys(distances))
