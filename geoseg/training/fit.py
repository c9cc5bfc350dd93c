"""Run a learner with Lightning: devices, precision, logs, checkpoints; quietly, and so that it can go on."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger

from geoseg.data.chips import ChipMaker
from geoseg.errors import ResourceError, UsageError
from geoseg.training.batches import BatchesAhead
from geoseg.training.checkpoint import WholeFiles
from geoseg.training.learner import Learner
from geoseg.training.progress import Report
from geoseg.training.recipe import Recipe
from geoseg.training.trainer_settings import TrainerSettings
from geoseg.training.watch import Look, Watch

_PRECISIONS: dict[str, Any] = {"bf16": "bf16-mixed", "fp32": "32-true"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a run writes.

    Attributes:
        checkpoint: a file.
        log: a file, a table.
        tensorboard: a folder.
    """

    checkpoint: Path
    log: Path
    tensorboard: Path


def fit(
    learner: Learner,
    chips: ChipMaker,
    places: Places,
    *,
    look: Look,
    report: Report | None = None,
    resume: bool = False,
) -> bool:
    """Learn until the schedule, the clock or the patience is used up.

    Args:
        learner: learns; with weights to begin with.
        chips: cuts what it learns from.
        places: where checkpoints and logs go; their folder exists.
        look: at the held-out data.
        report: called after every step.
        resume: go on from the checkpoint, which is there and belongs to the recipe.

    Returns:
        Whether this is the first process, which writes the model; the others have nothing left to do.

    Raises:
        UsageError: the training diverged.
        ResourceError: a device is not there, or its memory does not suffice.
    """
    recipe = learner.recipe
    watch = Watch(places.checkpoint, places.log, report, look)
    with _quiet():
        trainer = _trainer(recipe, places, watch, step=learner.steps_taken)
        share = (trainer.global_rank, trainer.world_size)
        total = recipe.schedule.step_limit * recipe.schedule.accumulate
        batches = BatchesAhead(chips, total, workers=recipe.trainer.workers, share=share, begin=learner.batches_seen)
        handler = signal.getsignal(signal.SIGINT)
        try:
            trainer.fit(learner, batches, ckpt_path=places.checkpoint if resume else None, weights_only=True)
        except SystemExit as left:  # Lightning leaves so at Ctrl-C; whoever called decides what that means
            if not isinstance(watch.stopped_by, KeyboardInterrupt):
                raise
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGINT, handler)
            raise KeyboardInterrupt from left
        except torch.OutOfMemoryError as error:
            raise ResourceError(
                f"{recipe.name}: the GPU's memory does not suffice. Lower chips.batch, or set trainer.recompute."
            ) from error
    return bool(trainer.is_global_zero)


def _trainer(recipe: Recipe, places: Places, watch: Watch, step: int) -> Trainer:
    settings = recipe.trainer
    present = torch.cuda.device_count()
    if settings.accelerator == "gpu" and present < settings.devices:
        raise ResourceError(f"{recipe.name}: {settings.devices} GPU wanted, {present} there. Set trainer.accelerator.")
    return Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        strategy=settings.strategy,
        precision=_PRECISIONS[settings.precision],
        max_steps=recipe.schedule.step_limit,
        accumulate_grad_batches=recipe.schedule.accumulate,
        callbacks=[watch],
        logger=_loggers(recipe, places, step),
        plugins=[WholeFiles()],
        default_root_dir=places.checkpoint.parent,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _loggers(recipe: Recipe, places: Places, step: int) -> list[Logger]:
    settings: TrainerSettings = recipe.trainer
    loggers: list[Logger] = []
    if settings.tensorboard:
        with _wanted(recipe, "trainer.tensorboard", extra="train"):
            loggers.append(_board(places.tensorboard, step))
    if settings.mlflow is not None:
        with _wanted(recipe, "trainer.mlflow", extra="mlflow"):
            loggers.append(MLFlowLogger(experiment_name=recipe.name, tracking_uri=settings.mlflow))
    for logger in loggers:
        logger.log_hyperparams(recipe.model_dump(mode="json", exclude={"sources", "legend", "bands"}))
    return loggers


@contextmanager
def _wanted(recipe: Recipe, key: str, *, extra: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{recipe.name}: {key} needs what is not installed. Run pip install 'geoseg[{extra}]', or leave it out."
        ) from error


def _board(folder: Path, step: int) -> TensorBoardLogger:
    """Log to a folder; what a killed run logged after its last checkpoint is taken back."""
    return TensorBoardLogger(folder.parent, name=folder.name, version="", default_hp_metric=False, purge_step=step + 1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice from the user, who did not choose what it is about."""
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        log.setLevel(level)
