"""``geoseg evaluate clicks``: how many clicks objects need."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geoseg.core.choices import ClickMethod

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geoseg.interactive.model import ClickModel
    from geoseg.interactive.targets import Target


def clicks(
    model: Annotated[str, typer.Option(help="Model of task interactive: a bundled name or a model file.")] = "clicks",
    data: Annotated[
        Path | None, typer.Option(help="Folder of images and masks: data_GT and boundary_GT, or images and masks.")
    ] = None,
    scene: Annotated[str | None, typer.Option(help="Scene whose polygons are clicked on, with --reference.")] = None,
    reference: Annotated[
        str | None, typer.Option(help="Polygons of objects on the scene, in any CRS; FILE or FILE:LAYER.")
    ] = None,
    method: Annotated[ClickMethod, typer.Option(help="How answers are made to agree with the clicks.")] = "f-brs-b",
    max_clicks: Annotated[int, typer.Option(min=1, max=100, help="Most clicks on an object.")] = 20,
    iou: Annotated[str, typer.Option(help="Intersections over union that clicks are counted for.")] = "0.8,0.85,0.9",
    objects: Annotated[int, typer.Option(min=1, help="Most polygons that are clicked on, spread over the file.")] = 100,
    zoom_px: Annotated[
        int | None,
        typer.Option(min=32, max=2048, help="Longer side of the zoomed view; default: the model's."),
    ] = None,
    bands: Annotated[str | None, typer.Option(help="Bands of the scene in the model's order, e.g. 4,3,2.")] = None,
    value_range: Annotated[
        str | None, typer.Option(metavar="LOW,HIGH|auto", help="Values of the scene that mean black and white.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "cpu",
    out: Annotated[Path | None, typer.Option(help="Also write the report here, JSON.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the report.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Count the clicks that objects need (NoC): each is clicked on where the answer is wrong most."""
    from geoseg.cli.output.reports import check_out, deliver
    from geoseg.errors import UsageError
    from geoseg.interactive.evaluate import evaluate_clicks
    from geoseg.interactive.model import load_click_model
    from geoseg.interactive.predictor import PredictorSettings
    from geoseg.interactive.zoom import zoom_for, zoom_to

    if (data is None) == (scene is None) or (scene is None) != (reference is None):
        raise UsageError("give --data, or --scene with --reference.")
    check_out(out, (data, scene, reference), overwrite=overwrite)
    ious = _ious(iou)
    loaded = load_click_model(model, device)
    settings = PredictorSettings(
        method=method, zoom=zoom_for(loaded.card.tile_px) if zoom_px is None else zoom_to(zoom_px)
    )
    targets = _targets(loaded, (data, scene, reference), objects, (bands, value_range))
    values = evaluate_clicks(targets, loaded, settings, ious=ious, most=max_clicks)
    deliver(values, out, as_json=as_json)
    if not as_json:
        _print(values)


def _targets(
    model: ClickModel,
    files: tuple[Path | None, str | None, str | None],
    objects: int,
    reading: tuple[str | None, str | None],
) -> Iterator[Target]:
    from geoseg.core.spec import PredictSpec
    from geoseg.errors import UsageError
    from geoseg.interactive.targets import folder_targets, polygon_targets
    from geoseg.io.raster.scene import open_scene

    data, scene, reference = files
    bands, value_range = reading
    if data is not None:
        if bands is not None or value_range is not None:
            raise UsageError("--bands and --value-range are for --scene; the images of --data are read as they are.")
        yield from folder_targets(data, model.card)
    elif scene is not None and reference is not None:
        spec = PredictSpec(
            bands=None if bands is None else tuple(bands.split(",")),
            value_range=None if value_range is None else _range(value_range),
        )
        with open_scene(scene) as opened:
            yield from polygon_targets(opened, reference, model.card, most=objects, spec=spec)


def _range(text: str) -> Any:
    from geoseg.errors import UsageError

    if text == "auto":
        return "auto"
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"--value-range {text}: LOW,HIGH or auto is expected.") from error
    return low, high


def _ious(text: str) -> tuple[float, ...]:
    from geoseg.errors import UsageError

    try:
        ious = tuple(float(part) for part in text.split(","))
    except ValueError:
        ious = ()
    if not ious or not all(0 < iou <= 1 for iou in ious):
        raise UsageError(f"--iou {text}: numbers above 0 and up to 1 are expected, with commas between.")
    return ious


def _print(values: dict[str, Any]) -> None:
    count = len(values["objects"])
    print(f"{values['model']}, {values['method']}, {count} object{'' if count == 1 else 's'}")
    for row in values["noc"]:
        text = f"{row['mean']:.2f} clicks on average; {row['failed']} needed {values['max_clicks']} or more"
        print(f"  NoC@{100 * row['iou']:<5g} {text}")
    shown = [n for n in (1, 2, 3, 5, 10, 20) if n <= len(values["mean_iou"])]
    print("  mean IoU   " + ", ".join(f"{values['mean_iou'][n - 1]:.3f} after {n}" for n in shown))
    print(f"  {values['seconds_per_click']:.2f} s a click")
