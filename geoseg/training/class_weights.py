"""Class weights of a loss: from the recipe, or by the rarity of the classes."""

from __future__ import annotations

import torch
from torch import Tensor

from geoseg.core.legend import Legend
from geoseg.data.chips import ChipMaker
from geoseg.data.labelled import UNLABELLED
from geoseg.errors import UsageError
from geoseg.training.losses import LossMix

_BATCHES = 24
"""Batches cut for counting classes: enough for weights within some percent."""


def weights_of(mix: LossMix, legend: Legend, chips: ChipMaker) -> Tensor | None:
    """Compute the weight of each class.

    Args:
        mix: losses of the recipe.
        legend: its classes.
        chips: source of the chips in which classes are counted.

    Returns:
        (classes,) float32; None for equal weights.

    Raises:
        UsageError: a name is not a class of the legend.

    Source:
        Median frequency balancing: Eigen and Fergus 2015, https://arxiv.org/abs/1411.4734, section 6.3.2.
    """
    requested = mix.class_weights
    if requested is None:
        return None
    if isinstance(requested, dict):
        unknown = sorted(requested.keys() - set(legend.names))
        if unknown:
            raise UsageError(f"loss.class_weights: {unknown} are no classes of the legend {list(legend.names)}")
        return torch.tensor([requested.get(name, 1.0) for name in legend.names], dtype=torch.float32)
    counts = torch.zeros(len(legend), dtype=torch.int64)
    for number in range(_BATCHES):
        class_indices = chips.batch(number).class_indices
        counts += torch.bincount(class_indices[class_indices != UNLABELLED], minlength=len(legend))
    seen = counts > 0
    shares = counts / counts.sum().clamp(min=1)
    return torch.where(seen, shares[seen].median() / shares.clamp(min=1e-9), torch.ones(())).float()
