"""VectorSchema: description of a layer of polygons for the writers of all vector formats."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from geoseg.core.layer import SEGMENTS
from geoseg.core.legend import Legend

NO_COLUMNS: np.dtype[np.void] = np.dtype([])


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorSchema:
    """Description of a layer of polygons that is written.

    Attributes:
        crs_wkt: CRS of the coordinates; None when the scene has none.
        legend: names and colours of the class codes.
        layer: the layer's name, where the format keeps one.
        multi: the geometries are multipolygons.
        extra: columns of ``Segments.extra``, floats, integers and texts; NaN becomes null.
    """

    crs_wkt: str | None
    legend: Legend
    layer: str = SEGMENTS
    multi: bool = False
    extra: np.dtype[np.void] = field(default_factory=lambda: NO_COLUMNS)
