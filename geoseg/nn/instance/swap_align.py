"""The operation that turns the masks of TensorMask from aligned to natural (Chen et al. 2019, section 3.4)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

OUTSIDE = -6.0
"""Logit of what lies outside of the tensor."""


def swap_align_to_natural(masks: Tensor, factor: int) -> Tensor:
    """Take masks of coarse unit length at fine positions to masks of fine unit length at coarse positions.

    Args:
        masks: (B, V * V, H, W), aligned: the value at (v, u) of position (y, x) belongs to the pixel (y, x).
        factor: ratio of the unit lengths.

    Returns:
        (B, (factor * V) ** 2, ceil(H / factor), ceil(W / factor)), natural: the values of a position are its mask's.
    """
    batch, cells, height, width = masks.shape
    side = round(cells**0.5)
    padded = functional.pad(masks.reshape(batch, side, side, height, width), (1,) * 8, value=OUTSIDE)
    paired = padded.permute(0, 1, 3, 2, 4).reshape(batch, (side + 2) * (height + 2), (side + 2) * (width + 2))
    rows = _interpolate(paired, side, height, factor)
    both = _interpolate(rows.transpose(1, 2), side, width, factor).transpose(1, 2)
    fine, down, across = side * factor, -(-height // factor), -(-width // factor)
    natural = both.reshape(batch, fine, down, fine, across).permute(0, 1, 3, 2, 4)
    return natural.reshape(batch, fine * fine, down, across)


def _interpolate(paired: Tensor, side: int, length: int, factor: int) -> Tensor:
    """Interpolate a mask's cell and its position along one axis: (B, (side + 2) * (length + 2), rest) to new pairs."""
    device = paired.device
    cell = torch.arange(side * factor, device=device)[:, None]
    place = torch.arange(-(-length // factor), device=device)[None]
    pixel = (place * factor + cell - side * factor / 2 + 0.5).flatten()
    part = ((cell + 0.5) / factor - 0.5 + 0 * place).flatten()
    total: Tensor | None = None
    for near_pixel, pixel_share in _neighbours(pixel):
        for near_part, part_share in _neighbours(part):
            index = near_part.clamp(-1, side) + 1
            index = index * (length + 2) + near_pixel.clamp(-1, length) + 1
            weighted = paired[:, index] * (pixel_share * part_share)[None, :, None].to(paired.dtype)
            total = weighted if total is None else total + weighted
    assert total is not None  # noqa: S101 - for the type checker
    return total


def _neighbours(values: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Whole numbers below and above, and their shares."""
    below, above = values.floor(), values.ceil()
    share = values - below
    return (below.long(), 1 - share), (above.long(), share)
