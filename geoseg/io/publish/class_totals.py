"""ClassTotals: pixels and ground area of each class of a map."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from geoseg.core.ground import pixel_sides_m
from geoseg.core.legend import Legend
from geoseg.core.types.json_value import UntypedDict
from geoseg.core.window import Window
from geoseg.io.publish.grid import LayerGrid

Codes = npt.NDArray[np.uint8]


class ClassTotals:
    """Counts pixels of classes and sums their area, window by window.

    Args:
        grid: grid of the map.
    """

    def __init__(self, grid: LayerGrid) -> None:
        self._grid = grid
        self._pixels, self._area_m2 = np.zeros(256, np.int64), np.zeros(256)

    def add(self, window: Window, codes: Codes) -> None:
        """Add the codes of a window, (y, x) uint8."""
        counts = np.stack([np.bincount(line, minlength=256) for line in codes])
        self._pixels += counts.sum(axis=0)
        self._area_m2 += self._area_of_pixels(window) @ counts

    def counted(self, blocks: Iterator[tuple[Window, Codes]]) -> Iterator[tuple[Window, Codes]]:
        """Add windows on their way to a writer."""
        for window, codes in blocks:
            self.add(window, codes)
            yield window, codes

    def entries(self, legend: Legend) -> list[UntypedDict]:
        """List code, name, pixels and area of the classes of a legend, as in the run record."""
        return [
            {
                "code": entry.code,
                "name": entry.name,
                "pixels": int(self._pixels[entry.code]),
                "area_m2": round(float(self._area_m2[entry.code]), 3),
            }
            for entry in legend.classes
        ]

    def of_code(self, code: int) -> UntypedDict:
        """Return pixels and area of one code."""
        return {"pixels": int(self._pixels[code]), "area_m2": round(float(self._area_m2[code]), 3)}

    def _area_of_pixels(self, window: Window) -> npt.NDArray[np.float64]:
        """Return the ground area of a pixel in each row, m²: in degrees and EPSG:3857 it differs from row to row."""
        middles = np.arange(window.row_start, window.row_stop) + 0.5
        area = pixel_sides_m(self._grid.geobox, middles, (window.col_start + window.col_stop) / 2)[2]
        return np.where(np.isfinite(area), area, 0.0)  # past the edge of a full disk there is no ground
