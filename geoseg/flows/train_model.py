"""Train a model from a recipe: ``python flows/train_model.py --help``."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from prefect import flow
from prefect.assets import materialize
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from geoseg.core.card import ModelCard
from geoseg.flows.artifacts import RunArtifacts
from geoseg.flows.assets import asset_key
from geoseg.flows.outcome import Outcome, mark_complete, run
from geoseg.flows.prepare import prepare_flow
from geoseg.training.progress import TrainingProgress
from geoseg.training.recipe import Recipe, read_recipe
from geoseg.training.train import train


@materialize("geoseg://models", name="train", task_run_name="{recipe.name}", cache_policy=NO_CACHE)
def train_recipe(
    recipe: Recipe,
    data: Path,
    out: Path,
    artifacts: RunArtifacts,
    *,
    start: str | None,
    encoder: Path | None,
    resume: bool,
) -> tuple[Path, ModelCard]:
    """Train, or go on from the last checkpoint; show the steps."""

    def report(progress: TrainingProgress) -> None:
        artifacts.progress(round(1000 * progress.share), 1000)

    return train(recipe, data, out, start=start, encoder=encoder, resume=resume, report=report)


@flow(name="train-model")
def train_model(
    recipe: Path,
    data: Path,
    out: Path,
    *,
    start_from: str | None = None,
    encoder_weights: Path | None = None,
    threads: int | None = None,
    restart: bool = False,
) -> State[Any]:
    """Train a model as ``geoseg train`` does; a training that was interrupted goes on.

    Args:
        recipe: YAML; see ``configs/train``.
        data: folder that the recipe's images and labels are relative to.
        out: folder for the model and the checkpoint.
        start_from: bundled model or model file whose weights to begin with.
        encoder_weights: file of the recipe's ``encoder_weights``.
        threads: CPU threads; default: all.
        restart: start anew instead of resuming.
    """
    prepare_flow()
    if threads is not None:
        torch.set_num_threads(threads)
    parsed = read_recipe(recipe)
    artifacts = RunArtifacts(parsed.name)
    model = asset_key(out / f"{parsed.name}.safetensors")
    one = train_recipe.with_options(assets=[model], asset_deps=[asset_key(recipe), asset_key(data)])
    path, card = one(parsed, data, out, artifacts, start=start_from, encoder=encoder_weights, resume=not restart)
    artifacts.progress(1, 1, last=True)
    scores = [{"metric": score.metric, "value": score.value, "on": score.on} for score in card.scores]
    artifacts.table("scores", scores, f"Scores of {card.name}, of the weights as stored")
    summary = f"{path}: " + ", ".join(f"{score.metric} {score.value:.3f} on {score.on}" for score in card.scores)
    summary += "".join(f"; warning: {warning}" for warning in card.warnings)
    mark_complete(Outcome(summary=summary, reported=not artifacts.lost))
    return Completed(message=summary)


def main(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="Training recipe, YAML; see configs/train.")],
    data: Annotated[Path, typer.Option(help="Folder that the recipe's images and labels are relative to.")],
    out: Annotated[Path, typer.Option(help="Folder for the model and the checkpoint.")],
    start_from: Annotated[
        str | None, typer.Option(help="Bundled model, or model file, whose weights to begin with.")
    ] = None,
    encoder_weights: Annotated[Path | None, typer.Option(help="File of the recipe's encoder_weights.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all.")] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Start anew instead of resuming.")] = False,
) -> int:
    """Train a model as a Prefect flow; needs no server. The same command goes on after an interruption."""
    call = partial(train_model, recipe, data, out, start_from=start_from, encoder_weights=encoder_weights)
    return run(partial(call, threads=threads, restart=restart, return_state=True))
