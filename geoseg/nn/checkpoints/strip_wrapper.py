"""Find the state dict in what a checkpoint holds, and take off what its trainer put before every name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geoseg.errors import ModelError

_PLACES = ("state_dict", "model_state_dict", "model_state", "model", "network", "net")
_PREFIXES = ("module.", "_orig_mod.", "model.", "network.", "net.", "base.")
_BESIDE = re.compile(r"^(module\.)?(loss|criterion|train_metrics|val_metrics|test_metrics|data_preprocessor)\.")
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64, torch.int32, torch.uint8)


def strip_wrapper(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of a network by their bare names.

    Args:
        content: a state dict, or what a trainer writes around one.

    Returns:
        Dense tensors, floating ones as float32; losses and metrics left out, ``module.`` and the like taken off.

    Raises:
        ModelError: there are no tensors, or some are not plain dense ones.
    """
    inner: Mapping[str, Any] = content
    for _ in range(2):
        place = next((p for p in _PLACES if isinstance(inner.get(p), Mapping)), None)
        if place is None:
            break
        inner = inner[place]
    found = {str(k): _tensor(v) for k, v in inner.items() if not _BESIDE.match(str(k))}
    found = {name: tensor for name, tensor in found.items() if isinstance(tensor, Tensor)}
    if not found:
        raise ModelError("holds no tensors: neither a state dict nor a known way around one")
    tensors = {_bare(name): _plain(name, tensor) for name, tensor in found.items()}
    while prefix := next((p for p in _PREFIXES if all(name.startswith(p) for name in tensors)), None):
        tensors = {name[len(prefix) :]: tensor for name, tensor in tensors.items()}
    return tensors


def _tensor(value: Any) -> Any:
    """Make a tensor of an array of numbers (detectron2's ``.pkl``); leave anything else."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
        return torch.from_numpy(np.array(value, dtype=value.dtype.newbyteorder("="), copy=True, order="C"))
    return value


def _bare(name: str) -> str:
    return name.replace("._orig_mod.", ".")


def _plain(name: str, tensor: Tensor) -> Tensor:
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta or tensor.dtype not in _DTYPES:
        raise ModelError(f"tensor {name!r} is not a plain dense one ({tensor.layout}, {tensor.dtype})")
    if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
        raise ModelError(f"tensor {name!r} claims {tuple(tensor.shape)} but holds less")
    return tensor.detach().float() if tensor.is_floating_point() else tensor.detach()
