"""Parts that all labelled scenes share which read from disk, block by block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from geoseg.core.types.arrays import AnyArray, AnyDtype
from geoseg.core.window import Window
from geoseg.data.labelled_scene import U8, Numbers, Sample


class ReadScene(ABC):
    """A labelled scene whose planes are read when they are asked for.

    Attributes:
        shape: (rows, columns).
    """

    shape: tuple[int, int]

    @abstractmethod
    def read(self, window: Window) -> Sample:
        """Read a window inside the scene."""

    @property
    def values(self) -> AnyArray:
        """All values, in memory."""
        return self.read(Window.whole(self.shape)).values

    @property
    def valid(self) -> npt.NDArray[np.bool_]:
        """(y, x) bool over the whole scene; True where the pixel may be used."""
        return self.read(Window.whole(self.shape)).valid

    @property
    def class_indices(self) -> U8:
        """Class indices of all pixels."""
        return self.read(Window.whole(self.shape)).class_indices


def join_samples(window: Window, blocks: Iterable[tuple[Window, Sample]], *, bands: int, dtype: AnyDtype) -> Sample:
    """Assemble the sample of a window from the samples of the blocks that cover it.

    Args:
        window: a window of the scene.
        blocks: blocks of the scene with their samples; together they cover the window.
        bands: number of bands.
        dtype: data type of the values.
    """
    values = np.empty((bands, *window.shape), dtype)
    valid, class_indices = np.empty(window.shape, bool), np.empty(window.shape, np.uint8)
    objects: Numbers | None = None
    for block, sample in blocks:
        part = block.intersection(window)
        here, there = part.within(window), part.within(block)
        values[:, *here], valid[here] = sample.values[:, *there], sample.valid[there]
        class_indices[here] = sample.class_indices[there]
        if sample.objects is not None:
            objects = np.zeros(window.shape, np.int64) if objects is None else objects
            objects[here] = sample.objects[there]
    return Sample(values=values, valid=valid, class_indices=class_indices, objects=objects)
