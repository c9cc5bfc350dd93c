"""ClassMap: a class raster and its confidence as uint8 codes, for the vectoriser and for samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from geoseg.core.window import Window
from geoseg.io.labels.class_raster import ClassRaster
from geoseg.io.labels.confidence_raster import ConfidenceRaster
from geoseg.io.labels.label_layer import MOST_CODE, NO_CLASS, Codes, read_codes
from geoseg.io.raster.band_scene import refuse_other_grid

_SCAN_ROWS = 1024


class ClassMap:
    """Codes of a class raster, and the confidence of another raster.

    Args:
        classes: labels.
        confidence: confidence on the same grid, or None.
        table: code of each label; None: labels are codes.

    Attributes:
        shape: (rows, columns).

    Raises:
        SceneError: the two have different grids.
    """

    def __init__(
        self,
        classes: ClassRaster,
        confidence: ConfidenceRaster | None = None,
        *,
        table: Mapping[int, int] | None = None,
    ) -> None:
        if confidence is not None:
            refuse_other_grid(classes.scene, confidence.scene)
        self.shape: tuple[int, int] = int(classes.geobox.shape[0]), int(classes.geobox.shape[1])
        self._classes, self._confidence = classes, confidence
        self._table = None if table is None else dict(table)

    def read(self, window: Window) -> tuple[Codes, Codes | None]:
        """Read codes (255 = no class) and confidence (0-100, 255 = none), both (y, x).

        Raises:
            SceneError: a label has no code, or a confidence is not a whole percent.
        """
        codes = read_codes(self._classes, window, self._table)
        return codes, None if self._confidence is None else read_codes(self._confidence, window)

    def present(self) -> list[int]:
        """List the codes that occur; reads everything once."""
        counts = np.zeros(256, np.int64)
        for top in range(0, self.shape[0], _SCAN_ROWS):
            window = Window(top, min(top + _SCAN_ROWS, self.shape[0]), 0, self.shape[1])
            counts += np.bincount(read_codes(self._classes, window, self._table).ravel(), minlength=NO_CLASS + 1)
        return [int(code) for code in np.flatnonzero(counts[: MOST_CODE + 1])]


def hidden_note(classes: ClassRaster, known: frozenset[int] | None, fate: str) -> str | None:
    """Return a note that a file's nodata value hides pixels of a possible class.

    Args:
        classes: the raster.
        known: labels that have a class; None: 0 to 254.
        fate: consequence for such pixels, such as "get no polygon".

    Returns:
        One sentence; None where nothing is hidden.
    """
    label = classes.hidden
    if label is None or not (0 <= label <= MOST_CODE if known is None else label in known):
        return None
    return (
        f"{classes.name}: its nodata value is {label}, so pixels of {label} {fate}; if {label} is a class there, pass "
        "--nodata none"
    )
