"""TrainingModule: Lightning module of a network, the moving average of its weights, and the training step."""

from __future__ import annotations

import copy
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from geoseg.core.card import ModelCard
from geoseg.core.types.json_value import UntypedDict
from geoseg.data.chips import Batch
from geoseg.data.instance_targets import label_table, panoptic_targets_of, targets_of, to_device
from geoseg.data.labelled import UNLABELLED
from geoseg.errors import ModelError, UsageError
from geoseg.interactive.simulate import IGNORED
from geoseg.io.weights.model_file import read_model
from geoseg.models.bundled import resolve
from geoseg.models.encoder_weights import load_encoder
from geoseg.models.network import load_network
from geoseg.nn import build
from geoseg.nn.interactive.contract import InteractiveNetwork
from geoseg.nn.parts.auxiliary import Auxiliary, forward_all
from geoseg.nn.zoo.pretrained import find_encoder, load_encoder_weights, load_fitting_tensors
from geoseg.training.auxiliary_losses import auxiliary_loss
from geoseg.training.checkpoint import KEY
from geoseg.training.clicks.step import click_loss
from geoseg.training.gradient_checkpointing import recompute_blocks
from geoseg.training.losses import mixed_loss
from geoseg.training.optimiser import encoder_of, make_optimiser
from geoseg.training.progress import Line
from geoseg.training.recipe import Recipe, recipe_digest
from geoseg.training.schedule import learning_rate
from geoseg.training.separation_loss import separated_classes, separation_loss, separation_weights


