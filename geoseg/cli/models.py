"""``geoseg models``: what can be run, and what each model is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from geoseg.core.card import ModelCard

models = typer.Typer(help="List the bundled models; show a card; measure a halo.", invoke_without_command=True)


@models.callback()
def _list(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    if context.invoked_subcommand is not None:
        return
    from geoseg.engine.bundled import BUNDLED

    cards = [_card(name) for name in BUNDLED]
    if as_json:
        print(json.dumps({"models": [card.model_dump(mode="json") for card in cards]}))
        return
    for card in cards:
        bands = ", ".join(card.band_names)
        print(f"{card.name:<18} {bands}; {card.gsd_m.min:g}-{card.gsd_m.max:g} m; {', '.join(card.legend.names)}")
        print(f"{'':<18} {card.title or card.description}")


@models.command()
def show(
    model: Annotated[str, typer.Argument(help="Name of a bundled model or a model file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON.")] = False,
) -> None:
    """Show a model's card."""
    card = _card(model)
    if as_json:
        print(card.model_dump_json())
        return
    print(f"{card.name} {card.version}: {card.title}")
    print(f"  {card.description}")
    print(f"  network    {card.architecture.name} {card.architecture.options or ''}")
    print(f"  bands      {', '.join(card.band_names)} ({card.radiometry})")
    print(f"  pixels     {card.gsd_m.min:g}-{card.gsd_m.max:g} m on the ground")
    print(f"  tiles      {card.tile_px} px with a halo of {card.halo_px} px")
    print(f"  classes    {', '.join(f'{c.code} {c.name} {c.colour}' for c in card.legend.classes)}")
    print(f"  licence    {card.licence}")
    for source in card.trained_on:
        print(f"  trained on {source.name} ({source.licence}) {source.split}")
    for score in card.scores:
        print(f"  score      {score.metric} {score.value:.3f} on {score.on}")
    print(f"  weights    sha256 {card.weights_sha256}")


@models.command()
def halo(
    model: Annotated[str, typer.Argument(help="Name of a bundled model or a model file.")],
    scene: Annotated[Path | None, typer.Option(help="Measure on tiles of this scene instead of noise.")] = None,
    share: Annotated[float, typer.Option(help="Share of the influence that the halo shall hold.")] = 0.99,
) -> None:
    """Measure how far the network looks, and the halo that follows from it."""
    from geoseg.engine.receptive_field import measure

    field = measure(model, scene=scene, share=share)
    print(f"{share:.1%} of the influence on a pixel lies within {field.radius_px} px of it ({field.tiles} tiles).")
    print(f"A halo of {field.halo_px} px holds it; the card has {_card(model).halo_px} px.")


def _card(model: str) -> ModelCard:
    from geoseg.engine.bundled import resolve
    from geoseg.io.model_file import read_model

    return read_model(*resolve(model))[1]
