"""``geoseg models push`` and ``pull``: model files to and from a folder or a web address, by digest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geoseg.cli.arguments.opening import AllowRemote

if TYPE_CHECKING:
    from geoseg.models.exchange import Description


def push(
    model: Annotated[str, typer.Argument(help="Bundled model or model file.")],
    place: Annotated[
        str, typer.Argument(help="Folder, https:// address of one that takes PUT, or hf://OWNER/REPOSITORY.")
    ],
    allow_remote: AllowRemote = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another model of that name and version.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Put a model and its description to a folder or address, and print the reference that others pull."""
    from geoseg.core.text import printable
    from geoseg.models.exchange import push_model
    from geoseg.models.hub_place import place_at

    reference, described = push_model(model, place_at(place, allow_remote=allow_remote), overwrite=overwrite)
    if as_json:
        print(json.dumps({"reference": reference, **described.model_dump(mode="json")}))
        return
    print(printable(f"geoseg models pull {reference}"))


def pull(
    reference: Annotated[str, typer.Argument(help="PLACE/NAME-VERSION.safetensors#sha256=HEX, as push prints it.")],
    out: Annotated[Path, typer.Option(help="Folder for the model file.")] = Path("models"),
    allow_remote: AllowRemote = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace another file of that name.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Show the card of a model at a folder or address, and fetch the model if its digest is given and right."""
    from geoseg.core.text import printable
    from geoseg.errors import UsageError
    from geoseg.io.files.targets import check_folder
    from geoseg.models.exchange import Reference, describe_model, pull_model
    from geoseg.models.hub_place import place_at

    parsed = Reference.parse(reference)
    place = place_at(parsed.place, allow_remote=allow_remote)
    check_folder(out)
    described = describe_model(parsed, place)
    if not as_json:
        _show(described)
    if parsed.sha256 is None:
        pinned = f"{place.name_of(parsed.file)}#sha256={described.sha256}"
        raise UsageError(f"nothing was fetched: the digest is not given. If the model is right, pull {pinned}")
    path, described = pull_model(parsed, place, out, overwrite=overwrite)
    if as_json:
        print(json.dumps({"model": str(path), **described.model_dump(mode="json")}))
        return
    print(printable(f"{path}: use it with --model"))


def _show(described: Description) -> None:
    from geoseg.core.text import printable

    card = described.card
    lines = [
        f"{card.name} {card.version}: {card.title or card.description}",
        f"  bands      {', '.join(card.band_names)}",
        f"  pixels     {card.gsd_m.min:g}-{card.gsd_m.max:g} m on the ground",
        f"  classes    {', '.join(card.legend.names)}",
        f"  licence    {card.licence}",
        *(f"  warning    {warning}" for warning in card.warnings),
        *(f"  trained on {source.name} ({source.licence})" for source in card.trained_on),
        *(f"  score      {score.metric} {score.value:.3f} on {score.on}" for score in card.scores),
        f"  file       {described.size_bytes / 1e6:.1f} MB, sha256 {described.sha256}",
    ]
    for line in lines:
        print(printable(line))
