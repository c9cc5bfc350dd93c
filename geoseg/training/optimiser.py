"""The optimiser of a recipe: its kind, weight decay and learning rates of parameter groups."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from geoseg.errors import ModelError
from geoseg.training.schedule import Schedule
from geoseg.training.settings import Settings

Share = Annotated[float, Field(ge=0, lt=1)]

_ENCODERS = ("body.encoder", "body.backbone", "encoder", "backbone")


class OptimiserSettings(Settings):
    """Settings of the optimiser.

    Attributes:
        name: ``adamw`` or ``sgd``.
        betas: decay of the first and second moments of ``adamw``.
        momentum: momentum of ``sgd``.
        nesterov: use Nesterov momentum with ``sgd``.
        decay_vectors: decay norms and biases too, as papers with SGD do.
        encoder_rate: learning rate of the encoder relative to that of the rest; 0 freezes it, its norms included.

    Source:
        Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization, https://arxiv.org/abs/1711.05101.
    """

    name: Literal["adamw", "sgd"] = "adamw"
    betas: tuple[Share, Share] = (0.9, 0.999)
    momentum: Share = 0.9
    nesterov: bool = False
    decay_vectors: bool = False
    encoder_rate: Annotated[float, Field(ge=0)] = 1.0


def make_optimiser(network: nn.Module, settings: OptimiserSettings, schedule: Schedule) -> torch.optim.Optimizer:
    """Make the optimiser of a network; each of its groups has ``scale``, its share of the learning rate.

    Args:
        network: the network.
        settings: settings of the optimiser.
        schedule: weight decay and learning rate.

    Raises:
        ModelError: the encoder has a rate of its own, but the network has no encoder.
    """
    groups: list[dict[str, object]] = []
    for scale, parameters in _by_scale(network, settings):
        matrices = [p for p in parameters if p.ndim > 1]
        vectors = [p for p in parameters if p.ndim <= 1]
        decay = schedule.weight_decay if settings.decay_vectors else 0.0
        groups += [
            {"params": matrices, "weight_decay": schedule.weight_decay, "scale": scale},
            {"params": vectors, "weight_decay": decay, "scale": scale},
        ]
    groups = [group for group in groups if group["params"]]
    if settings.name == "sgd":
        return torch.optim.SGD(
            groups, lr=schedule.learning_rate, momentum=settings.momentum, nesterov=settings.nesterov
        )
    return torch.optim.AdamW(groups, lr=schedule.learning_rate, betas=settings.betas, fused=True)


def encoder_of(network: nn.Module) -> nn.Module | None:
    """Return the encoder of a network; None if it has none."""
    modules = dict(network.named_modules())
    return next((modules[name] for name in _ENCODERS if name in modules), None)


def _by_scale(network: nn.Module, settings: OptimiserSettings) -> list[tuple[float, list[nn.Parameter]]]:
    if settings.encoder_rate == 1:
        return [(1.0, list(network.parameters()))]
    encoder = encoder_of(network)
    if encoder is None:
        raise ModelError("optimiser.encoder_rate: the recipe's network has no encoder; leave it out")
    inside = {id(p) for p in encoder.parameters()}
    rest = [p for p in network.parameters() if id(p) not in inside]
    if settings.encoder_rate == 0:
        return [(1.0, rest)]
    return [(settings.encoder_rate, list(encoder.parameters())), (1.0, rest)]
