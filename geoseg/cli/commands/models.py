"""``geoseg models``: list and describe models that can be run and networks that can be trained."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geoseg.cli.commands.models_exchange import pull, push
from geoseg.cli.commands.models_export import export
from geoseg.cli.commands.models_import import import_
from geoseg.cli.commands.models_quantise import quantise

if TYPE_CHECKING:
    from geoseg.core.card import ModelCard
    from geoseg.nn.zoo.entry import NetworkEntry

models = typer.Typer(
    help="List the bundled models and the networks; show, import or export one; measure a halo; calibrate; quantise.",
    invoke_without_command=True,
)

models.command("import")(import_)
models.command()(export)
models.command()(quantise)
models.command()(push)
models.command()(pull)


@models.callback()
def _list(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    if context.invoked_subcommand is not None:
        return
    from geoseg.models.bundled import BUNDLED, CLICK_MODELS, preview
    from geoseg.nn import NETWORKS
    from geoseg.nn.zoo.entry import MACS_UNIT

    cards = [_card(name) for name in BUNDLED]
    if as_json:
        networks = [_network(entry) for entry in NETWORKS.values()]
        pictures = {name: preview(name) for name in BUNDLED}
        listed = [card.model_dump(mode="json") | {"preview": _path(pictures[card.name])} for card in cards]
        clicked = [_card(name).model_dump(mode="json") for name in CLICK_MODELS]
        print(json.dumps({"models": listed, "click_models": clicked, "networks": networks}))
        return
    print("Models, ready to run:")
    for card in cards:
        bands = ", ".join(card.band_names)
        print(f"{card.name:<19} {bands}; {card.gsd_m.min:g}-{card.gsd_m.max:g} m; {', '.join(card.legend.names)}")
        print(f"{'':<19} {card.title or card.description}")
    print("\nModels of task interactive, which answer clicks (geoseg view --edit, geoseg evaluate clicks):")
    for name in CLICK_MODELS:
        card = _card(name)
        print(f"{card.name:<19} {', '.join(card.band_names)}; {card.gsd_m.min:g}-{card.gsd_m.max:g} m")
        print(f"{'':<19} {card.title or card.description}")
    print("\nNetworks, to be trained (architecture of a recipe):")
    print(f"{'name':<40} {'parameters':>12} {'GMAC':>7} {'stride':>6}  paper; licence of known weights; references")
    for entry in NETWORKS.values():
        family = entry.family
        print(
            f"{entry.name:<40} {_parameters(entry):>12} {_gmac(entry):>7} {entry.output_stride or '-':>6}  "
            f"{family.paper}, {family.venue}; {family.weights}; {family.references}"
        )
    print(f"parameters without auxiliary heads; GMAC: {MACS_UNIT}")


@models.command("list")
def _list_bundled() -> None:
    """List the names of the bundled models."""
    from geoseg.models.bundled import BUNDLED, CLICK_MODELS

    for name in (*BUNDLED, *CLICK_MODELS):
        print(name)


def _calibration(card: ModelCard) -> list[str]:
    """Tell how confidence and scores were calibrated."""
    lines = []
    if card.temperature != 1:
        lines.append(f"  logits     divided by the temperature {card.temperature:g}")
    if card.score_calibration is not None:
        lines.append(f"  scores     calibrated; objects from {card.min_score:.2f} on are kept")
    return lines


@models.command()
def show(
    model: Annotated[str, typer.Argument(help="Name of a bundled model or of a network, or a model file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
) -> None:
    """Show a model's card, or the description of a network."""
    from geoseg.models.bundled import BUNDLED
    from geoseg.nn import NETWORKS

    if model in NETWORKS and model not in BUNDLED:
        _show_network(model, as_json=as_json)
        return
    card = _card(model)
    if as_json:
        print(card.model_dump_json())
        return
    print(f"{card.name} {card.version}: {card.title}")
    print(f"  {card.description}")
    if card.task != "semantic":
        print(f"  task       {card.task}")
    print(f"  network    {card.architecture.name} {card.architecture.options or ''}")
    print(f"  bands      {', '.join(card.band_names)} ({card.radiometry})")
    print(f"  pixels     {card.gsd_m.min:g}-{card.gsd_m.max:g} m on the ground")
    print(f"  tiles      {card.tile_px} px with a halo of {card.halo_px} px")
    print(f"  classes    {', '.join(f'{c.code} {c.name} {c.colour}' for c in card.legend.classes)}")
    print(f"  polygons   from {card.min_area_m2:g} m2 on" if card.min_area_m2 else "  polygons   of any size")
    if card.objects is not None:
        print(f"  objects    counted so: {card.objects.words}")
    for line in _calibration(card):
        print(line)
    if card.int8 is not None:
        print(f"  int8       {card.int8.agreement:.2%} of the pixels as in float32, on {card.int8.on}")
    print(f"  licence    {card.licence}")
    for warning in card.warnings:
        print(f"  warning    {warning}")
    for source in card.trained_on:
        print(f"  trained on {source.name} ({source.licence}) {source.split}")
    for score in card.scores:
        print(f"  score      {score.metric} {score.value:.3f} on {score.on}")
    print(f"  weights    sha256 {card.weights_sha256}")


