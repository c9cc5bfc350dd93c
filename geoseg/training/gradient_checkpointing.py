"""Gradient checkpointing for any network: activations inside its blocks are recomputed instead of stored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

_LAYERS = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
_FEWEST, _MOST = 2, 8


def recompute_blocks(network: nn.Module) -> int:
    """Apply gradient checkpointing to the blocks of a network.

    A block is the largest module with 2 to 8 layers that have weights: a residual block, a transformer layer, a double
    convolution. The gradient is the same, and so are the running means of batch norms, which see each batch once.

    Args:
        network: modified in place; its parameters keep their names.

    Returns:
        The number of blocks.

    Source:
        Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost, https://arxiv.org/abs/1604.06174.
    """
    blocks = list(_blocks(network))
    for block in blocks:
        _forget(block)
    return len(blocks)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        layers = sum(isinstance(part, _LAYERS) for part in child.modules())
        callable_itself = not isinstance(child, nn.ModuleList | nn.ModuleDict)
        if _FEWEST <= layers <= _MOST and callable_itself:
            yield child
        elif layers >= _FEWEST:
            yield from _blocks(child)


def _forget(block: nn.Module) -> None:
    forward = block.forward

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _norms_at_rest(block)

    def again(*args: Any, **kwargs: Any) -> Any:
        if not block.training:
            return forward(*args, **kwargs)
        return checkpoint(forward, *args, use_reentrant=False, context_fn=contexts, **kwargs)

    block.forward = again


@contextmanager
def _norms_at_rest(block: nn.Module) -> Iterator[None]:
    """Keep running means unchanged in the second forward pass of a batch."""
    norms = [part for part in block.modules() if isinstance(part, _BatchNorm) and part.track_running_stats]
    before = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
        norm.num_batches_tracked = None if norm.num_batches_tracked is None else norm.num_batches_tracked.clone()
    try:
        yield
    finally:
        for norm, (momentum, seen) in zip(norms, before, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, seen
