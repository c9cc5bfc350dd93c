"""Count a network's parameters and multiplications, without memory for a weight."""

from __future__ import annotations

import warnings

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from geoseg.nn.instance.contract import InstanceNetwork
from geoseg.nn.interactive.contract import InteractiveNetwork
from geoseg.nn.parts.auxiliary import forward_all
from geoseg.nn.zoo.entry import Cost
from geoseg.nn.zoo.registry import build

BANDS, CLASSES, SIDE_PX = 3, 21, 512


def measure(
    name: str,
    *,
    bands: int = BANDS,
    classes: int = CLASSES,
    size: tuple[int, int] = (SIDE_PX, SIDE_PX),
    **options: object,
) -> Cost:
    """Measure a network of the registry.

    Args:
        name: of the network.
        bands: input bands.
        classes: output channels; for objects, the background counted.
        size: rows and columns of the input.
        options: of the network.

    Raises:
        ModelError: as ``build``.
    """
    with torch.device("meta"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*no-op.*")
        network = build(name, bands, classes, **options).eval()
        x = torch.empty(1, bands, *size)
        if isinstance(network, InstanceNetwork):
            return _instance_cost(network, x)
        if isinstance(network, InteractiveNetwork):
            return _interactive_cost(network, x)
        idle = _idle(network, x)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(x)
    total = sum(p.numel() for p in network.parameters())
    # the counter takes a multiplication and an addition for two
    return Cost(total - idle, idle, counter.get_total_flops() // 2)


def _instance_cost(network: InstanceNetwork, x: torch.Tensor) -> Cost:
    """Cost of a network that answers with objects; the parts that only training needs count as auxiliary."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.nominal_pass(x)
    idle = sum(p.numel() for part in network.training_only for p in network.get_submodule(part).parameters())
    total = sum(p.numel() for p in network.parameters())
    return Cost(total - idle, idle, counter.get_total_flops() // 2)


def _interactive_cost(network: InteractiveNetwork, x: torch.Tensor) -> Cost:
    """Cost of a network that answers clicks; of one positive and one negative click."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(x, torch.empty(1, 2, 2))
    return Cost(sum(p.numel() for p in network.parameters()), 0, counter.get_total_flops() // 2)


def _idle(network: nn.Module, x: torch.Tensor) -> int:
    """Count the parameters that only the auxiliary heads use, or none."""
    _, auxiliary = forward_all(network, x)
    if not auxiliary:
        return 0
    needed = torch.autograd.grad(network(x).sum(), list(network.parameters()), allow_unused=True)
    return sum(p.numel() for p, g in zip(network.parameters(), needed, strict=True) if g is None)
