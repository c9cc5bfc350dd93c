"""Inputs of the comparisons with the authors' networks, and the parts of answers that are kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

REGIONS = 2


def noise(*shape: int, seed: int) -> Tensor:
    """Draw a normal array."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))


def masks() -> Tensor:
    """Draw probabilities of masks of regions."""
    return noise(REGIONS, 1, 28, 28, seed=9).sigmoid()


def sample(answers: Sequence[Tensor]) -> np.ndarray:
    """Keep a few hundred numbers of each answer, spread over all of it."""
    return np.concatenate([one.detach().flatten()[:: max(1, one.numel() // 300)].numpy() for one in answers])
