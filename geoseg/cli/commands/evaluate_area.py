"""``geoseg evaluate sample`` and ``estimate``: map accuracy and area as agencies ask for them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from geoseg.cli.arguments.nodata import NodataOption
from geoseg.core.choices import Allocation
from geoseg.io.labels.nodata import parse_nodata


def sample(
    class_map: Annotated[Path, typer.Argument(metavar="MAP", help="Class raster.")],
    out: Annotated[Path, typer.Option(help="GeoPackage of points to write.")],
    points: Annotated[
        int | None, typer.Option(min=1, max=100_000_000, help="Points in all; default: from --standard-error.")
    ] = None,
    standard_error: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="Of the overall accuracy, where --points is not given.")
    ] = 0.01,
    allocation: Annotated[Allocation, typer.Option(help="Allocation of the points to classes.")] = "proportional",
    minimum: Annotated[int, typer.Option(min=0, max=1_000_000, help="Least number of points per class.")] = 50,
    expected: Annotated[
        str | None, typer.Option(help="Expected user's accuracies, e.g. 1:0.7,2:0.95; 0.8 for the others.")
    ] = None,
    legend: Annotated[Path | None, typer.Option(help="Class names, YAML or JSON.")] = None,
    nodata: NodataOption = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same points.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the points, also interpreted ones.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Draw a stratified random sample of a map for interpreters."""
    from geoseg.cli.output.reports import check_out
    from geoseg.core.text import printable
    from geoseg.io.labels.legend_file import read_value_legend
    from geoseg.score.area.files import Design, draw_sample

    check_out(out, (class_map, legend), overwrite=overwrite)
    design = Design(
        points=points,
        standard_error=standard_error,
        how=allocation,
        minimum=minimum,
        expected=_accuracies(expected),
        seed=seed,
    )
    table = None if legend is None else read_value_legend(legend)
    values = draw_sample(class_map, out, design, legend=table, nodata=parse_nodata(nodata))
    if as_json:
        print(json.dumps(values))
        return
    for entry in values["strata"]:
        share = f"{entry['weight']:.2%} of the map"
        print(f"  {entry['code']:>3} {entry['name']:<24} {share:>20} {entry['points']:>6} points")
    for note in values["notes"]:
        print(printable(f"note: {note}"))
    print(f"{values['points']} points; fill in reference_code in {out}, then: geoseg evaluate estimate {out}")


def estimate(
    points: Annotated[Path, typer.Argument(metavar="POINTS", help="Interpreted points of geoseg evaluate sample.")],
    column: Annotated[str, typer.Option(help="Field with the reference class.")] = "reference_code",
    out: Annotated[Path | None, typer.Option(help="Also write the report here, JSON.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the report.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Estimate accuracies and areas with 95 % confidence intervals from interpreted points."""
    from geoseg.cli.output.reports import check_out, deliver
    from geoseg.cli.output.score_tables import print_estimate
    from geoseg.score.area.files import estimate_sample

    check_out(out, (points,), overwrite=overwrite)
    values = estimate_sample(points, column=column)
    deliver(values, out, as_json=as_json)
    if not as_json:
        print_estimate(values)


def _accuracies(text: str | None) -> dict[int, float]:
    from geoseg.errors import UsageError

    try:
        pairs = [part.split(":") for part in ([] if text is None else text.split(","))]
        accuracies = {int(code): float(share) for code, share in pairs}
    except ValueError as error:
        raise UsageError(f"--expected {text}: CODE:SHARE pairs are expected, with commas between.") from error
    if any(not 0 <= share <= 1 for share in accuracies.values()):
        raise UsageError(f"--expected {text}: accuracies go from 0 to 1.")
    return accuracies
