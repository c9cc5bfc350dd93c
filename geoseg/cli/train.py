"""``geoseg train``: a recipe in, a model file out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geoseg.cli.door import say

if TYPE_CHECKING:
    from geoseg.engine.train import Progress, Report

_EVERY = 20


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="Training recipe, YAML; see configs/train.")],
    data: Annotated[Path, typer.Option(help="Folder that the recipe's images and labels are relative to.")],
    out: Annotated[Path, typer.Option(help="Folder for the model and the checkpoint.")],
    start_from: Annotated[Path | None, typer.Option(help="Model file whose weights to begin with.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Start anew instead of resuming.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the card as JSON on stdout.")] = False,
) -> None:
    """Train a model from a recipe; an interrupted training goes on when the same command is given again."""
    import torch

    from geoseg.engine.recipe import read_recipe
    from geoseg.engine.train import train as run

    if threads is not None:
        torch.set_num_threads(threads)
    report = None if quiet or as_json else _report()
    path, card = run(read_recipe(recipe), data, out, start=start_from, resume=not restart, report=report)
    if as_json:
        print(json.dumps({"model": str(path), "card": card.model_dump(mode="json")}))
        return
    for score in card.scores:
        print(f"{score.metric} {score.value:.3f} on {score.on}")
    print(path)


def _report() -> Report:
    losses: list[float] = []

    def report(progress: Progress) -> None:
        losses.append(progress.loss)
        if progress.step % _EVERY == 0 or progress.step == progress.steps:
            recent = losses[-_EVERY:]
            say(
                f"step {progress.step}/{progress.steps}: loss {sum(recent) / len(recent):.4f}, "
                f"{progress.elapsed_s / 60:.1f} min"
            )

    return report
