"""Training with Lightning: devices, precision, logs, resumable checkpoints."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger

from geoseg.data.chips import ChipMaker
from geoseg.errors import ResourceError, UsageError
from geoseg.training.batches import PrefetchedBatches
from geoseg.training.callbacks import Look, TrainingCallback
from geoseg.training.checkpoint import WholeFiles
from geoseg.training.progress import Report
from geoseg.training.recipe import Recipe
from geoseg.training.trainer_settings import TrainerSettings
from geoseg.training.training_module import TrainingModule

_PRECISIONS: dict[str, object] = {"bf16": "bf16-mixed", "fp32": "32-true"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FitPaths:
    """Output paths of a training run.

    Attributes:
        checkpoint: checkpoint file.
        log: log file, a table.
        tensorboard: folder of the TensorBoard log.
    """

    checkpoint: Path
    log: Path
    tensorboard: Path


def fit(
    learner: TrainingModule,
    chips: ChipMaker,
    places: FitPaths,
    *,
    look: Look,
    report: Report | None = None,
    resume: bool = False,
) -> bool:
    """Train until the schedule, the time limit or the patience is exhausted.

    Args:
        learner: the module with its initial weights.
        chips: cuts the training batches.
        places: paths of checkpoint and logs; their folder exists.
        look: validation function.
        report: called after every step.
        resume: resume from the checkpoint, which exists and belongs to the recipe.

    Returns:
        True in the process of rank 0, which writes the model.

    Raises:
        UsageError: the training diverged.
        ResourceError: a device does not exist, or its memory does not suffice.
    """
    recipe = learner.recipe
    watch = TrainingCallback(places.checkpoint, places.log, report, look)
    with _quiet():
        trainer = _trainer(recipe, places, watch, step=learner.steps_taken)
        share = (trainer.global_rank, trainer.world_size)
        total = recipe.schedule.step_limit * recipe.schedule.accumulate
        batches = PrefetchedBatches(
            chips, total, workers=recipe.trainer.workers, share=share, begin=learner.batches_seen
        )
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


def _trainer(recipe: Recipe, places: FitPaths, watch: TrainingCallback, step: int) -> Trainer:
    settings = recipe.trainer
    present = torch.cuda.device_count()
    if settings.accelerator == "gpu" and present < settings.devices:
        raise ResourceError(
            f"{recipe.name}: {settings.devices} GPU requested, {present} available. Set trainer.accelerator."
        )
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


def _loggers(recipe: Recipe, places: FitPaths, step: int) -> list[Logger]:
    settings: TrainerSettings = recipe.trainer
    loggers: list[Logger] = []
    if settings.tensorboard:
        with _required(recipe, "trainer.tensorboard", extra="train"):
            loggers.append(_tensorboard(places.tensorboard, step))
    if settings.mlflow is not None:
        with _required(recipe, "trainer.mlflow", extra="mlflow"):
            loggers.append(MLFlowLogger(experiment_name=recipe.name, tracking_uri=settings.mlflow))
    for logger in loggers:
        logger.log_hyperparams(recipe.model_dump(mode="json", exclude={"sources", "legend", "bands"}))
    return loggers


@contextmanager
def _required(recipe: Recipe, key: str, *, extra: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{recipe.name}: {key} needs what is not installed. Run pip install 'geoseg[{extra}]', or leave it out."
        ) from error


def _tensorboard(folder: Path, step: int) -> TensorBoardLogger:
    """Open the TensorBoard log; entries of a killed run after its last checkpoint are purged."""
    return TensorBoardLogger(folder.parent, name=folder.name, version="", default_hp_metric=False, purge_step=step + 1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress Lightning's messages about settings that the user did not choose."""
    log = logging.getLogger("lightning.pytorch")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        log.setLevel(level)
