"""Count a network's parameters and multiplications, without memory for a weight."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from geoseg.nn.parts.auxiliary import forward_all
from geoseg.nn.zoo.registry import build

BANDS, CLASSES, SIDE_PX = 3, 21, 512


class Measure(NamedTuple):
    """Cost of a network.

    Attributes:
        parameters: without auxiliary heads, which a prediction does not need.
        auxiliary: parameters of those heads.
        macs: multiply-accumulate operations of one forward pass, in convolutions and products of matrices.
    """

    parameters: int
    auxiliary: int
    macs: int


def measure(
    name: str,
    *,
    bands: int = BANDS,
    classes: int = CLASSES,
    size: tuple[int, int] = (SIDE_PX, SIDE_PX),
    **options: Any,
) -> Measure:
    """Measure a network of the registry.

    Args:
        name: of the network.
        bands: input bands.
        classes: output channels.
        size: rows and columns of the input.
        options: of the network.

    Raises:
        ModelError: as ``build``.
    """
    with torch.device("meta"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*no-op.*")
        network = build(name, bands, classes, **options).eval()
        x = torch.empty(1, bands, *size)
        idle = _idle(network, x)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(x)
    total = sum(p.numel() for p in network.parameters())
    # the counter takes a multiplication and an addition for two
    return Measure(total - idle, idle, counter.get_total_flops() // 2)


def _idle(network: nn.Module, x: torch.Tensor) -> int:
    """Parameters that train with the auxiliary answers only, or never."""
    _, beside = forward_all(network, x)
    if not beside:
        return 0
    needed = torch.autograd.grad(network(x).sum(), list(network.parameters()), allow_unused=True)
    return sum(p.numel() for p, g in zip(network.parameters(), needed, strict=True) if g is None)