@models.command()
def halo(
    model: Annotated[str, typer.Argument(help="Name of a bundled model or a model file.")],
    scene: Annotated[Path | None, typer.Option(help="Measure on tiles of this scene instead of noise.")] = None,
    share: Annotated[float, typer.Option(help="Share of the influence that the halo must cover.")] = 0.99,
) -> None:
    """Measure how far the network looks, and the halo that follows from it."""
    from geoseg.inference.receptive_field import measure

    field = measure(model, scene=scene, share=share)
    print(f"{share:.1%} of the influence on a pixel lies within {field.radius_px} px of it ({field.tiles} tiles).")
    print(f"A halo of {field.halo_px} px holds it; the card has {_card(model).halo_px} px.")


@models.command()
def calibrate(
    model: Annotated[str, typer.Argument(help="Model file, or name of a bundled model.")],
    recipe: Annotated[Path, typer.Option(help="Training recipe whose validation rows the temperature is fitted on.")],
    data: Annotated[Path, typer.Option(help="Folder that the recipe's images and labels are relative to.")],
    out: Annotated[
        Path | None, typer.Option(help="Model file to write; default: MODEL_calibrated.safetensors next to it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON on stdout.")] = False,
) -> None:
    """Fit the temperature that calibrates the confidence, and write it into the card."""
    from geoseg.cli.commands.calibrate import run

    run(model, recipe, data, out, as_json=as_json)


def _card(model: str) -> ModelCard:
    from geoseg.models.packages import open_package

    return open_package(model).card


def _show_network(name: str, *, as_json: bool) -> None:
    from geoseg.nn.zoo.entry import MACS_UNIT
    from geoseg.nn.zoo.registry import network_entry, options

    entry = network_entry(name)
    choices = options(name)
    if as_json:
        print(json.dumps({**_network(entry), "options": choices}, default=str))
        return
    family, auxiliary = entry.family, 0 if entry.cost is None else entry.cost.auxiliary
    print(f"{entry.name}: a network; train it, or build it with geoseg.nn.build({name!r}, in_channels, classes)")
    print(f"  paper      {family.paper}, {family.venue}: {family.url}")
    print(f"  parameters {_parameters(entry)}; auxiliary heads {auxiliary:,} (3 bands, 21 classes)")
    print(f"  GMAC       {_gmac(entry)}: {MACS_UNIT}")
    print(f"  stride     {entry.output_stride or '-'}")
    print(f"  weights    {family.weights}")
    print(f"  references {family.references}")
    for option, default in choices.items():
        print(f"  option     {option} = {default!r}")


def _network(entry: NetworkEntry) -> dict[str, object]:
    """Describe a network as JSON says it."""
    cost = dict.fromkeys(("parameters", "auxiliary", "macs")) if entry.cost is None else entry.cost._asdict()
    return {
        "name": entry.name,
        "task": entry.task,
        "family": asdict(entry.family),
        "output_stride": entry.output_stride,
        **cost,
    }


def _path(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _parameters(entry: NetworkEntry) -> str:
    return "-" if entry.cost is None else f"{entry.cost.parameters:,}"


def _gmac(entry: NetworkEntry) -> str:
    return "-" if entry.cost is None else f"{entry.cost.macs / 1e9:.1f}"
