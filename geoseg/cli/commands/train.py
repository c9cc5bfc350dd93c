"""``geoseg train``: a recipe in, a model file and a report out."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from geoseg.process.command import print_message


def train(
    recipe: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="Training recipe; see configs/train.")],
    data: Annotated[Path, typer.Option(help="Folder that the recipe's images and labels are relative to.")] = Path(),
    out: Annotated[Path | None, typer.Option(help="Folder for all that is written; default: runs/NAME.")] = None,
    start_from: Annotated[str | None, typer.Option(help="Bundled model or model file for the initial weights.")] = None,
    encoder_weights: Annotated[Path | None, typer.Option(help="File of the recipe's encoder_weights.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, max=1024, help="CPU threads; default: all.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Start anew instead of resuming.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON on stdout.")] = False,
) -> None:
    """Train a model from a recipe; an interrupted training goes on when the same command is given again.

    A training that is done already is not done again.
    """
    import torch

    from geoseg.cli.output.train_progress import training_reporter
    from geoseg.io.files.targets import is_there
    from geoseg.training.recipe import read_recipe
    from geoseg.training.train import train as run
    from geoseg.training.train import use_command

    if threads is not None:
        torch.set_num_threads(threads)
    parsed = read_recipe(recipe)
    place = Path("runs") / parsed.name if out is None else out
    done_before = is_there(place / f"{parsed.name}.safetensors")
    with nullcontext() if quiet or as_json else training_reporter(parsed.name) as report:
        path, card = run(
            parsed, data, place, start=start_from, encoder=encoder_weights, resume=not restart, report=report
        )
    if as_json:
        told = {"model": str(path), "card": card.model_dump(mode="json"), "use": use_command(path, card.task)}
        print(json.dumps(told | {"done_before": done_before}))
        return
    warnings = [f"warning: {text}" for text in card.warnings]
    for warning in warnings:
        print_message(warning)
    if done_before:
        print(f"{parsed.name}: done already, nothing to do. If its data changed, remove the model to train it again.")
    for score in card.scores:
        print(f"{score.metric} {score.value:.3f} on {score.on}")
    print(path)
    if not quiet:
        report_page = place / f"{parsed.name}_report" / "report.html"
        if report_page.exists():
            print(f"report: {report_page}")
        print(f"use it: {use_command(path, card.task)}")
    for warning in warnings:
        print_message(f"{warning}. Do not use the model before this is understood.")
