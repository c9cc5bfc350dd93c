"""CodeSource: where the vectoriser reads class codes, window by window."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from geoseg.core.window import Window

U8 = npt.NDArray[np.uint8]


class CodeSource(Protocol):
    """Class codes of a scene; ``read`` is called from several threads at once."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the scene."""
        ...

    def read(self, window: Window) -> tuple[U8, U8 | None]:
        """Read codes and, where known, confidence (0-100 %, 255 = none), both of ``window.shape``."""
        ...


class ArraySource:
    """Codes (y, x) uint8 that are in memory, with their confidence in percent or None."""

    def __init__(self, codes: U8, confidence: U8 | None = None) -> None:
        if codes.ndim != 2 or (confidence is not None and confidence.shape != codes.shape):
            shapes = codes.shape, None if confidence is None else confidence.shape
            raise ValueError(f"codes and confidence are {shapes}; both must be (y, x)")
        self._codes = codes
        self._confidence = confidence

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the scene."""
        return self._codes.shape[0], self._codes.shape[1]

    def read(self, window: Window) -> tuple[U8, U8 | None]:
        """Return views of the window."""
        return self._codes[window.slices], None if self._confidence is None else self._confidence[window.slices]
