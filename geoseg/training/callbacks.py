"""Callbacks of a training run: progress, validation, checkpoints, stopping."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor

from geoseg.training.progress import Line, Report, TrainingProgress, write_log
from geoseg.training.score import Confusion, headline
from geoseg.training.training_module import TrainingModule

Look = Callable[[torch.nn.Module, tuple[int, int]], Confusion]
"""Counts a network's predictions on this process's share of the validation data, by rank and number of processes."""


class TrainingCallback(Callback):  # type: ignore[misc]
    """Callback that runs the due actions after each step, in an order that also holds for a resumed run.

    Args:
        checkpoint: checkpoint file.
        log: log file, a table.
        report: called after every step of the first process.
        look: validation function; every process takes its share.
    """

    def __init__(self, checkpoint: Path, log: Path, report: Report | None, look: Look) -> None:
        self._checkpoint, self._log, self._report, self._look = checkpoint, log, report, look
        self._last_line = (0, 0.0)
        self._iou = self._speed = self._last_loss = float("nan")
        self._held_out: float | None = None
        self.stopped_by: BaseException | None = None

    def on_exception(self, trainer: Trainer, pl_module: object, exception: BaseException) -> None:
        """Keep the exception that stopped the run, which Lightning may hide."""
        del trainer, pl_module
        self.stopped_by = exception

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Start measuring the speed."""
        del trainer
        self._last_line = (pl_module.batches_seen, time.monotonic())
        looks = [line["held_out_iou"] for line in pl_module.lines if "held_out_iou" in line]
        self._held_out = looks[-1] if looks else None

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Record the loss, and run the due actions after a step."""
        del batch, batch_idx
        self._last_loss = float(outputs["loss"]) * pl_module.recipe.schedule.accumulate
        pl_module.losses.append(self._last_loss)
        if pl_module.end_batch():
            self._after_step(trainer, pl_module)

    def _after_step(self, trainer: Trainer, learner: TrainingModule) -> None:
        schedule, settings = learner.recipe.schedule, learner.recipe.trainer
        rate = max(group["lr"] for group in trainer.optimizers[0].param_groups)
        step = learner.steps_taken
        ended = self._agreed(trainer, learner.share_done >= 1)
        looked = bool(schedule.validate_every) and (step % schedule.validate_every == 0 or ended)
        if looked:
            ended = self._judge(trainer, learner) or ended
        if looked or ended or step % settings.log_every == 0:
            self._write_line(trainer, learner, rate, looked=looked)
        learner.done = ended
        if ended or step % schedule.save_every == 0:
            if trainer.is_global_zero:  # before the checkpoint: after a kill in between, the log is written again
                write_log(self._log, learner.lines)
            trainer.save_checkpoint(self._checkpoint)
        if ended:
            trainer.should_stop = True
        if self._report is not None and trainer.is_global_zero:
            self._report(self._progress(learner, rate))

    def _agreed(self, trainer: Trainer, decision: bool) -> bool:
        """Return True if any process would stop, since their clocks differ."""
        return bool(trainer.strategy.reduce_boolean_decision(decision, all=False))

    def _judge(self, trainer: Trainer, learner: TrainingModule) -> bool:
        """Validate the averaged weights; return True if the patience is exhausted."""
        learner.average.eval()
        began = time.monotonic()
        counts = torch.from_numpy(self._look(learner.average, (trainer.global_rank, trainer.world_size)))
        counts = trainer.strategy.reduce(counts.to(learner.device), reduce_op="sum")
        score = self._held_out = headline(counts.cpu().numpy())
        batches, since = self._last_line
        self._last_line = (batches, since + time.monotonic() - began)  # looking is not learning
        if math.isnan(score):
            return False
        if learner.best is None or score > learner.best[0]:
            weights = learner.average.state_dict() if learner.recipe.schedule.keep == "best" else {}
            learner.best = (score, {name: value.detach().cpu().clone() for name, value in weights.items()})
            learner.looks_since_best = 0
        else:
            learner.looks_since_best += 1
        patience = learner.recipe.schedule.patience
        return patience is not None and learner.looks_since_best >= patience

    def _write_line(self, trainer: Trainer, learner: TrainingModule, rate: float, *, looked: bool) -> None:
        batches, since = self._last_line
        now = time.monotonic()
        chips = (learner.batches_seen - batches) * learner.recipe.chips.batch * trainer.world_size
        self._speed, self._last_line = chips / max(1e-6, now - since), (learner.batches_seen, now)
        self._iou = _iou(learner.counts)
        line: Line = {
            "step": learner.steps_taken,
            "loss": float(np.mean(learner.losses)) if learner.losses else float("nan"),
            "learning_rate": rate,
            "iou": self._iou,
            "images_per_s": self._speed,
            "elapsed_s": learner.elapsed_s,
        }
        if looked and self._held_out is not None:
            line["held_out_iou"] = self._held_out
        learner.lines.append(line)
        learner.counts.zero_()
        learner.losses = []
        for logger in trainer.loggers:
            logger.log_metrics(
                {k: v for k, v in line.items() if k != "step" and math.isfinite(v)}, step=learner.steps_taken
            )

    def _progress(self, learner: TrainingModule, rate: float) -> TrainingProgress:
        return TrainingProgress(
            step=learner.steps_taken,
            steps=learner.recipe.schedule.steps,
            loss=self._last_loss,
            learning_rate=rate,
            elapsed_s=learner.elapsed_s,
            iou=self._iou,
            held_out_iou=self._held_out,
            images_per_s=self._speed,
            share=min(1.0, learner.share_done),
        )


def _iou(counts: Tensor) -> float:
    classes = math.isqrt(len(counts))
    return headline(counts.reshape(classes, classes).cpu().numpy())
