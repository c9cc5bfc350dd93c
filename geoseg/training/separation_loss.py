"""Loss of the narrow ground between objects, weighted as in the U-Net paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from geoseg.core.legend import Legend
from geoseg.core.nearest_objects import two_nearest
from geoseg.errors import UsageError
from geoseg.training.losses import LossMix

_REACH = 3.0
"""Distances are measured up to this many sigma; beyond, the weight is below 0.012."""


def separated_classes(mix: LossMix, legend: Legend) -> tuple[int, ...]:
    """List the class indices whose connected regions are objects.

    Args:
        mix: losses of the recipe.
        legend: its classes.

    Returns:
        The indices of ``separation_classes``; by default of the countable classes, else of all but the first.

    Raises:
        UsageError: a name is not a class of the legend.
    """
    names = list(legend.names)
    if mix.separation_classes is not None:
        unknown = sorted(set(mix.separation_classes) - set(names))
        if unknown:
            raise UsageError(f"loss.separation_classes: {unknown} are not classes of the legend {names}")
        return tuple(names.index(name) for name in mix.separation_classes)
    countable = tuple(place for place, entry in enumerate(legend.classes) if entry.countable)
    return countable or tuple(range(1, len(names)))


def separation_loss(logits: Tensor, target: Tensor, weights: Tensor, *, ignore: int) -> Tensor:
    """Compute the mean cross-entropy weighted by ``separation_weights``.

    Args:
        logits: (B, classes, H, W).
        target: (B, H, W) int64 class indices, ``ignore`` where unlabelled.
        weights: (B, H, W).
        ignore: the value of unlabelled pixels.

    Returns:
        The weighted sum over the labelled pixels divided by their number; 0 when nothing is labelled.
    """
    entropy = functional.cross_entropy(logits.float(), target, ignore_index=ignore, reduction="none")
    return (entropy * weights).sum() / (target != ignore).sum().clamp(min=1)


def separation_weights(target: Tensor, objects: Sequence[int], sigma_px: float) -> Tensor:
    """Weigh the pixels outside of objects by their closeness to two objects.

    The weight is ``exp(-(d1 + d2)^2 / (2 sigma^2))``, where d1 and d2 are the distances to the nearest and the second
    nearest object. Objects are the regions of a class connected over edges.

    Args:
        target: (B, H, W) int64 class indices.
        objects: the class indices of objects.
        sigma_px: width of the weighted ground, pixels.

    Returns:
        (B, H, W) float32 in [0, 1], 0 inside objects; on the device of ``target``.

    Source:
        Ronneberger, Fischer, Brox 2015, U-Net, https://arxiv.org/abs/1505.04597, equation 2.
    """
    maps = [_weights(codes, objects, sigma_px) for codes in target.cpu().numpy()]
    return torch.from_numpy(np.stack(maps)).to(target.device)


def _weights(codes: np.ndarray, objects: Sequence[int], sigma_px: float) -> np.ndarray:
    numbers = np.zeros(codes.shape, np.int32)
    for class_index in objects:
        regions, _ = ndimage.label(codes == class_index)
        numbers = np.where(regions > 0, regions + numbers.max(initial=0), numbers)
    nearest, second = two_nearest(numbers, _REACH * sigma_px)
    weights = np.exp(-((nearest.astype(np.float64) + second) ** 2) / (2 * sigma_px**2))
    return np.where(numbers > 0, 0.0, weights).astype(np.float32)
