"""Objects: one-to-one matching of predicted and reference polygons, and the distances of their outlines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import connected_components

from geoseg.core.types.json_value import UntypedDict
from geoseg.score.matrix import jsonable, ratio

Polygons = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """Pairs of one predicted and one reference polygon.

    Attributes:
        predicted: (pair,) indices in the predicted list.
        reference: (pair,) indices in the reference list.
        iou: (pair,) intersection over union.
        predicted_count: number of predicted polygons.
        reference_count: number of reference polygons.
    """

    predicted: npt.NDArray[np.int64]
    reference: npt.NDArray[np.int64]
    iou: npt.NDArray[np.float64]
    predicted_count: int
    reference_count: int


def match_objects(predicted: Polygons, reference: Polygons, *, iou: float = 0.5) -> Matching:
    """Match polygons one to one.

    Args:
        predicted: shapely polygons or multipolygons in one plane, of equal area preferably.
        reference: same.
        iou: least intersection over union of a pair, inclusive.

    Returns:
        The matching with the most pairs and, of those, the largest sum of IoU (Hungarian method). If the polygons of
        either list do not overlap each other and ``iou`` is above 0.5, it is unique.
    """
    places = shapely.STRtree(reference).query(predicted, predicate="intersects") if len(reference) else None
    if places is None or not places.size:
        none = np.zeros(0, np.int64)
        return _matching(none, none, np.zeros(0), predicted, reference)
    i, j = places
    both = shapely.area(shapely.intersection(predicted[i], reference[j]))
    either = shapely.area(predicted[i]) + shapely.area(reference[j]) - both
    shares = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
    good = (shares >= iou) & (shares > 0)  # those that only touch are no pair
    return _matching(*_best(i[good], j[good], shares[good]), predicted, reference)


def _best(
    i: npt.NDArray[np.int64], j: npt.NDArray[np.int64], shares: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    if not i.size:
        return i, j, shares
    n = int(i.max()) + 1
    size = n + int(j.max()) + 1
    graph = sparse.coo_array((np.ones(i.size), (i, n + j)), shape=(size, size))
    group = connected_components(graph, directed=False)[1][i]
    order = np.argsort(group, kind="stable")
    kept = []
    for part in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        if part.size == 1:
            kept.append(part)
            continue
        rows, at_row = np.unique(i[part], return_inverse=True)
        cols, at_col = np.unique(j[part], return_inverse=True)
        # one more pair outweighs any sum of shares
        worth = np.zeros((rows.size, cols.size))
        worth[at_row, at_col] = part.size + shares[part]
        chosen = set(zip(*(side.tolist() for side in linear_sum_assignment(worth, maximize=True)), strict=True))
        at = zip(at_row.tolist(), at_col.tolist(), strict=True)
        kept.append(part[[place in chosen for place in at]])
    pairs = np.sort(np.concatenate(kept))
    return i[pairs], j[pairs], shares[pairs]


def _matching(
    i: npt.NDArray[np.int64],
    j: npt.NDArray[np.int64],
    shares: npt.NDArray[np.float64],
    predicted: Polygons,
    reference: Polygons,
) -> Matching:
    return Matching(
        predicted=i, reference=j, iou=shares, predicted_count=len(predicted), reference_count=len(reference)
    )


def polis(one: Polygons, other: Polygons) -> npt.NDArray[np.float64]:
    """Compute the PoLiS distance of polygons, pair by pair, in units of their coordinates.

    The mean distance of the corners of one to the outline of the other, averaged over both directions. Holes count.

    Args:
        one: polygons.
        other: the same number of polygons.

    Returns:
        (pair,) float64.

    Source:
        Avbelj, Mueller and Bamler 2015, A metric for polygon comparison and building extraction evaluation, equation 2.
    """
    return (_corners_to_outline(one, other) + _corners_to_outline(other, one)) / 2


def hausdorff(one: Polygons, other: Polygons, *, densify: float = 0.05) -> npt.NDArray[np.float64]:
    """Compute the Hausdorff distance of the outlines of polygons, pair by pair, in units of their coordinates.

    Args:
        one: polygons.
        other: the same number of polygons.
        densify: spacing of measured points as a share of a segment; corners alone can miss the farthest point.
    """
    return np.asarray(shapely.hausdorff_distance(shapely.boundary(one), shapely.boundary(other), densify=densify))


def _corners_to_outline(one: Polygons, other: Polygons) -> npt.NDArray[np.float64]:
    if not len(one):
        return np.zeros(0)
    parts, owner_of_part = shapely.get_parts(one, return_index=True)
    rings, owner_of_ring = shapely.get_rings(parts, return_index=True)
    corners, owner_of_corner = shapely.get_coordinates(rings, return_index=True)
    last = np.r_[owner_of_corner[1:] != owner_of_corner[:-1], True]  # a ring ends where it began
    owner = owner_of_part[owner_of_ring[owner_of_corner[~last]]]
    away = shapely.distance(shapely.points(corners[~last]), shapely.boundary(other)[owner])
    return np.bincount(owner, away, len(one)) / np.bincount(owner, minlength=len(one))


def object_scores(matching: Matching, predicted: Polygons, reference: Polygons) -> UntypedDict:
    """Compute precision, recall, F1 and the distances of the matched outlines.

    Args:
        matching: matching of the polygons.
        predicted: polygons in metres, or in units that the caller names.
        reference: same.
    """
    pairs = len(matching.iou)
    scores: dict[str, object] = {
        "predicted": matching.predicted_count,
        "reference": matching.reference_count,
        "matched": pairs,
        "precision": jsonable(ratio(pairs, matching.predicted_count)),
        "recall": jsonable(ratio(pairs, matching.reference_count)),
        "f1": jsonable(ratio(2 * pairs, matching.predicted_count + matching.reference_count)),
        "mean_iou_of_matched": jsonable(float(matching.iou.mean()) if pairs else float("nan")),
    }
    one, other = predicted[matching.predicted], reference[matching.reference]
    for name, distances in (("polis", polis(one, other)), ("hausdorff", hausdorff(one, other))):
        for word, value in (("mean", np.mean), ("median", np.median)):
            scores[f"{name}_{word}"] = jsonable(float(value(distances)) if pairs else float("nan"))
    return scores
