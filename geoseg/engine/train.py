"""Train a network from a recipe: a plain loop that can stop at any step and go on with the same result."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import is_zipfile

import numpy as np
import torch
from torch import Tensor, nn

from geoseg.core.card import ModelCard
from geoseg.core.digest import sha256_of_json
from geoseg.data.chips import Batch, ChipMaker
from geoseg.data.labelled import UNLABELLED, LabelledImage, read_source
from geoseg.engine.losses import mixed_loss
from geoseg.engine.recipe import Recipe, Schedule
from geoseg.engine.score import score
from geoseg.errors import ModelError, OutputError, UsageError
from geoseg.io.model_file import read_model, write_model
from geoseg.io.writing import whole_file
from geoseg.nn import build


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a training run stands: after ``step`` of ``steps`` batches."""

    step: int
    steps: int
    loss: float
    learning_rate: float
    elapsed_s: float


Report = Callable[[Progress], None]


class Trainer:
    """Network, optimiser and moving average of one run.

    Args:
        recipe: what to learn and how.
        images: what to learn from.
    """

    def __init__(self, recipe: Recipe, images: list[LabelledImage]) -> None:
        self.recipe = recipe
        torch.manual_seed(recipe.seed)
        options = recipe.architecture.options
        network = build(recipe.architecture.name, len(recipe.bands), len(recipe.legend), **options)
        self.network = network.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(requires_grad=False)
        self.optimiser = _optimiser(self.network, recipe.schedule)
        self.step = 0
        self.elapsed_s = 0.0
        normalisation = [band.mean for band in recipe.bands], [band.std for band in recipe.bands]
        self.chips = ChipMaker(images, recipe.chips, recipe.augment, normalisation, recipe.seed)

    @property
    def finished(self) -> bool:
        """Whether the schedule is used up."""
        return self._progress >= 1

    @property
    def _progress(self) -> float:
        schedule = self.recipe.schedule
        by_time = 0.0 if schedule.minutes is None else self.elapsed_s / 60 / schedule.minutes
        return max(self.step / schedule.steps, by_time)

    def learn(self, batch: Batch) -> Progress:
        """Take one step."""
        start = time.monotonic()
        schedule = self.recipe.schedule
        rate = learning_rate(self._progress, schedule)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        # dropout must not depend on what ran before, or a resumed run would differ
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.step)
        self.network.train()
        inputs = batch.inputs.contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.network(inputs)
        loss = mixed_loss(logits, batch.channels, self.recipe.loss, ignore=UNLABELLED)
        if not math.isfinite(loss.item()):
            raise UsageError(f"{self.recipe.name}: the loss is {loss.item()} at step {self.step}; lower learning_rate")
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), schedule.clip_norm)
        self.optimiser.step()
        self.step += 1
        self._follow()
        self.elapsed_s += time.monotonic() - start
        return Progress(
            step=self.step, steps=schedule.steps, loss=loss.item(), learning_rate=rate, elapsed_s=self.elapsed_s
        )

    def _follow(self) -> None:
        """Move the average towards the network; quickly at first, when the network is not yet worth averaging."""
        decay = min(self.recipe.schedule.ema, (1 + self.step) / (10 + self.step))
        ours, theirs = self.average.state_dict(), self.network.state_dict()
        for name, value in theirs.items():
            if value.is_floating_point():
                ours[name].lerp_(value, 1 - decay)
            else:
                ours[name].copy_(value)

    def begin_with(self, path: Path) -> ModelCard:
        """Take the weights of a model file; returns its card.

        Raises:
            ModelError: the file is broken, or its weights do not fit the network.
        """
        tensors, card = read_model(path)
        weights = {name: torch.from_numpy(np.array(array)) for name, array in tensors.items()}
        try:
            self.network.load_state_dict(weights)
        except RuntimeError as error:
            raise ModelError(f"{path}: its weights do not fit the recipe's network; start from another.") from error
        self.average.load_state_dict(weights)
        return card

    def state(self) -> dict[str, Any]:
        """Everything a later process needs to go on: tensors and numbers only."""
        return {
            "recipe": _digest(self.recipe),
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where ``state`` was taken."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.elapsed_s = state["step"], state["elapsed_s"]


def learning_rate(progress: float, schedule: Schedule) -> float:
    """Rate at a share of the run: a straight rise from 1/25 of the peak, then half a cosine down to 1/1000 of it."""
    if progress < schedule.warm_up:
        return schedule.learning_rate * (0.04 + 0.96 * progress / schedule.warm_up)
    fall = min(1.0, (progress - schedule.warm_up) / (1 - schedule.warm_up))
    return schedule.learning_rate * (0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * fall)))


