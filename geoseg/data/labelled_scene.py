"""LabelledScene: pixels with their classes, read by window; the common form of all training data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from geoseg.core.types.arrays import AnyArray
from geoseg.core.window import Window

U8 = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]

UNLABELLED: Final = 255
"""Class index of pixels without a class: no loss, no score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Pixels and labels of one window.

    Attributes:
        values: (band, y, x), uint8 (0-255 is 0-1) or float32 in [0, 1].
        valid: (y, x) bool; True where the pixel may be used.
        class_indices: (y, x) uint8, index into the legend's classes, or ``UNLABELLED``; so wherever ``valid`` is False.
        objects: (y, x) int64 numbers of objects, 0 where there is none; None: the labels do not tell objects apart.
    """

    values: AnyArray
    valid: npt.NDArray[np.bool_]
    class_indices: U8
    objects: Numbers | None = None


class LabelledScene(Protocol):
    """Protocol of an image of any size with its classes.

    Attributes:
        name: its origin, for messages and scores.
        gsd_m: true ground sample distance.
        weight: share of the chips cut from it, relative to the others.
        shape: (rows, columns).
        scored_as: name of its score, shared by scenes that are scored together.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - see the class

    @property
    def gsd_m(self) -> float: ...  # noqa: D102

    @property
    def weight(self) -> float: ...  # noqa: D102

    @property
    def shape(self) -> tuple[int, int]: ...  # noqa: D102

    @property
    def scored_as(self) -> str: ...  # noqa: D102

    @property
    def bands(self) -> int:
        """Number of bands."""
        ...

    def read(self, window: Window) -> Sample:
        """Read a window inside the scene."""
        ...

    @property
    def values(self) -> AnyArray:
        """All of ``Sample.values``, in memory."""
        ...

    @property
    def valid(self) -> npt.NDArray[np.bool_]:
        """All of ``Sample.valid``."""
        ...

    @property
    def class_indices(self) -> U8:
        """All of ``Sample.class_indices``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledImage:
    """A labelled scene in memory.

    Attributes:
        name: its origin, for messages and scores.
        values: (band, y, x) uint8.
        valid: (y, x) bool; True where the pixel may be used.
        class_indices: (y, x) uint8, index into the legend's classes, or ``UNLABELLED``.
        gsd_m: true ground sample distance.
        weight: share of the chips cut from it, relative to the others.
        labels_name: name of the labels' file, for messages; None if there is none.
        objects: (y, x) int64, as of ``Sample``.
    """

    name: str
    values: U8
    valid: npt.NDArray[np.bool_]
    class_indices: U8
    gsd_m: float
    weight: float = 1.0
    labels_name: str | None = None
    objects: Numbers | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        height, width = self.class_indices.shape
        return height, width

    @property
    def bands(self) -> int:
        """Number of bands."""
        return len(self.values)

    @property
    def scored_as(self) -> str:
        """Its name."""
        return self.name

    def read(self, window: Window) -> Sample:
        """Read a window inside the scene; no copy."""
        at = window.slices
        objects = None if self.objects is None else self.objects[at]
        return Sample(
            values=self.values[:, *at], valid=self.valid[at], class_indices=self.class_indices[at], objects=objects
        )


def unit(values: AnyArray) -> npt.NDArray[np.float32]:
    """Return a sample's values scaled to [0, 1], float32."""
    scaled: npt.NDArray[np.float32] = values.astype(np.float32)
    if values.dtype == np.uint8:
        scaled /= 255
    return scaled


def read_padded(scene: LabelledScene, window: Window) -> Sample:
    """Read a window that may leave the scene; pixels outside are invalid and unlabelled.

    Args:
        scene: the scene.
        window: any window of its grid.
    """
    inside = window.intersection(Window.whole(scene.shape))
    sample = scene.read(inside)
    if inside == window:
        return sample
    at = inside.within(window)
    values = np.zeros((len(sample.values), *window.shape), sample.values.dtype)
    valid = np.zeros(window.shape, bool)
    class_indices = np.full(window.shape, UNLABELLED, np.uint8)
    values[:, *at], valid[at], class_indices[at] = sample.values, sample.valid, sample.class_indices
    objects = None
    if sample.objects is not None:
        objects = np.zeros(window.shape, np.int64)
        objects[at] = sample.objects
    return Sample(values=values, valid=valid, class_indices=class_indices, objects=objects)
