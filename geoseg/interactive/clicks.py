"""Clicks, and what networks and energies need of them: lists of places, and small squares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from geoseg.nn.interactive.click_maps import NO_CLICK


@dataclass(frozen=True, slots=True)
class Click:
    """A click on an image.

    Attributes:
        row, col: place in pixels; 0, 0 is the middle of the first pixel.
        positive: True on the object, False on what is not of it.
    """

    row: float
    col: float
    positive: bool = True


def click_places(lists: Sequence[Sequence[Click]], limit: int | None = None) -> Tensor:
    """Put the clicks of a batch into one tensor, as interactive networks read them.

    Args:
        lists: clicks of each image.
        limit: only the first so many clicks of each are taken; None: all.

    Returns:
        (image, 2 N, 2) float32: row and column of N positive and then N negative clicks.
    """
    kept = [list(clicks[:limit]) for clicks in lists]
    sides = [[[c for c in clicks if c.positive is side] for side in (True, False)] for clicks in kept]
    most = max((len(side) for pair in sides for side in pair), default=0)
    places = torch.full((len(kept), 2, max(1, most), 2), NO_CLICK)
    for image, pair in enumerate(sides):
        for sign, side in enumerate(pair):
            for number, click in enumerate(side):
                places[image, sign, number] = torch.tensor([click.row, click.col])
    return places.flatten(1, 2)


def click_squares(lists: Sequence[Sequence[Click]], size: tuple[int, int], radius: int = 1) -> Tensor:
    """Mark the pixels that the clicks of a batch decide: the one that is hit, and its neighbours.

    Clicks beside the image mark nothing.

    Args:
        lists: clicks of each image.
        size: rows and columns.
        radius: neighbours on each side.

    Returns:
        (image, 2, rows, columns) float32, 1 where a positive and where a negative click decides.
    """
    marked = torch.zeros(len(lists), 2, *size)
    for image, clicks in enumerate(lists):
        for click in clicks:
            row, col = round(click.row), round(click.col)
            if 0 <= row < size[0] and 0 <= col < size[1]:
                rows = slice(max(0, row - radius), row + radius + 1)
                cols = slice(max(0, col - radius), col + radius + 1)
                marked[image, 0 if click.positive else 1, rows, cols] = 1
    return marked


def flipped(clicks: Sequence[Click], width: int) -> list[Click]:
    """Mirror clicks as the image is mirrored left to right."""
    return [Click(click.row, width - 1 - click.col, click.positive) for click in clicks]
