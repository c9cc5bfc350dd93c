"""Recomputing activations changes memory, and nothing else: gradients and running means to the bit."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from geoseg.nn import build
from geoseg.nn.parts.auxiliary import forward_all
from geoseg.training.gradient_checkpointing import recompute_blocks


def _learn(network: nn.Module, x: torch.Tensor) -> tuple[list[torch.Tensor], int]:
    """Gradients of one step, and how many bytes were kept for them beside the parameters."""
    parameters = {p.untyped_storage().data_ptr() for p in network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    torch.manual_seed(5)
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        logits, beside = forward_all(network, x)
        loss = logits.square().mean() + sum((answer.logits.square().mean() for answer in beside), torch.zeros(()))
    loss.backward()
    return [p.grad for p in network.parameters() if p.grad is not None], sum(kept.values())


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("unet", {"widths": [8, 16, 16]}),
        ("timm_unet", {"widths": [8, 8, 8, 8]}),
        ("hrnet_w18s_v1", {}),
        pytest.param("deeplabv3plus_r50", {}, marks=pytest.mark.slow),
        pytest.param("pspnet_r50", {}, marks=pytest.mark.slow),
        pytest.param("smp_unet", {"encoder": "resnet18"}, marks=pytest.mark.slow),
    ],
)
def test_recomputing_keeps_less_and_gives_the_same(name: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    plain = build(name, 3, 2, **options).train()
    thrifty = copy.deepcopy(plain)
    assert recompute_blocks(thrifty) > 1
    assert plain.state_dict().keys() == thrifty.state_dict().keys()
    x = torch.rand(2, 3, 64, 64)
    gradients, bytes_kept = _learn(plain, x)
    again, fewer = _learn(thrifty, x)
    assert fewer < 0.8 * bytes_kept
    assert len(gradients) == len(again)
    for one, other in zip(gradients, again, strict=True):
        assert torch.equal(one, other)
    for (key, one), other in zip(plain.state_dict().items(), thrifty.state_dict().values(), strict=True):
        assert torch.equal(one, other), key
    plain.eval()
    thrifty.eval()
    with torch.inference_mode():
        assert torch.equal(plain(x), thrifty(x))
