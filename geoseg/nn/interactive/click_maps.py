"""Clicks as two maps, one of positive and one of negative clicks, which a network reads beside the bands."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from geoseg.errors import ModelError

ClickForm = Literal["distance", "disks"]
"""``distance``: tanh of twice the distance to the nearest click over the radius (Sofiiuk et al. 2020); ``disks``: 1
within the radius of a click, 0 elsewhere (Benenson et al. 2019)."""

NO_CLICK = -1.0
"""Row and column of a place in a list of clicks that holds none."""

_FAR = 1e6


class ClickMaps(nn.Module):
    """Draws clicks as maps.

    Args:
        radius: unit of the distances, or radius of the disks; pixels.
        form: see ``ClickForm``.

    Raises:
        ModelError: no such form, or no such radius.
    """

    def __init__(self, radius: float, form: ClickForm = "distance") -> None:
        super().__init__()
        if form not in get_args(ClickForm) or not radius > 0:
            raise ModelError(
                f"click maps are {' or '.join(get_args(ClickForm))} of a radius above 0, not {form}, {radius}"
            )
        self.radius = float(radius)
        self.form = form

    def forward(self, clicks: Tensor, size: tuple[int, int]) -> Tensor:
        """Draw the maps of a batch.

        Args:
            clicks: (B, 2 N, 2) row and column of N positive and then N negative clicks, pixels; unused places hold
                ``NO_CLICK`` twice.
            size: rows and columns.

        Returns:
            (B, 2, rows, columns) float32.
        """
        places = clicks.float().reshape(clicks.shape[0], 2, -1, 2)
        rows = torch.arange(size[0], dtype=torch.float32, device=clicks.device)
        cols = torch.arange(size[1], dtype=torch.float32, device=clicks.device)
        below = ((rows - places[..., 0:1]) / self.radius).square()
        right = ((cols - places[..., 1:2]) / self.radius).square()
        squared = below[..., :, None] + right[..., None, :]
        unused = places.amax(-1) < 0
        nearest = squared.masked_fill(unused[..., None, None], _FAR).amin(2)
        if self.form == "disks":
            return (nearest <= 1).float()
        return torch.tanh(2 * nearest.sqrt())
