"""Parts become objects: neighbours are merged over their passages, the highest passage first."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geoseg.vector.kernel import kernel
from geoseg.vector.objects.basins import Passages
from geoseg.vector.regions import find_root

F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


@kernel
def _merge(parts: I32, passage: F64, height: F64, weight: I64, neck: float, least: int) -> I32:
    parent = np.arange(height.shape[0]).astype(np.int32)
    top, total = height.copy(), weight.copy()
    for k in range(parts.shape[0]):
        one, other = find_root(parent, parts[k, 0]), find_root(parent, parts[k, 1])
        if one == other:
            continue
        wide = passage[k] >= neck * min(top[one], top[other])
        if wide or min(total[one], total[other]) < least:
            low, high = min(one, other), max(one, other)
            parent[high] = low
            top[low] = max(top[one], top[other])
            total[low] += total[high]
    return parent


def merge_parts(passages: Passages, height: I32, peak: I64, weight: I64, limits: tuple[float, int]) -> I32:
    """Merge parts that a wide passage joins, and parts that are too small to be objects.

    Passages are gone through from the highest to the lowest; where several are of one height, the pixels that name the
    parts decide. So the result depends on the parts alone, not on how they are numbered.

    Args:
        passages: between the parts.
        height: (part,) squared height of each part.
        peak: (part,) number of the pixel that names it; each once.
        weight: (part,) area.
        limits: share of the lower part's height from which a passage is wide, and the least weight of an object.

    Returns:
        (part,) one part of each object that stands for it.

    Source:
        Grimaud 1992 (dynamics) and Beucher 1994 (waterfalls): a basin goes to the neighbour over its highest pass.
    """
    names = np.sort(peak[passages.parts], axis=1)
    order = np.lexsort((names[:, 1], names[:, 0], -passages.height.astype(np.int64)))
    parent = _merge(
        passages.parts[order],
        np.sqrt(passages.height[order].astype(np.float64)),
        np.sqrt(height.astype(np.float64)),
        weight,
        *limits,
    )
    return _roots(parent)


@kernel
def _roots(parent: I32) -> I32:
    out = np.empty(parent.shape[0], np.int32)
    for k in range(parent.shape[0]):
        out[k] = find_root(parent, k)
    return out
