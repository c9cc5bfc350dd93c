"""Inputs and outputs that all panoptic networks share: those of instance networks, and class maps.

A network is called as instance networks are (``geoseg.nn.instance.contract``). Beside that

- each answer has ``semantic`` (classes, H, W): logits of all classes, in the order of the legend;
- each target has ``semantic`` (H, W) int64: index of the class, ``IGNORED`` where nothing is known;
- label ``k`` of an object is the ``k``-th of ``things``, counted from 1.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from geoseg.errors import ModelError
from geoseg.nn.instance.contract import InstanceNetwork, Target

IGNORED: Final = 255
"""Class index of pixels that teach nothing."""

SEMANTIC: Final = "semantic"
"""Name of the class maps in answers and targets."""


class PanopticNetwork(InstanceNetwork, ABC):
    """A network that answers with objects and class maps.

    Attributes:
        things: indices of the classes of objects among all classes.
    """

    things: tuple[int, ...]


def checked_things(name: str, classes: int, things: Sequence[int]) -> tuple[int, ...]:
    """Check the indices of the classes of things; without any all classes but the first are.

    Raises:
        ModelError: one stands twice, or is no class; or no class is stuff.
    """
    chosen = tuple(int(index) for index in things) or tuple(range(1, classes))
    if not chosen or len(set(chosen)) != len(chosen) or min(chosen) < 0 or max(chosen) >= classes:
        raise ModelError(
            f"network {name!r} has {classes} classes; things lists those of objects by index, each once, not "
            f"{list(things)}"
        )
    if len(chosen) == classes:
        raise ModelError(f"network {name!r}: all {classes} classes are things; at least one must be stuff")
    return chosen


def semantic_targets(
    targets: Sequence[Target], size: tuple[int, int], resized: Sequence[tuple[int, int]] | None = None
) -> Tensor:
    """Put the class maps of targets into one batch, (B, rows, cols); what is missing is ignored.

    Args:
        targets: of the images.
        size: rows and columns of the batch.
        resized: rows and columns that each image was resized to; None: none was.
    """
    grown = []
    for number, target in enumerate(targets):
        one = target[SEMANTIC]
        if resized is not None and tuple(one.shape[-2:]) != tuple(resized[number]):
            one = functional.interpolate(one[None, None].float(), tuple(resized[number]))[0, 0].to(one.dtype)
        grown.append(functional.pad(one, (0, size[1] - one.shape[-1], 0, size[0] - one.shape[-2]), value=IGNORED))
    return torch.stack(grown)


def spread_things(stuff: Tensor, thing: Tensor, things: Sequence[int]) -> Tensor:
    """Make logits of all classes from those of stuff and of one class for all things.

    The probability of the one class is shared equally by the classes of things.

    Args:
        stuff: (..., stuff, H, W), in the order of the classes that are no things.
        thing: (..., 1, H, W).
        things: indices of the classes of things.
    """
    classes = stuff.shape[-3] + len(things)
    kinds = [index for index in range(classes) if index not in things]
    share = thing - torch.log(torch.tensor(float(len(things)), device=thing.device))
    parts = [stuff[..., kinds.index(i) : kinds.index(i) + 1, :, :] if i in kinds else share for i in range(classes)]
    return torch.cat(parts, dim=-3)
