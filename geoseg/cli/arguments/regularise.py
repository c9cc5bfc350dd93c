"""``--regularise CLASS,...``: classes that get a second layer with right angles."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geoseg.core.legend import Legend
    from geoseg.io.polygons.derived_layer import DerivedLayer
    from geoseg.io.publish.grid import LayerGrid

_LEAST_M = 0.5
_PIXELS = 2


def regular_layer(
    asked: str, legend: Legend, grid: LayerGrid, *, tolerance_m: float | None, diagonals: bool
) -> DerivedLayer:
    """Describe the second layer before any polygon is drawn.

    Args:
        asked: names or codes of classes, separated by commas.
        legend: the map's classes.
        grid: the map's grid.
        tolerance_m: None: half a metre, or two pixels where they are larger, so that no stairs of pixels stay.
        diagonals: True if walls may also run at 45 degrees.

    Raises:
        UsageError: there is no such class, the tolerance makes no sense, or the library is not installed.
    """
    from geoseg.core.class_choice import chosen_codes
    from geoseg.core.ground import gsd_m
    from geoseg.io.polygons.derived_layer import DerivedLayer
    from geoseg.vector.regularise import RegulariseSpec, regulariser

    if tolerance_m is None:
        tolerance_m = max(_LEAST_M, _PIXELS * max(gsd_m(grid.geobox)))
    codes = chosen_codes("--regularise", asked, legend)
    spec = RegulariseSpec(codes=codes, tolerance_m=tolerance_m, diagonals=diagonals)
    return DerivedLayer(codes=codes, make=regulariser(spec, grid.crs_wkt))
