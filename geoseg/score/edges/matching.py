"""One-to-one matching of boundary pixels, as the Berkeley benchmark does it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

from geoseg.score.edges.thinning import Bool

_OUTLIER = 100.0
"""Cost of leaving a pixel unmatched, in units of the largest distance."""
_STEPS = 1000
"""Resolution of distances: parts of a pixel."""


def match_boundaries(one: Bool, other: Bool, reach_px: float) -> tuple[Bool, Bool]:
    """Match the pixels of two boundary maps one to one at the least cost.

    Args:
        one: (y, x).
        other: (y, x).
        reach_px: largest distance of a match, centre to centre.

    Returns:
        The matched pixels of either map. A pair costs its distance and an unmatched pixel a hundred times ``reach_px``,
        so the number of pairs is maximal and, given that, their distances are minimal.

    Source:
        Martin, Fowlkes and Malik 2004, appendix B. They add random outlier links and solve to a precision; this is
        exact.
    """
    first, second = np.argwhere(one), np.argwhere(other)
    matched = np.zeros(one.shape, bool), np.zeros(other.shape, bool)
    if not len(first) or not len(second):
        return matched
    near = cKDTree(first).sparse_distance_matrix(cKDTree(second), reach_px + 1e-9, output_type="ndarray")
    for rows, cols in _assignments(near["i"], near["j"], near["v"], reach_px):
        matched[0][tuple(first[rows].T)] = True
        matched[1][tuple(second[cols].T)] = True
    return matched


def _assignments(
    i: npt.NDArray[np.int64], j: npt.NDArray[np.int64], distance: npt.NDArray[np.float64], reach: float
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Solve all groups of pixels within reach of each other as one sparse assignment."""
    if not len(i):
        return []
    rows, i = np.unique(i, return_inverse=True)
    cols, j = np.unique(j, return_inverse=True)
    n, m = len(rows), len(cols)
    graph = sparse.coo_array((np.ones(len(i)), (i, n + j)), shape=(n + m, n + m))
    _, group = connected_components(graph, directed=False)
    # In whole numbers, since with fractions the solver may go round in circles by rounding. Each pixel gets a twin to
    # be left over with; the twins of a pair may take each other for nothing. Everything is one dearer than it is, since
    # a sparse matrix holds no zeros, and there are always n + m links in an answer.
    cost = np.concatenate([distance, np.full(n + m, _OUTLIER * max(reach, 1.0)), np.zeros(len(i))])
    cost = np.rint(cost * _STEPS) + 1.0
    left = np.concatenate([i, np.arange(n), n + np.arange(m), n + j])
    right = np.concatenate([j, m + np.arange(n), np.arange(m), m + i])
    order = np.argsort(np.concatenate([group[:n], group[n:]]), kind="stable")
    place = np.empty(n + m, np.int64)
    place[order] = np.arange(n + m)
    links = sparse.coo_array((cost, (place[left], right)), shape=(n + m, n + m)).tocsr()
    chosen_left, chosen_right = min_weight_full_bipartite_matching(links)
    chosen_left = order[chosen_left]
    real = (chosen_left < n) & (chosen_right < m)
    return [(rows[chosen_left[real]], cols[chosen_right[real]])]
