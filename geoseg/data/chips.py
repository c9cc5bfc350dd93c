"""Chips: training samples cut in memory from labelled images, each at its own place, scale and turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn import functional

from geoseg.data.augment import Augmentation, augment, blanks
from geoseg.data.labelled import UNLABELLED, LabelledImage


class ChipSpec(BaseModel):
    """How chips are cut.

    Attributes:
        size_px: side of a chip, a multiple of the network's stride.
        batch: chips per step.
        gsd_factor: range of the ground sample distance, as a multiple of the image's own.
        gsd_spread: standard deviation of its logarithm.
        gsd_m: range the chips' ground sample distance must stay in, metres.
        turned: share of chips turned by any angle; all are turned by quarters and flipped.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_px: Annotated[int, Field(ge=32, le=2048)] = 256
    batch: Annotated[int, Field(ge=1)] = 8
    gsd_factor: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (0.5, 2.0)
    gsd_spread: Annotated[float, Field(ge=0)] = 0.35
    gsd_m: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (0.01, 1000.0)
    turned: Annotated[float, Field(ge=0, le=1)] = 0.3


@dataclass(frozen=True, slots=True)
class Batch:
    """Chips ready for the network.

    Attributes:
        inputs: (chip, band, y, x) float32, normalised; 0 where the pixel is missing.
        channels: (chip, y, x) int64; ``UNLABELLED`` where there is nothing to learn.
    """

    inputs: Tensor
    channels: Tensor


class ChipMaker:
    """Cuts batch number n, the same one each time it is asked: training can stop and go on.

    Args:
        images: what to cut from.
        spec: how.
        amounts: how strongly to vary the values.
        normalisation: mean and standard deviation of each band, on the 0-1 scale.
        seed: the first half of every batch's seed; its number is the second.
    """

    def __init__(
        self,
        images: Sequence[LabelledImage],
        spec: ChipSpec,
        amounts: Augmentation,
        normalisation: tuple[Sequence[float], Sequence[float]],
        seed: int,
    ) -> None:
        self._images = images
        self._spec = spec
        self._amounts = amounts
        mean, std = normalisation
        self._mean = torch.tensor(mean, dtype=torch.float32)[:, None, None]
        self._std = torch.tensor(std, dtype=torch.float32)[:, None, None]
        self._seed = seed
        weights = np.array([image.weight for image in images])
        self._share = weights / weights.sum()

    def batch(self, number: int) -> Batch:
        """Cut one batch."""
        rng = np.random.default_rng([self._seed, number])
        chips = [self._chip(rng) for _ in range(self._spec.batch)]
        return Batch(torch.stack([c[0] for c in chips]), torch.stack([c[1] for c in chips]))

    def _chip(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        image = self._images[int(rng.choice(len(self._images), p=self._share))]
        values, channels, valid = cut(image, self._spec, rng)
        values = augment(values, self._amounts, rng)
        usable = valid & torch.from_numpy(~blanks((valid.shape[0], valid.shape[1]), self._amounts.blank, rng))
        inputs = torch.where(usable, (values - self._mean) / self._std, 0.0)
        return inputs, torch.where(usable, channels, UNLABELLED)


def cut(image: LabelledImage, spec: ChipSpec, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Cut one chip at a random place, scale and turn.

    Returns:
        Values (band, y, x) float32 in [0, 1], channels (y, x) int64, valid (y, x) bool.
    """
    size = spec.size_px
    low = max(spec.gsd_factor[0], spec.gsd_m[0] / image.gsd_m)
    high = min(spec.gsd_factor[1], spec.gsd_m[1] / image.gsd_m)
    factor = float(np.clip(np.exp(rng.normal(0, 1) * spec.gsd_spread), low, max(low, high)))
    angle = float(rng.uniform(-np.pi / 4, np.pi / 4)) if rng.random() < spec.turned else 0.0
    reach = abs(np.cos(angle)) + abs(np.sin(angle))
    height, width = image.channels.shape
    side = min(int(np.ceil(size * factor * reach)), height, width)
    top, left = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
    place = (slice(top, top + side), slice(left, left + side))
    values = torch.from_numpy(image.values[:, *place].astype(np.float32) / 255)[None]
    labels = torch.from_numpy(np.stack([image.channels[place], image.valid[place]]).astype(np.float32))[None]
    scaled = max(size, round(size * reach))
    if scaled != side:
        values = functional.interpolate(values, (scaled, scaled), mode="bilinear", antialias=True, align_corners=False)
        labels = functional.interpolate(labels, (scaled, scaled), mode="nearest-exact")
    if scaled != size or angle:
        turn = torch.tensor([[[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]]]) * size / scaled
        grid = functional.affine_grid(turn.float(), [1, 1, size, size], align_corners=False)
        values = functional.grid_sample(values, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
        labels = functional.grid_sample(labels, grid, mode="nearest", padding_mode="reflection", align_corners=False)
    quarter, flip = int(rng.integers(4)), bool(rng.integers(2))
    both = torch.rot90(torch.cat([values, labels], dim=1)[0], quarter, (1, 2))
    both = both.flip(2) if flip else both
    return both[:-2].clamp(0, 1), both[-2].round().long(), both[-1] > 0.5
