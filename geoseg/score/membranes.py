"""Scores of the ISBI 2012 challenge: agreement of regions that are separated by thin borders."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse

from geoseg.score.edges.thinning import Bool, thin

Labels = npt.NDArray[np.int64]


def rand_and_information(reference: Bool, predicted: Bool) -> tuple[float, float]:
    """Score a segmentation by its regions: foreground-restricted Rand and information scores after border thinning.

    Args:
        reference: (y, x), True inside regions, False on borders.
        predicted: same.

    Returns:
        V Rand and V Info, F-scores in [0, 1]; NaN where the reference has no region.

    Source:
        Arganda-Carreras et al. 2015, Crowdsourcing the creation of image segmentation algorithms for connectomics,
        equations 2 to 5 with alpha = 0.5: the ranking scores of the challenge.
    """
    return compare_regions(regions(reference), regions(predicted))


def regions(inside: Bool) -> Labels:
    """Label the regions between borders thinned to one pixel: 4-connected, 0 on the borders.

    The image is framed by a border during thinning, so that a wide border cannot retreat from the edge and join the
    regions it separates.
    """
    labels, _ = ndimage.label(~thin(~np.asarray(inside, bool), framed=True))
    return np.asarray(labels, np.int64)


def compare_regions(reference: Labels, predicted: Labels) -> tuple[float, float]:
    """Compare two labellings over the pixels inside regions of the reference.

    Args:
        reference: (y, x), 0 on borders: these pixels are left out.
        predicted: (y, x); a pixel on a border (0) is a region of its own.

    Returns:
        V Rand: sum p_ij^2 over the mean of sum s_i^2 and sum t_j^2. V Info: the mutual information over the mean of
        both entropies; 1 where both are one region.
    """
    inside = reference > 0
    total = int(inside.sum())
    if not total:
        return float("nan"), float("nan")
    truth, answer = reference[inside], predicted[inside]
    joint = sparse.coo_array((np.ones(total), (truth, answer))).tocsr()
    joint.sum_duplicates()
    t = joint.sum(axis=1) / total
    # every pixel on a predicted border is a region of one pixel
    alone = int((answer == 0).sum())
    joint = joint[:, 1:]
    p, s = joint.data / total, joint.sum(axis=0) / total
    single = 1 / total
    same = (p**2).sum() + alone * single**2
    rand = float(same / (0.5 * (t**2).sum() + 0.5 * ((s**2).sum() + alone * single**2)))
    surprise = -alone * single * np.log(single)
    of_t, of_s = _entropy(t), _entropy(s) + surprise
    shared = of_t + of_s - (_entropy(p) + surprise)
    information = float(shared / (0.5 * (of_t + of_s))) if of_t + of_s > 1e-12 else 1.0
    return rand, max(0.0, information)


def _entropy(shares: npt.NDArray[np.float64]) -> float:
    some = shares[shares > 0]
    return float(-(some * np.log(some)).sum())
