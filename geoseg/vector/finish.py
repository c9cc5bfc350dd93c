"""What can be finished in a patch is finished: regions that nothing outside can change are drawn and leave it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from geoseg.vector.arcs import Arcs
from geoseg.vector.generalise import Minimum, absorb, beside
from geoseg.vector.groups import any_of_group
from geoseg.vector.kernel import kernel
from geoseg.vector.patch import Patch
from geoseg.vector.polygons import Drawing, Polygons, draw_regions, leave_open
from geoseg.vector.rings import Lines, link_arcs
from geoseg.vector.simplify import Tolerance, simplify_arcs
from geoseg.vector.spec import VectorSpec

Bools = npt.NDArray[np.bool_]


def finish(patch: Patch, spec: VectorSpec, drawing: Drawing, minimum: Minimum) -> tuple[Polygons, Patch]:
    """Draw the regions of a patch that are whole and return them with what is left of it.

    Args:
        patch: a block, or blocks joined.
        spec: how to draw.
        drawing: pixel sizes and transform.
        minimum: what is too small, and the nodata code.
    """
    if spec.generalises:
        patch, unsettled = absorb(patch, minimum)
        held = beside(patch.arcs, unsettled, not spec.exact)
        patch = replace(patch, is_open=patch.is_open | (held & (patch.sums.code != minimum.nodata)))
    if patch.group is not None:
        patch = replace(patch, is_open=any_of_group(patch.is_open, patch.group))
    inside = patch.sums.code != minimum.nodata
    closed = inside & ~patch.is_open & (patch.sums.pixels > 0)
    links = link_arcs(patch.arcs, closed)
    if spec.exact:
        lines = Lines(patch.arcs.points, patch.arcs.offset, 1)
        keep = _bounds(patch.arcs, inside & patch.is_open)
        return draw_regions(patch, closed, lines, links, drawing), leave_open(patch, keep)
    tolerance = Tolerance(spec.simplify_m, spec.method == "visvalingam", spec.smooth)
    lines, waits = simplify_arcs(patch.arcs, closed, patch.lines, links, (drawing.ground.metric, tolerance))
    if patch.group is not None:
        waits = any_of_group(waits, patch.group)
    polygons = draw_regions(patch, closed & ~waits, lines, links, drawing)
    patch = replace(patch, lines=lines, is_open=patch.is_open | waits)
    keep = _bounds(patch.arcs, inside & patch.is_open)
    if patch.north.size or patch.west.size or patch.east.size:
        # lines of other blocks may end at, or be simplified past, whatever stands in open nodata here
        keep = _bounds(patch.arcs, patch.is_open)
    else:
        keep |= _obstacles(patch.arcs, lines, keep, patch.is_open)
    return polygons, leave_open(patch, keep)


def _bounds(arcs: Arcs, regions: Bools) -> Bools:
    return np.asarray((regions[arcs.side] & (arcs.side >= 0)).any(axis=1))


@kernel
def _obstacles(arcs: Arcs, lines: Lines, keep: Bools, is_open: Bools) -> Bools:
    """Mark arcs around open nodata that lines to be drawn later might run into."""
    top = np.iinfo(np.int32).max
    for arc in range(keep.shape[0]):
        if keep[arc] and lines.offset[arc] == lines.offset[arc + 1]:
            for k in range(arcs.offset[arc], arcs.offset[arc + 1]):
                top = min(top, arcs.points[k, 0])
    out = np.zeros(keep.shape[0], np.bool_)
    for arc in range(keep.shape[0]):
        left, right = arcs.side[arc]
        if keep[arc] or not ((left >= 0 and is_open[left]) or (right >= 0 and is_open[right])):
            continue
        for k in range(arcs.offset[arc], arcs.offset[arc + 1]):
            out[arc] |= arcs.points[k, 0] >= top
    return out
