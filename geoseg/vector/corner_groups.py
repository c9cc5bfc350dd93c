"""Groups of regions of one label that touch at corners: what is one segment when connectivity is 8."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geoseg.vector.kernel import kernel
from geoseg.vector.regions import Runs, compact, find_root, region_at, union

Bools = npt.NDArray[np.bool_]
I32 = npt.NDArray[np.int32]
Labels = npt.NDArray[np.integer]


@kernel
def _touching(labels: Labels, runs: Runs, count: int, none: int) -> I32:
    parent = np.arange(count).astype(np.int32)
    pair = np.empty(2, np.int32)
    for i in range(labels.shape[0] - 1):
        upper, lower = labels[i], labels[i + 1]
        for j in range(labels.shape[1] - 1):
            falls = upper[j] == lower[j + 1] and upper[j] != none
            rises = upper[j + 1] == lower[j] and upper[j + 1] != none
            if (not falls and not rises) or upper[j] == upper[j + 1] or upper[j] == lower[j]:
                continue
            if falls:
                pair[0], pair[1] = region_at(runs, i, j), region_at(runs, i + 1, j + 1)
                union(parent, pair[:1], pair[1:])
            if rises:
                pair[0], pair[1] = region_at(runs, i, j + 1), region_at(runs, i + 1, j)
                union(parent, pair[:1], pair[1:])
    return parent


def group_regions(labels: Labels, runs: Runs, count: int, none: int) -> I32:
    """Number the groups of regions that touch at the corners of pixels; one number per region."""
    return compact(_touching(labels, runs, count, none))[0]


@kernel
def _joined(group: I32, number: I32, count: int) -> I32:
    parent = np.arange(group.max() + 1 if group.shape[0] else 0).astype(np.int32)
    first = np.full(count, -1, np.int32)
    for region in range(group.shape[0]):
        to = number[region]
        if to >= 0 and first[to] < 0:
            first[to] = group[region]
        elif to >= 0:
            union(parent, first[to : to + 1], group[region : region + 1])
    out = np.empty(count, np.int32)
    for region in range(count):
        out[region] = find_root(parent, first[region])
    return out


def join_groups(group: I32, number: I32, count: int) -> I32:
    """Follow groups through a new ``number`` of each region (-1 is dropped): regions that are one join theirs."""
    return np.unique(_joined(group, number, count), return_inverse=True)[1].astype(np.int32)


def any_of_group(which: Bools, group: I32) -> Bools:
    """Mark all regions of every group that has a marked one."""
    marked = np.zeros(int(group.max(initial=-1)) + 1, np.bool_)
    marked[group[which]] = True
    return marked[group]