def train(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    start: Path | None = None,
    resume: bool = False,
    report: Report | None = None,
) -> tuple[Path, ModelCard]:
    """Train a model and write it, scored, as ``OUT/NAME.safetensors``.

    Args:
        recipe: what to learn and how.
        data: folder that the recipe's files are relative to.
        out: folder of the model and of the checkpoint; made when missing.
        start: a model file whose weights to begin with, of the same architecture, bands and number of classes.
        resume: go on from the checkpoint in ``out`` when there is one.
        report: called after every step.

    Returns:
        The model file and its card, with scores of the weights as stored.

    Raises:
        UsageError: the recipe and the data do not fit, or the training diverged.
        ModelError: the model to start from is broken or another network.
        OutputError: ``out`` holds the model already, or a checkpoint of another recipe.
    """
    target, checkpoint = out / f"{recipe.name}.safetensors", out / f"{recipe.name}.checkpoint"
    if target.exists():
        raise OutputError(f"{target}: exists already. Remove it or choose another --out.")
    out.mkdir(parents=True, exist_ok=True)
    images = [i for s in recipe.sources for i in read_source(s, "train", data, recipe.legend)]
    if not images:
        raise UsageError(f"{recipe.name}: no source has anything to train on. Give one of them train rows.")
    trainer = Trainer(recipe, images)
    origin = None if start is None else trainer.begin_with(start)
    if resume and checkpoint.exists():
        trainer.restore(_load(checkpoint, recipe))
    _run(trainer, checkpoint, report)
    run = {"steps": trainer.step, "minutes": round(trainer.elapsed_s / 60, 1)}
    card = _descended(recipe.card(run=run), origin)
    weights = {name: _array(tensor) for name, tensor in trainer.average.state_dict().items()}
    write_model(target, weights, card)
    card = _scored(recipe, data, target, card)
    return target, write_model(target, weights, card)


def _descended(card: ModelCard, origin: ModelCard | None) -> ModelCard:
    """Add to a card what the weights it began with had learnt from, and how: their licences hold for it too."""
    if origin is None:
        return card
    known = {(source.name, source.split) for source in card.trained_on}
    before = tuple(source for source in origin.trained_on if (source.name, source.split) not in known)
    lineage = {"model": origin.name, "weights_sha256": origin.weights_sha256, "recipe": origin.recipe}
    recipe = {**card.recipe, "started_from": lineage}
    return card.model_copy(update={"trained_on": (*card.trained_on, *before), "recipe": recipe})


def _scored(recipe: Recipe, data: Path, target: Path, card: ModelCard) -> ModelCard:
    """Score the weights as they are stored, since storing rounds them."""
    images = [i for s in recipe.sources for i in read_source(s, "validate", data, recipe.legend)]
    stored, _ = read_model(target)
    network = build(card.architecture.name, len(card.bands), len(card.legend), **card.architecture.options)
    network.load_state_dict({name: torch.from_numpy(np.array(array)) for name, array in stored.items()})
    scores = score(network.eval().to(memory_format=torch.channels_last), images, card)
    return card.model_copy(update={"scores": tuple(scores)})


def _run(trainer: Trainer, checkpoint: Path, report: Report | None) -> None:
    save_every = trainer.recipe.schedule.save_every
    with ThreadPoolExecutor(1, "chips") as ahead:
        following = ahead.submit(trainer.chips.batch, trainer.step)
        while not trainer.finished:
            batch = following.result()
            following = ahead.submit(trainer.chips.batch, trainer.step + 1)
            progress = trainer.learn(batch)
            if report is not None:
                report(progress)
            if trainer.step % save_every == 0 or trainer.finished:
                with whole_file(checkpoint) as part:
                    torch.save(trainer.state(), part)


def _load(checkpoint: Path, recipe: Recipe) -> dict[str, Any]:
    refusal = OutputError(f"{checkpoint}: not a checkpoint that can be resumed. Remove it to start anew.")
    if not is_zipfile(checkpoint):  # torch would take anything else for its old format, and fail in many ways
        raise refusal
    try:
        state: dict[str, Any] = torch.load(checkpoint, weights_only=True)
    except (RuntimeError, OSError, UnpicklingError, EOFError) as error:
        raise refusal from error
    if state.get("recipe") != _digest(recipe):
        raise OutputError(f"{checkpoint}: belongs to another recipe. Remove it or choose another --out.")
    return state


def _digest(recipe: Recipe) -> str:
    """Digest of what the weights depend on; titles and scores may change under a running training."""
    parts = {"architecture", "bands", "legend", "sources", "chips", "augment", "loss", "schedule", "seed"}
    return sha256_of_json(recipe.model_dump(mode="json", include=parts))


def _optimiser(network: nn.Module, schedule: Schedule) -> torch.optim.Optimizer:
    """AdamW; norms and biases are not decayed."""
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": schedule.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=schedule.learning_rate, fused=True)


def _array(tensor: Tensor) -> Any:
    return tensor.detach().contiguous().numpy()
