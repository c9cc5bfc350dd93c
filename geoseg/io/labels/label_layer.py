"""Label layers: integer labels on a grid, read by window, and their conversion to class codes."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Final, Protocol, Self

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

from geoseg.core.types.arrays import AnyIntegers
from geoseg.core.window import Window
from geoseg.errors import SceneError

Labels = AnyIntegers
"""Labels of any integer type; values of invalid pixels are arbitrary."""
Valid = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.uint8]
Rgb = tuple[int, int, int]

NO_LABEL: Final = -1
"""Label of pixels without a class, as used in tables of colours."""
NO_CLASS: Final = 255
"""Code of a pixel without a class."""
MOST_CODE: Final = 254


class LabelLayer(Protocol):
    """Protocol of integer labels on a grid.

    Attributes:
        name: for messages.
        geobox: the grid; its CRS is None where the file has none.
        hidden: label that the file's own nodata value excludes and that might be a class; None: there is none, or the
            caller defined its meaning.
    """

    name: str
    geobox: GeoBox
    hidden: int | None

    def read(self, window: Window) -> tuple[Labels, Valid]:
        """Read labels and their validity mask, both (y, x)."""

    def close(self) -> None:
        """Close its files."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


def read_codes(layer: LabelLayer, window: Window, table: Mapping[int, int] | None = None) -> Codes:
    """Read the codes of a window.

    Args:
        layer: the labels.
        window: window inside the layer.
        table: code of each label, 255 for a label that means no class; other labels are refused. None: labels from 0 to
            254 are codes.

    Returns:
        (y, x) uint8, 255 where there is no class.

    Raises:
        SceneError: a label has no code; file and label are named.
    """
    labels, valid = layer.read(window)
    if table is None:
        known = valid & (labels >= 0) & (labels <= MOST_CODE)
        _refuse(layer.name, labels[valid & ~known], f"class codes are whole numbers from 0 to {MOST_CODE}")
        return np.where(known, labels, NO_CLASS).astype(np.uint8)
    keys = np.array(sorted(table), np.int64)
    codes = np.array([table[key] for key in keys.tolist()], np.uint8)
    place = np.minimum(np.searchsorted(keys, labels), len(keys) - 1)
    known = keys[place] == labels
    words = ", ".join(str(key) for key in keys.tolist())
    _refuse(layer.name, labels[valid & ~known], f"the labels known here are {words}")
    return np.where(valid & known, codes[place], NO_CLASS).astype(np.uint8)


def _refuse(name: str, unknown: Labels, known: str) -> None:
    if not unknown.size:
        return
    label = int(unknown[0])
    cure = f"If {label} means no class, make it the file's nodata value or give it as nodata."
    if label > MOST_CODE:
        cure = f"Give a legend with a class of values: [{label}]. {cure}"
    raise SceneError(name, f"it holds the label {label}; {known}.", cure)
