"""Chips: training samples cut in memory from labelled images, each at a random place, scale and rotation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator
from torch import Tensor
from torch.nn import functional

from geoseg.core.types.json_value import UntypedDict
from geoseg.core.window import Window
from geoseg.data.augment import Augmentation, augment, blanks
from geoseg.data.class_places import ClassPlaces
from geoseg.data.labelled_scene import UNLABELLED, LabelledScene, Sample, read_padded, unit
from geoseg.errors import UsageError

_TRIES = 8
"""Number of places tried for a chip with enough labelled pixels; then the best of them is used."""


class ChipSpec(BaseModel):
    """Settings for cutting chips.

    Attributes:
        size_px: side of a chip, a multiple of the network's stride.
        batch: chips per step.
        gsd_factor: range of the ground sample distance, as a multiple of the image's own.
        gsd_spread: standard deviation of its logarithm.
        gsd_m: allowed range of the chips' ground sample distance, metres.
        turned: share of chips rotated by any angle; all are rotated by multiples of 90 degrees and flipped.
        small: treatment of an image smaller than a chip: ``fill`` enlarges it, ``pad`` surrounds it with missing
            pixels and so keeps its scale.
        balance: share of chips that are cut around a pixel of a class drawn at random, every class as often as the
            others; the rest are cut anywhere.
        least_labelled: share of a chip's pixels that must have a class; other places are tried a few times.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_px: Annotated[int, Field(ge=32, le=2048)] = 256
    batch: Annotated[int, Field(ge=1)] = 8
    gsd_factor: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (0.5, 2.0)
    gsd_spread: Annotated[float, Field(ge=0)] = 0.35
    gsd_m: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (0.01, 1000.0)
    turned: Annotated[float, Field(ge=0, le=1)] = 0.3
    small: Literal["fill", "pad"] = "fill"
    balance: Annotated[float, Field(ge=0, le=1)] = 0.0
    least_labelled: Annotated[float, Field(ge=0, le=1)] = 0.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name, (low, high) in (("gsd_factor", self.gsd_factor), ("gsd_m", self.gsd_m)):
            if low > high:
                raise ValueError(f"{name} starts at {low:g} and ends at {high:g}")
        return self

    @model_serializer(mode="wrap")
    def _brief(self, serialise: SerializerFunctionWrapHandler) -> UntypedDict:
        """Leave out later fields at their defaults, since cards name the recipe by these values."""
        kept = {name: getattr(self, name) != type(self).model_fields[name].default for name in _LATER}
        return {name: value for name, value in serialise(self).items() if kept.get(name, True)}


_LATER = ("small", "balance", "least_labelled")


@dataclass(frozen=True, slots=True)
class Batch:
    """Chips ready for the network.

    Attributes:
        inputs: (chip, band, y, x) float32, normalised; 0 where the pixel is missing.
        class_indices: (chip, y, x) int64 class indices; ``UNLABELLED`` where there is no label.
        objects: (chip, y, x) int64 numbers of objects, unique within a chip, 0 for none; zeros where the labels do not
            tell objects apart.
    """

    inputs: Tensor
    class_indices: Tensor
    objects: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))


