"""Polygons that were changed each on its own may overlap: the one that was changed more gives way."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from geoseg.vector.squaring import overlap_share

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Shapes = npt.NDArray[np.object_]

_NOTHING = 1e-9


def resolve_overlaps(raw: Shapes, replacement: Shapes, iou: F64, least: float) -> Shapes:
    """Cut the requested shapes so that nothing overlaps.

    What becomes of a polygon depends on those it overlaps, on those they overlap, and on those they overlap, but on no
    others: three steps away nothing matters.

    Args:
        raw: polygons that do not overlap.
        replacement: what each shall become.
        iou: how far each is the one it was; 1 where it is.
        least: what ``iou`` may not fall below.

    Returns:
        Polygons, none of which overlaps another by more than rounding, and each at least ``least`` of what it was.
    """
    replacement = _spare(raw, replacement, iou < 1, least)
    iou = np.where(replacement == raw, 1.0, iou)
    one, other = _overlaps(replacement, replacement)
    # the better one stays; of two alike, the first
    loses = (iou[one] < iou[other]) | ((iou[one] == iou[other]) & (one > other))
    out = replacement.copy()
    losers, cut = _without(replacement, one[loses], replacement, other[loses])
    good = overlap_share(cut, raw[losers]) >= least
    good &= shapely.get_num_interior_rings(cut) >= shapely.get_num_interior_rings(replacement[losers])
    out[losers[good]] = cut[good]
    lost = losers[~good]
    out[lost] = raw[lost]
    # what is left as it was gives way too, to all that lie over it: they have been told to stay off most of it
    one, other = _overlaps(raw[lost], replacement)
    apart = lost[one] != other
    some, cut = _without(raw, lost[one[apart]], replacement, other[apart])
    out[some] = cut
    return out


def _spare(raw: Shapes, replacement: Shapes, changed: npt.NDArray[np.bool_], least: float) -> Shapes:
    """Keep polygons as they were that would, with others, cover too much of what another one was."""
    over, under = _overlaps(replacement, raw)
    apart = (over != under) & changed[over]
    over, under = over[apart], under[apart]
    covered, left = _without(raw, under, replacement, over)
    spoilt = covered[shapely.area(left) < least * shapely.area(raw[covered])]
    back = over[np.isin(under, spoilt)]
    out = replacement.copy()
    out[back] = raw[back]
    return out


def _overlaps(some: Shapes, others: Shapes) -> tuple[I64, I64]:
    """Find pairs (index in ``some``, index in ``others``) that share more than a line; never a thing with itself."""
    one, other = shapely.STRtree(others).query(some, predicate="intersects")
    if some is others:
        one, other = one[one != other], other[one != other]
    common = shapely.area(shapely.intersection(some[one], others[other]))
    real = common > _NOTHING * np.minimum(shapely.area(some[one]), shapely.area(others[other]))
    order = np.lexsort((other[real], one[real]))
    return one[real][order], other[real][order]


def _without(base: Shapes, which: I64, cutters: Shapes, by: I64) -> tuple[I64, Shapes]:
    """Cut each of ``base[which]`` by all its ``cutters[by]``; of what falls apart the largest part stays.

    Returns:
        The indices that occur in ``which`` (sorted), and what is left of each; an empty polygon where nothing is.
    """
    found, start = np.unique(which, return_index=True)
    groups = np.split(cutters[by], start[1:]) if len(found) else []
    knives = np.array([shapely.union_all(group) for group in groups], object)
    left = shapely.difference(base[found], knives) if len(found) else np.empty(0, object)
    parts, place = shapely.get_parts(left, return_index=True)
    flat = shapely.get_type_id(parts) == shapely.GeometryType.POLYGON
    parts, place = parts[flat], place[flat]
    order = np.argsort(shapely.area(parts), kind="stable")
    out = np.full(len(found), shapely.Polygon(), object)
    out[place[order]] = parts[order]
    return found, out
