"""``geoseg models import``: a checkpoint of another project in, a model file out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from geoseg.core.legend import Legend


def import_(
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT", help="File, folder of smp's save_pretrained, or torchvision:NAME, torchgeo:NAME."
        ),
    ],
    network: Annotated[
        str | None,
        typer.Option(
            "--as", metavar="NETWORK", help="Network, see geoseg models; default: as the checkpoint or its name says."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Model file; default: NAME.safetensors here.")] = None,
    file: Annotated[
        Path | None, typer.Option(help="File of the weights that CHECKPOINT names, which are not fetched then.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model; default: that of the file.")] = None,
    legend: Annotated[
        str | None, typer.Option(help="Legend file, or voc, cityscapes, isprs, loveda; default: from the checkpoint.")
    ] = None,
    bands: Annotated[str | None, typer.Option(help="Band names in the network's order, separated by commas.")] = None,
    mean: Annotated[str | None, typer.Option(help="Mean of each band for values 0 to 1, e.g. 0.4,0.4,0.4.")] = None,
    std: Annotated[str | None, typer.Option(help="Standard deviation of each band, likewise.")] = None,
    reflectance: Annotated[
        bool, typer.Option("--reflectance", help="Trained on reflectance, not on 8-bit images.")
    ] = False,
    bgr: Annotated[
        bool, typer.Option("--bgr", help="Its bands are blue, green, red: reverse the first layer.")
    ] = False,
    gsd_m: Annotated[
        str | None, typer.Option(help="MIN,MAX pixel size in metres; default: as the weights say, else any.")
    ] = None,
    tile_px: Annotated[
        int | None, typer.Option(help="Side of a tile; default: 512, or that of its position embedding.")
    ] = None,
    halo_px: Annotated[int | None, typer.Option(help="Context on each side; default: 64.")] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of the weights.")] = None,
    option: Annotated[list[str] | None, typer.Option(help="KEY=VALUE of the network; may be repeated.")] = None,
    sha256: Annotated[str | None, typer.Option(help="Required digest of the checkpoint.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the model file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Import a published checkpoint: every tensor placed and checked, nothing executed."""
    from geoseg.models.import_model import ImportRequest, import_model

    request = ImportRequest(
        name=name,
        options=_options(option or []),
        legend=None if legend is None else _legend(legend),
        bands=None if bands is None else tuple(part.strip() for part in bands.split(",")),
        mean=_numbers("--mean", mean),
        std=_numbers("--std", std),
        radiometry="reflectance" if reflectance else None,
        gsd_m=_range(gsd_m),
        tile_px=tile_px,
        halo_px=halo_px,
        licence=licence,
        bgr=bgr,
    )
    path, card = import_model(checkpoint, network, out, file=file, request=request, sha256=sha256, overwrite=overwrite)
    if as_json:
        print(json.dumps({"model": str(path), "card": card.model_dump(mode="json")}))
        return
    imported, network = card.recipe["imported"], card.architecture.name
    print(f"{path}: {network} from {imported['layout']}, {len(card.bands)} bands, {len(card.legend)} classes")
    print(f"checkpoint sha256 {imported['sha256']}")
    for warning in card.warnings:
        print(f"Warning: {warning}")


def _options(texts: list[str]) -> dict[str, object]:
    import yaml

    from geoseg.errors import UsageError

    found: dict[str, object] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"--option {text}: KEY=VALUE is expected, such as output_stride=16.")
        try:
            found[key.strip()] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UsageError(f"--option {text}: the value cannot be read.") from error
    return found


def _legend(text: str) -> Legend:
    from geoseg.core.legend_presets import PRESETS
    from geoseg.io.labels.legend_file import read_legend

    return PRESETS[text] if text in PRESETS else read_legend(Path(text))


def _numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    from geoseg.errors import UsageError

    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"{option} {text}: numbers by commas are expected.") from error


def _range(text: str | None) -> tuple[float, float] | None:
    from geoseg.errors import UsageError

    numbers = _numbers("--gsd-m", text)
    if numbers is None:
        return None
    if len(numbers) != 2:
        raise UsageError(f"--gsd-m {text}: MIN,MAX in metres is expected.")
    return numbers[0], numbers[1]
