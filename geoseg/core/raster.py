"""Raster: georeferenced pixels with a validity mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

from geoseg.core.types.arrays import AnyArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """A window of imagery in memory.

    Attributes:
        values: (band, y, x), any real dtype.
        valid: (y, x) bool; True where the pixel may be used.
        geobox: the grid of exactly this array.
    """

    values: AnyArray
    valid: npt.NDArray[np.bool_]
    geobox: GeoBox

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or self.values.shape[1:] != self.valid.shape:
            raise ValueError(f"values {self.values.shape} and valid {self.valid.shape} are not (band, y, x) and (y, x)")
        if tuple(self.geobox.shape) != self.valid.shape:
            raise ValueError(f"the grid is {tuple(self.geobox.shape)}, the pixels are {self.valid.shape}")
