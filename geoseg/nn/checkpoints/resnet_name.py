"""Identify the ResNet of a state dict by the number of its blocks and the layers of its stem."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

_STAGES = 4
_DEPTHS: dict[tuple[bool, tuple[int, ...]], int] = {
    (False, (2, 2, 2, 2)): 18,
    (False, (3, 4, 6, 3)): 34,
    (True, (3, 4, 6, 3)): 50,
    (True, (3, 4, 23, 3)): 101,
    (True, (3, 8, 36, 3)): 152,
}
_DEEP_STEMS = {32: "c", 64: "s"}


def resnet_name(tensors: Mapping[str, Tensor], prefix: str) -> str | None:
    """Name timm's ResNet that has these tensors.

    Args:
        tensors: a state dict in a source's names.
        prefix: what stands before ``layer1`` and the stem.

    Returns:
        ``resnet50``, ``resnet50c`` or ``resnet50s`` and the like; None where it is none of them.
    """
    pattern = re.compile(rf"^{re.escape(prefix)}layer(\d)\.(\d+)\.")
    blocks = {match.groups() for key in tensors if (match := pattern.match(key))}
    counts = tuple(sum(int(stage) == number for stage, _ in blocks) for number in range(1, _STAGES + 1))
    depth = _DEPTHS.get((f"{prefix}layer1.0.conv3.weight" in tensors, counts))
    if depth is None:
        return None
    stem = next((tensors[key] for key in (f"{prefix}stem.0.weight", f"{prefix}conv1.0.weight") if key in tensors), None)
    if stem is None:
        return f"resnet{depth}"
    letter = _DEEP_STEMS.get(stem.shape[0]) if stem.ndim else None
    return None if letter is None else f"resnet{depth}{letter}"


def resnet_depth(name: object) -> int | None:
    """Read the depth in the name of a timm ResNet; None where the name is of something else."""
    match = re.fullmatch(r"resnet(\d+)[a-z]?", name) if isinstance(name, str) else None
    return int(match[1]) if match else None
