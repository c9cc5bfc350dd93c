"""LabelSource: where the vectoriser reads labels, window by window, and LabelTable: which class each label is of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from geoseg.core.window import Window

U8 = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.integer]
"""uint8 or int32, not negative."""

CODES = 256
"""How many values a class code can have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelTable:
    """Class of each label, and the columns that its polygons carry. Touching pixels of one label are one polygon.

    Attributes:
        code: (label,) uint8 class code; that of ``none`` is the code of no class.
        none: label of the pixels that belong to no polygon.
        columns: (label,) structured array: attributes of each label; without fields by default.

    Examples:
        >>> table = LabelTable.of_codes(nodata=255)
        >>> int(table.code[3]), table.nodata
        (3, 255)
    """

    code: U8
    none: int
    columns: npt.NDArray[np.void] = field(default_factory=lambda: np.zeros(0, []))

    @classmethod
    def of_codes(cls, nodata: int) -> Self:
        """Make the table of a map of classes, where label and code are one."""
        return cls(code=np.arange(CODES, dtype=np.uint8), none=nodata)

    @property
    def nodata(self) -> int:
        """Code of the pixels that belong to no polygon."""
        return int(self.code[self.none])


class LabelSource(Protocol):
    """Labels of a scene; ``read`` is called from several threads at once."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of the scene."""
        ...

    def read(self, window: Window) -> tuple[Labels, U8 | None]:
        """Read labels and, where known, confidence (0-100 %, 255 = none), both of ``window.shape``."""
        ...


class CodeSource(Protocol):
    """Class codes of a scene: labels that are their own classes; ``read`` is called from several threads at once."""

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
