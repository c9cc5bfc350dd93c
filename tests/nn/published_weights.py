"""Weights in a published layout, drawn from the names of their tensors, so that no file of them is needed."""

from __future__ import annotations

from collections.abc import Mapping
from zlib import crc32

import numpy as np
import torch
from torch import Tensor


def drawn(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Draw each tensor from its own name, such that signals keep their size and norms are not idle."""
    return {name: _drawn(name, shape) for name, shape in shapes.items()}


def _drawn(name: str, shape: tuple[int, ...]) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.tensor(7)
    normal = np.random.default_rng(crc32(name.encode())).standard_normal(shape, dtype=np.float32)
    if len(shape) > 1:
        return torch.from_numpy(normal * np.float32(max(1, normal[0].size) ** -0.5))
    if name.endswith(("weight", "running_var")):
        return torch.from_numpy(0.7 + 0.2 * np.abs(normal))
    return torch.from_numpy(0.2 * normal)


def pixels(rows: int, cols: int, bands: int = 3) -> Tensor:
    """Draw an input (1, bands, rows, cols)."""
    return torch.from_numpy(np.random.default_rng(5).standard_normal((1, bands, rows, cols), dtype=np.float32))
