"""What can be finished in a patch is finished: regions that nothing outside can change are drawn and leave it."""

from __future__ import annotations

from geoseg.vector.patch import Patch
from geoseg.vector.polygons import Drawing, Polygons, draw_regions, leave_open
from geoseg.vector.rings import Lines
from geoseg.vector.spec import VectorSpec


def finish(patch: Patch, spec: VectorSpec, drawing: Drawing, nodata: int) -> tuple[Polygons, Patch]:
    """Draw the regions of a patch that are whole and return them with what is left of it.

    Args:
        patch: a block, or blocks joined.
        spec: how to draw.
        drawing: pixel sizes and transform.
        nodata: code of the pixels that belong to no polygon.
    """
    inside = patch.sums.code != nodata
    wanted = inside & ~patch.is_open & (patch.sums.pixels > 0)
    lines = Lines(patch.arcs.points, patch.arcs.offset, 1)
    polygons = draw_regions(patch, wanted, lines, drawing)
    return polygons, leave_open(patch, patch.is_open, inside & patch.is_open)
