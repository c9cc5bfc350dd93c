"""Regions of a block: runs of equal labels, joined from row to row by union-find (Rosenfeld and Pfaltz 1966)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geoseg.vector.kernel import kernel

U8 = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.integer]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


class Runs(NamedTuple):
    """Horizontal runs of equal labels.

    Attributes:
        row: (rows + 1) index of each row's first run; each row ends with one extra run that starts at its width.
        start: first column of each run.
        region: region of each run.
    """

    row: I64
    start: I32
    region: I32


class Sums(NamedTuple):
    """Sums over the pixels of each region; integers, so that no order of adding matters.

    Attributes:
        label: label of the pixels; of a map of classes it is the code.
        code: class of the label.
        pixels: number of pixels.
        weight: ground area in units of ``PixelGround.unit_m2``.
        known: pixels with a confidence.
        percent: sum of confidence, percent.
        lowest: lowest confidence, percent; 255 when none is known.
        last: row * scene width + column of the last pixel.
    """

    label: I32
    code: U8
    pixels: I64
    weight: I64
    known: I64
    percent: I64
    lowest: U8
    last: I64


@kernel
def find_root(parent: I32, node: int) -> int:
    """Find the representative of a set, halving the path on the way."""
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@kernel
def union(parent: I32, a: I32, b: I32) -> None:
    """Join the sets of each pair; the lower number stands for both."""
    for k in range(a.shape[0]):
        if k and a[k] == a[k - 1] and b[k] == b[k - 1]:
            continue
        one, other = find_root(parent, a[k]), find_root(parent, b[k])
        if one < other:
            parent[other] = one
        else:
            parent[one] = other


@kernel
def _find_runs(labels: Labels) -> tuple[I64, I32]:
    rows, cols = labels.shape
    row = np.empty(rows + 1, np.int64)
    total = 0
    for i in range(rows):
        row[i] = total
        line = labels[i]
        turns = 0
        for j in range(1, cols):
            turns += line[j] != line[j - 1]
        total += turns + 2
    row[rows] = total
    start = np.empty(total + 1, np.int32)
    n = 0
    for i in range(rows):
        line = labels[i]
        start[n] = 0
        n += 1
        for j in range(1, cols):
            start[n] = j
            n += line[j] != line[j - 1]
        start[n] = cols
        n += 1
    return row, start


@kernel
def _join_rows(labels: Labels, row: I64, start: I32) -> tuple[I32, I32]:
    rows = labels.shape[0]
    region = np.full(start.shape[0], -1, np.int32)
    parent = np.empty(start.shape[0], np.int32)
    used = 0
    for i in range(rows):
        above = row[i - 1] if i else 0
        above_end = row[i] - 1 if i else 0
        for k in range(row[i], row[i + 1] - 1):
            label = labels[i, start[k]]
            found = -1
            while above < above_end and start[above + 1] <= start[k]:
                above += 1
            q = above
            while q < above_end and start[q] < start[k + 1]:
                if labels[i - 1, start[q]] == label:
                    other = find_root(parent, region[q])
                    if found < 0:
                        found = other
                    elif other < found:
                        parent[found] = other
                        found = other
                    else:
                        parent[other] = found
                q += 1
            if found < 0:
                found = used
                parent[used] = used
                used += 1
            region[k] = found
    return region, parent[:used]


@kernel
def compact(parent: I32) -> tuple[I32, int]:
    """Number the sets 0, 1, ... by their first member: (number of each member's set, how many)."""
    number = np.full(parent.shape[0], -1, np.int32)
    count = 0
    for node in range(parent.shape[0]):
        root = find_root(parent, node)
        if number[root] < 0:
            number[root] = count
            count += 1
        number[node] = number[root]
    return number, count


def pick_sums(sums: Sums, which: I64) -> Sums:
    """Pick regions by index."""
    return Sums(
        sums.label[which],
        sums.code[which],
        sums.pixels[which],
        sums.weight[which],
        sums.known[which],
        sums.percent[which],
        sums.lowest[which],
        sums.last[which],
    )


def label_regions(labels: Labels) -> tuple[Runs, int]:
    """Number the 4-connected regions of equal labels.

    Args:
        labels: (rows, columns) uint8 or int32.

    Returns:
        The runs with their regions, numbered from 0 in the order of their first pixels, and how many there are.
    """
    row, start = _find_runs(labels)
    region, parent = _join_rows(labels, row, start)
    number, count = compact(parent)
    return Runs(row, start, number[region]), count


@kernel
def region_at(runs: Runs, i: int, j: int) -> np.int32:
    """Find the region of a pixel."""
    low, high = runs.row[i], runs.row[i + 1] - 1
    while high - low > 1:
        middle = (low + high) // 2
        if runs.start[middle] <= j:
            low = middle
        else:
            high = middle
    region: np.int32 = runs.region[low]
    return region


@kernel
def regions_of_row(runs: Runs, i: int, cols: int) -> I32:
    """Spread the regions of one row over its pixels."""
    out = np.empty(cols, np.int32)
    for k in range(runs.row[i], runs.row[i + 1] - 1):
        out[runs.start[k] : runs.start[k + 1]] = runs.region[k]
    return out


@kernel
def regions_of_column(runs: Runs, j: int) -> I32:
    """Find the regions of one column."""
    rows = runs.row.shape[0] - 1
    out = np.empty(rows, np.int32)
    for i in range(rows):
        out[i] = region_at(runs, i, j)
    return out


@kernel
def sum_regions(
    labels: Labels, confidence: U8, runs: Runs, count: int, cumulative: I64, place: tuple[int, int, int, int, int, int]
) -> Sums:
    """Add up the pixels that a block owns; the caller fills in the class of each label.

    Args:
        labels: (rows, columns) with one row above and one column to the left that are not the block's.
        confidence: (height, width) of the block in percent, or of no pixel at all.
        runs: of ``labels``.
        count: number of regions.
        cumulative: see ``PixelGround.cumulative``.
        place: first row, first column, height and width of the block; width of the scene; log2 of the band height.
    """
    row0, col0, height, width, scene_width, shift = place
    label = np.zeros(count, np.int32)
    pixels = np.zeros(count, np.int64)
    weight = np.zeros(count, np.int64)
    known = np.zeros(count, np.int64)
    percent = np.zeros(count, np.int64)
    lowest = np.full(count, 255, np.uint8)
    last = np.full(count, -1, np.int64)
    band0 = row0 >> shift
    seen = 0
    for i in range(labels.shape[0]):
        for k in range(runs.row[i], runs.row[i + 1] - 1):
            if runs.region[k] == seen:  # regions are numbered by their first pixels
                label[seen] = labels[i, runs.start[k]]
                seen += 1
    for i in range(1, height + 1):
        line = row0 + i - 1
        band = (line >> shift) - band0
        step = line & ((1 << shift) - 1)
        upper, lower = cumulative[band], cumulative[band + 1]
        for k in range(runs.row[i], runs.row[i + 1] - 1):
            region = runs.region[k]
            a = max(runs.start[k], 1) - 1
            b = min(runs.start[k + 1] - 1, width)
            if b <= a:
                continue
            pixels[region] += b - a
            weight[region] += ((1 << shift) - step) * (upper[b] - upper[a]) + step * (lower[b] - lower[a])
            last[region] = line * scene_width + col0 + b - 1
            if confidence.shape[0]:
                total = 0
                low = lowest[region]
                n = 0
                for j in range(a, b):
                    value = confidence[i - 1, j]
                    if value != 255:
                        total += value
                        n += 1
                        low = min(low, value)
                lowest[region] = low
                percent[region] += total
                known[region] += n
    return Sums(label, np.zeros(count, np.uint8), pixels, weight, known, percent, lowest, last)