class TrainingModule(LightningModule):  # type: ignore[misc]
    """Lightning module of the training: network, averaged network and progress.

    Args:
        recipe: the training recipe.
        class_weights: (classes,), for the losses that are means over pixels; None for equal weights.

    Attributes:
        network: the network being trained.
        average: moving average of its weights; the result.
        steps_taken, batches_seen: totals, including those before a resumption.
        counts: (true class, predicted class) pixels of the chips since the last reset.
        started_from: digest of the model's weights that it started from; empty: none.
        lines: lines of the log.
        best: score and weights of the best validation, if the schedule keeps them.
        looks_since_best: validations since the best one.
        done: True when training is finished.
    """

    class_weights: Tensor | None
    counts: Tensor

    def __init__(self, recipe: Recipe, class_weights: Tensor | None = None) -> None:
        super().__init__()
        self.recipe = recipe
        torch.manual_seed(recipe.seed)
        options = recipe.architecture.options
        layout = torch.channels_last if recipe.trainer.channels_last else torch.contiguous_format
        network = build(recipe.architecture.name, len(recipe.bands), len(recipe.legend), **options)
        self.network = network.to(memory_format=layout)
        self._freezes = recipe.optimiser.encoder_rate == 0
        if self._freezes and (encoder := encoder_of(self.network)) is not None:
            encoder.requires_grad_(requires_grad=False)
        self.average = copy.deepcopy(self.network).requires_grad_(requires_grad=False)
        if recipe.trainer.recompute:
            recompute_blocks(self.network)
        self._layout = layout
        self._objects = separated_classes(recipe.loss, recipe.legend)
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.register_buffer("counts", torch.zeros(len(recipe.legend) ** 2, dtype=torch.int64), persistent=False)
        self.steps_taken = self.batches_seen = 0
        self.started_from = ""
        self.lines: list[Line] = []
        self.losses: list[float] = []
        """Of the batches since the last line."""
        self.best: tuple[float, dict[str, Tensor]] | None = None
        self.looks_since_best = 0
        self.done = False
        self._elapsed_before_s, self._begun = 0.0, time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """Seconds this run has taken, without interruptions."""
        return self._elapsed_before_s + time.monotonic() - self._begun

    @property
    def share_done(self) -> float:
        """Completed share of the schedule, by steps or by time."""
        schedule = self.recipe.schedule
        by_time = 0.0 if schedule.minutes is None else self.elapsed_s / 60 / schedule.minutes
        return max(self.steps_taken / schedule.step_limit, by_time)

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return learning_rate(self.share_done, self.recipe.schedule)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Make the optimiser of the recipe."""
        return make_optimiser(self.network, self.recipe.optimiser, self.recipe.schedule)

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Move a batch to the device."""
        del dataloader_idx
        return Batch(*(one.to(device, non_blocking=True) for one in (batch.inputs, batch.class_indices, batch.objects)))

    def on_train_start(self) -> None:
        """Start the clock, so that preparation is not counted."""
        self._begun = time.monotonic()

    def on_train_batch_start(self, batch: object, batch_idx: int) -> None:
        """Set the learning rate."""
        del batch, batch_idx
        rate = self.rate
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = rate * group["scale"]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Compute the loss of a batch.

        Raises:
            UsageError: the training diverged, or the network cannot be trained on batches of one chip.
        """
        del batch_idx
        # dropout must not depend on what ran before, or a resumed run would differ
        if self._freezes and (encoder := encoder_of(self.network)) is not None:
            encoder.eval()
        torch.manual_seed(self.recipe.seed * 1_000_003 + self.batches_seen + 7919 * self.global_rank)
        if self.recipe.task in {"instance", "panoptic"}:
            return self._checked(self._instance_loss(batch))
        if self.recipe.task == "interactive":
            return self._checked(self._click_loss(batch))
        logits, auxiliary = self._answers(batch.inputs.contiguous(memory_format=self._layout))
        with torch.autocast(self.device.type, enabled=False):
            loss = self._loss(logits, batch.class_indices)
            loss = loss + auxiliary_loss(
                auxiliary, batch.class_indices, self.recipe.loss, ignore=UNLABELLED, class_weights=self.class_weights
            )
        self._count(logits.detach(), batch.class_indices)
        return self._checked(loss)

    def _checked(self, loss: Tensor) -> Tensor:
        if not math.isfinite(loss.item()):
            raise UsageError(
                f"{self.recipe.name}: the loss is {loss.item()} at step {self.steps_taken}; lower learning_rate"
            )
        return loss

    def _instance_loss(self, batch: Batch) -> Tensor:
        """Sum the losses of an instance or panoptic network."""
        legend, class_indices, objects = self.recipe.legend, batch.class_indices.cpu(), batch.objects.cpu()
        if self.recipe.task == "panoptic":
            targets = panoptic_targets_of(class_indices, objects, legend)
        else:
            targets = targets_of(class_indices, objects, label_table(legend))
        losses = self.network(batch.inputs.contiguous(memory_format=self._layout), to_device(targets, self.device))
        return torch.stack([loss.float() for loss in losses.values()]).sum()

    def _click_loss(self, batch: Batch) -> Tensor:
        """Compute the loss of an interactive network, and count its last answers."""
        rng = np.random.default_rng([self.recipe.seed, self.batches_seen, self.global_rank])
        assert isinstance(self.network, InteractiveNetwork)  # noqa: S101 - the recipe was checked
        loss, logits, truth = click_loss(self.network, batch, rng, dice=self.recipe.loss.dice)
        self._count(torch.stack([-logits, logits], dim=1), truth.where(truth != IGNORED, UNLABELLED))
        return loss

    def _answers(self, inputs: Tensor) -> tuple[Tensor, tuple[Auxiliary, ...]]:
        try:
            return forward_all(self.network, inputs)
        except ValueError as error:  # a batch norm over means of whole chips
            if len(inputs) > 1 or "more than 1 value per channel" not in str(error):
                raise
            raise UsageError(
                f"{self.recipe.name}: {self.recipe.architecture.name} takes norms over means of whole chips and cannot "
                "be trained with one at a time. Set chips.batch to 2 or more."
            ) from error

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the norm of the gradient."""
        del optimizer, gradient_clip_val, gradient_clip_algorithm
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.schedule.clip_norm)

    def end_batch(self) -> bool:
        """Count a batch; if it completes a step, update the average and return True."""
        self.batches_seen += 1
        if self.trainer.global_step == self.steps_taken:
            return False
        self.steps_taken = self.trainer.global_step
        self._follow()
        return True

    def load_initial_weights(self, model: str) -> ModelCard:
        """Load initial weights from a bundled model or a model file; return its card.

        Raises:
            ModelError: the model is unknown or broken, or its weights do not fit the network.
        """
        tensors, card = read_model(*resolve(model))
        weights = {name: torch.from_numpy(np.array(array)) for name, array in tensors.items()}
        if self.recipe.task != "semantic" and card.architecture.name != self.recipe.architecture.name:
            if self._has_all(weights):
                self.network.load_state_dict(weights, strict=False)
                self.average.load_state_dict(self.network.state_dict())
                return card
            return self._begin_with_encoder_of(model)
        try:
            self.network.load_state_dict(weights)
        except RuntimeError as error:
            raise ModelError(
                f"{model}: its weights do not fit the network of {self.recipe.name}. It is {_network_facts(card)}, the "
                f"recipe asks for {_network_facts(self.recipe)}. Change the recipe, or start from another model."
            ) from error
        self.average.load_state_dict(weights)
        return card

    def _has_all(self, weights: dict[str, Tensor]) -> bool:
        """Return True if the network has all tensors of another one, as a watershed U-Net has those of a U-Net."""
        own = self.network.state_dict()
        return all(name in own and own[name].shape == tensor.shape for name, tensor in weights.items())

    def _begin_with_encoder_of(self, model: str) -> ModelCard:
        """Load the weights of the encoder of another network, such as one trained for class maps."""
        network, card = load_network(model)
        theirs, ours = find_encoder(network), find_encoder(self.network)
        if theirs is None or ours is None:
            raise ModelError(f"{model}: it and {self.recipe.architecture.name} do not both have an encoder.")
        try:
            load_encoder_weights(ours, theirs.state_dict())
        except ModelError as error:
            raise ModelError(f"{model}: its encoder is not that of {self.recipe.name}: {error}") from error
        if self.recipe.task == "interactive":
            load_fitting_tensors(self.network, network.state_dict())
        self.average.load_state_dict(self.network.state_dict())
        return card

    def load_initial_encoder(self, path: Path) -> None:
        """Load the initial encoder weights named by the recipe.

        Raises:
            UsageError: the recipe names none.
            ModelError: the file has another digest.
        """
        if self.recipe.encoder_weights is None:
            raise UsageError(f"{self.recipe.name}: the recipe names no encoder_weights; leave out --encoder-weights.")
        load_encoder(self.network, self.recipe.encoder_weights, path)
        self.average.load_state_dict(self.network.state_dict())

    def result(self) -> nn.Module:
        """Return the trained network, in evaluation mode, on the CPU."""
        if self.recipe.schedule.keep == "best" and self.best is not None:
            self.average.load_state_dict(self.best[1])
        return self.average.eval().cpu()

    def on_save_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Add geoseg's own state, as plain numbers and tensors."""
        checkpoint[KEY] = {
            "recipe": recipe_digest(self.recipe),
            "started_from": self.started_from,
            "steps_taken": self.steps_taken,
            "batches_seen": self.batches_seen,
            "elapsed_s": self.elapsed_s,
            "lines": self.lines,
            "losses": self.losses,
            "best": self.best,
            "looks_since_best": self.looks_since_best,
            "counts": self.counts,
            "done": self.done,
        }

    def on_load_checkpoint(self, checkpoint: UntypedDict) -> None:
        """Restore geoseg's own state."""
        state = checkpoint[KEY]
        self.steps_taken, self.batches_seen = state["steps_taken"], state["batches_seen"]
        self._elapsed_before_s, self.done = state["elapsed_s"], state["done"]
        self.lines, self.best = state["lines"], state["best"]
        self.losses = state.get("losses", [])  # a checkpoint of an older version has none
        self.looks_since_best = state["looks_since_best"]
        self.counts.copy_(state["counts"])

    def _loss(self, logits: Tensor, class_indices: Tensor) -> Tensor:
        mix = self.recipe.loss
        loss = mixed_loss(logits, class_indices, mix, ignore=UNLABELLED, class_weights=self.class_weights)
        if mix.separation:
            weights = separation_weights(class_indices, self._objects, mix.separation_px)
            loss = loss + mix.separation * separation_loss(logits, class_indices, weights, ignore=UNLABELLED)
        return loss

    def _count(self, logits: Tensor, class_indices: Tensor) -> None:
        known = class_indices != UNLABELLED
        pairs = class_indices[known] * logits.shape[1] + logits.argmax(1)[known]
        self.counts += torch.bincount(pairs, minlength=len(self.counts))

    @torch.no_grad()
    def _follow(self) -> None:
        """Update the moving average; with a smaller decay at first, when the weights still change fast."""
        decay = min(self.recipe.schedule.ema, (1 + self.steps_taken) / (10 + self.steps_taken))
        ours, theirs = self.average.state_dict(), self.network.state_dict()
        smooth = [name for name, value in theirs.items() if value.is_floating_point()]
        follow = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        follow([ours[n] for n in smooth], [theirs[n] for n in smooth], None)
        for name in theirs.keys() - smooth:
            ours[name].copy_(theirs[name])


def _network_facts(of: ModelCard | Recipe) -> str:
    options = json.dumps(of.architecture.options) if of.architecture.options else "no options"
    return f"{of.architecture.name} with {options}, {len(of.bands)} bands and {len(of.legend)} classes"