class ChipMaker:
    """Cuts batches by number; the same number gives the same batch, so that training can be resumed.

    Args:
        images: labelled images.
        spec: settings for cutting.
        amounts: strengths of the augmentations.
        normalisation: mean and standard deviation of each band, on the 0-1 scale.
        seed: the first half of every batch's seed; its number is the second.

    Raises:
        UsageError: an image has other bands than the network.
    """

    def __init__(
        self,
        images: Sequence[LabelledScene],
        spec: ChipSpec,
        amounts: Augmentation,
        normalisation: tuple[Sequence[float], Sequence[float]],
        seed: int,
    ) -> None:
        self._images = images
        self._spec = spec
        self._amounts = amounts
        mean, std = normalisation
        for image in images:
            if image.bands != len(mean):
                raise UsageError(
                    f"{image.name}: {image.bands} bands, not {len(mean)}. Choose some with the source's bands."
                )
        self._mean = torch.tensor(mean, dtype=torch.float32)[:, None, None]
        self._std = torch.tensor(std, dtype=torch.float32)[:, None, None]
        self._seed = seed
        weights = np.array([image.weight for image in images])
        self._share = weights / weights.sum()
        self._places = ClassPlaces(images, weights)

    def batch(self, number: int) -> Batch:
        """Cut one batch."""
        rng = np.random.default_rng([self._seed, number])
        chips = [self._chip(rng) for _ in range(self._spec.batch)]
        inputs, class_indices, objects = (torch.stack(parts) for parts in zip(*chips, strict=True))
        return Batch(inputs, class_indices, objects)

    def _chip(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        values, class_indices, valid, objects = self._cut(rng)
        values = augment(values, self._amounts, rng)
        if self._amounts.collar > 0:
            painted = torch.from_numpy(blanks((valid.shape[0], valid.shape[1]), self._amounts.collar, rng))
            values = torch.where(painted, float(rng.integers(2)), values)
            class_indices, objects = torch.where(painted, 0, class_indices), torch.where(painted, 0, objects)
        usable = valid & torch.from_numpy(~blanks((valid.shape[0], valid.shape[1]), self._amounts.blank, rng))
        inputs = torch.where(usable, (values - self._mean) / self._std, 0.0)
        return inputs, torch.where(usable, class_indices, UNLABELLED), torch.where(usable, objects, 0)

    def _cut(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        around = None
        if self._spec.balance > 0 and rng.random() < self._spec.balance:
            index, around = self._places.draw(rng)
        else:
            index = int(rng.choice(len(self._images), p=self._share))
        return cut_objects(self._images[index], self._spec, rng, around=around)


def cut(
    image: LabelledScene, spec: ChipSpec, rng: np.random.Generator, *, around: tuple[int, int] | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Cut one chip at a random place, scale and turn.

    Args:
        image: labelled image; nothing outside of it is read.
        spec: settings for cutting.
        rng: the only source of randomness.
        around: row and column of a pixel that the chip must contain; None: anywhere.

    Returns:
        Values (band, y, x) float32 in [0, 1], class_indices (y, x) int64, valid (y, x) bool.
    """
    return cut_objects(image, spec, rng, around=around)[:3]


def cut_objects(
    image: LabelledScene, spec: ChipSpec, rng: np.random.Generator, *, around: tuple[int, int] | None = None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Cut one chip with the objects on it; arguments as of ``cut``.

    Returns:
        Values, class_indices and valid as of ``cut``, and numbers of objects (y, x) int64, 0 where there is none.
    """
    size = spec.size_px
    low = max(spec.gsd_factor[0], spec.gsd_m[0] / image.gsd_m)
    high = min(spec.gsd_factor[1], spec.gsd_m[1] / image.gsd_m)
    factor = float(np.clip(np.exp(rng.normal(0, 1) * spec.gsd_spread), low, max(low, high)))
    angle = float(rng.uniform(-np.pi / 4, np.pi / 4)) if rng.random() < spec.turned else 0.0
    reach = abs(np.cos(angle)) + abs(np.sin(angle))
    side = int(np.ceil(size * factor * reach))
    if spec.small == "fill":
        side = min(side, *image.shape)
    sample = _sample(image, side, spec, rng, around)
    values = torch.from_numpy(unit(sample.values))[None]
    planes = [sample.class_indices, sample.valid, _numbered(sample)]
    labels = torch.from_numpy(np.stack(planes).astype(np.float32))[None]
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
    return both[:-3].clamp(0, 1), both[-3].round().long(), both[-2] > 0.5, both[-1].round().long()


def _numbered(sample: Sample) -> npt.NDArray[np.int64]:
    """Number the objects of a sample anew, from 1, so that float32 holds each; 0 where there is none."""
    if sample.objects is None:
        return np.zeros(sample.class_indices.shape, np.int64)
    numbers, place = np.unique(sample.objects, return_inverse=True)
    return place.reshape(sample.objects.shape) + int(numbers[0] != 0)


def _sample(
    image: LabelledScene, side: int, spec: ChipSpec, rng: np.random.Generator, around: tuple[int, int] | None
) -> Sample:
    """Read a square; if it must have labels, the best of several."""
    best, most = None, -1.0
    for _ in range(_TRIES if spec.least_labelled > 0 else 1):
        sample = read_padded(image, _square(image.shape, side, rng, around))
        share = float((sample.class_indices != UNLABELLED).mean()) if spec.least_labelled > 0 else 0.0
        if share > most:
            best, most = sample, share
        if share >= spec.least_labelled:
            break
    assert best is not None  # noqa: S101 - at least one was read
    return best


def _square(shape: tuple[int, int], side: int, rng: np.random.Generator, around: tuple[int, int] | None) -> Window:
    """Place a square inside a scene; along an axis that is too short, around the scene."""
    starts = []
    for axis, length in enumerate(shape):
        if side > length:
            starts.append(-int(rng.integers(0, side - length + 1)))
            continue
        low, high = 0, length - side
        if around is not None:
            low, high = max(0, around[axis] - side + 1), min(high, around[axis])
        starts.append(int(rng.integers(low, high + 1)))
    top, left = starts
    return Window(top, top + side, left, left + side)
