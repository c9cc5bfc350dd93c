"""Segments: a batch of polygons with their attributes, as columns."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """Polygons of one legend, column by column; every array has the same length.

    Attributes:
        geometry: shapely Polygons (object array), in the CRS of the layer.
        class_code: uint8 code of the legend.
        area_m2: float64 true ground area, square metres.
        perimeter_m: float64 true ground length of all rings, metres.
        confidence: float32 mean probability of the chosen class over the polygon, in [0, 1]; NaN when unknown.
        confidence_min: float32 lowest such probability over the polygon's pixels.
        pixels: int64 number of pixels.
        extra: more columns as the fields of a structured array, such as zonal statistics; none by default.
    """

    geometry: npt.NDArray[np.object_]
    class_code: npt.NDArray[np.uint8]
    area_m2: npt.NDArray[np.float64]
    perimeter_m: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float32]
    confidence_min: npt.NDArray[np.float32]
    pixels: npt.NDArray[np.int64]
    extra: npt.NDArray[np.void] = field(default_factory=lambda: np.zeros(0, []))

    def __post_init__(self) -> None:
        if not self.extra.dtype.names:
            object.__setattr__(self, "extra", np.zeros(len(self.geometry), []))
        lengths = {f.name: len(getattr(self, f.name)) for f in fields(self)}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns differ in length: {lengths}")

    def __len__(self) -> int:
        return len(self.geometry)

    def __getitem__(self, which: slice | npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> Segments:
        """Pick polygons, by slice, index or mask."""
        return Segments(**{f.name: getattr(self, f.name)[which] for f in fields(self)})
