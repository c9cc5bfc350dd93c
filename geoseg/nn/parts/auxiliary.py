"""Outputs of auxiliary heads, which a network has while it is trained."""

from __future__ import annotations

from typing import Literal, NamedTuple

from torch import Tensor, nn

Target = Literal["codes", "presence", "border"]


class Auxiliary(NamedTuple):
    """One auxiliary answer, and how it enters the loss.

    Attributes:
        logits: (B, classes, H, W) for ``codes``, (B, classes) for ``presence``, (B, 1, H, W) for ``border``.
        weight: of its loss relative to the main one's, which is 1.
        target: what is to be predicted: each pixel's class, which classes the tile holds, or where two classes meet.
    """

    logits: Tensor
    weight: float
    target: Target = "codes"


def forward_all(network: nn.Module, x: Tensor) -> tuple[Tensor, tuple[Auxiliary, ...]]:
    """Run a network of the registry with its auxiliary heads, for training.

    Args:
        network: of ``geoseg.nn.build``.
        x: (B, C, H, W).

    Returns:
        The logits that ``network(x)`` would give, and the auxiliary answers, none where it has no such heads.
    """
    method = getattr(network, "forward_all", None)
    if method is None:
        return network(x), ()
    answer: tuple[Tensor, tuple[Auxiliary, ...]] = method(x)
    return answer
