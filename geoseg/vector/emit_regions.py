"""Draw the regions of a patch that nothing outside can change, and remove them from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from geoseg.vector.arcs import OPEN, Arcs
from geoseg.vector.corner_groups import any_of_group
from geoseg.vector.generalise import Minimum, merge_small, near_unsettled
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
    unsettled = held = np.zeros(len(patch.is_open), np.bool_)
    if spec.generalises:
        patch, unsettled = merge_small(patch, minimum)
        held = near_unsettled(patch.arcs, unsettled)
        # a line that has lost a node on a border of the patch is joined later
        held |= _beside_loose_ends(patch.arcs, len(held))
        patch = replace(patch, is_open=patch.is_open | (held & (patch.sums.code != minimum.nodata)))
    if patch.group is not None:
        patch = replace(patch, is_open=any_of_group(patch.is_open, patch.group))
    inside = patch.sums.code != minimum.nodata
    closed = inside & ~patch.is_open & (patch.sums.pixels > 0)
    # open regions of one label may turn out to be one; labels are not negative
    kind = np.where(patch.is_open, patch.sums.label, -1 - np.arange(len(closed))).astype(np.int32)
    links = link_arcs(patch.arcs, closed if spec.exact else inside, kind)
    if spec.exact:
        lines = Lines(patch.arcs.points, patch.arcs.offset, 1, patch.lines.straight)
        polygons = draw_regions(patch, closed, lines, links, drawing)
    else:
        tolerance = Tolerance(spec.simplify_m, spec.method == "visvalingam", spec.smooth)
        how = drawing.ground.metric, tolerance
        ready = _ready(patch, closed, inside, held)
        lines, waits = simplify_arcs(patch.arcs, (closed, ready), patch.lines, links, patch.known, how)
        polygons = draw_regions(patch, closed & ~waits, lines, links, drawing)
        patch = replace(patch, lines=lines, is_open=patch.is_open | waits)
    keep = _bounds(patch.arcs, inside & patch.is_open)
    if spec.generalises or not spec.exact:
        keep |= _bystanders(patch, keep, unsettled, minimum.nodata, not spec.exact)
    return polygons, leave_open(patch, keep)


def _beside_loose_ends(arcs: Arcs, count: int) -> Bools:
    out = np.zeros(count + 1, np.bool_)
    out[arcs.side[(arcs.end == OPEN).any(axis=1)]] = True
    return out[:-1]


def _is_block(patch: Patch) -> bool:
    return bool(patch.north.size or patch.west.size or patch.east.size)


def _ready(patch: Patch, closed: Bools, inside: Bools, held: Bools) -> Bools:
    """Mark arcs that can be drawn: all around closed regions; in a whole strip also others that are complete.

    To draw those early is what keeps memory flat where two regions go on and on side by side.
    """
    ready = _bounds(patch.arcs, closed)
    if _is_block(patch):
        return ready
    complete = (patch.arcs.end != OPEN).all(axis=1)
    return np.asarray(ready | (_bounds(patch.arcs, inside) & ~_bounds(patch.arcs, held) & complete))


def _bystanders(patch: Patch, keep: Bools, unsettled: Bools, nodata: int, simplifies: bool) -> Bools:
    """Mark arcs that bound nothing open but that lines of open regions may end at, or run into when simplified."""
    if _is_block(patch):
        # what other blocks hold is unknown: all that is beside open nodata counts, or beside nodata with open lines
        reached = np.zeros(len(patch.is_open) + 1, np.bool_)
        reached[patch.arcs.side[keep]] = True
        return _bounds(patch.arcs, patch.is_open | (reached[:-1] & (patch.sums.code == nodata)))
    undrawn = keep & (np.diff(patch.lines.offset) == 0) if simplifies else np.zeros(len(keep), np.bool_)
    return _from_row(patch.arcs, undrawn | _bounds(patch.arcs, unsettled))


def _bounds(arcs: Arcs, regions: Bools) -> Bools:
    return np.asarray((regions[arcs.side] & (arcs.side >= 0)).any(axis=1))


@kernel
def _from_row(arcs: Arcs, some: Bools) -> Bools:
    """Mark arcs that reach as far down as where the uppermost of some begins."""
    top = np.iinfo(np.int32).max
    for arc in range(some.shape[0]):
        if some[arc]:
            for k in range(arcs.offset[arc], arcs.offset[arc + 1]):
                top = min(top, arcs.points[k, 0])
    out = np.zeros(some.shape[0], np.bool_)
    for arc in range(some.shape[0]):
        for k in range(arcs.offset[arc], arcs.offset[arc + 1]):
            out[arc] |= arcs.points[k, 0] >= top
    return out
