"""Overlaps of the objects of a scene: repeated detections are left out, and the others are separated."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geoseg.core.spec import InstanceChoice
from geoseg.core.window import Window
from geoseg.inference.objects.join import JoinedObjects
from geoseg.inference.objects.views import TileViews

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

COVERED = 0.5
"""Share of the smaller of two objects from which on the worse one goes, if overlaps are resolved.
Source: Kirillov et al. 2019, Panoptic Segmentation, section 6."""


class Overlaps(NamedTuple):
    """Pairs of objects that share pixels: (pair, 2) numbers from 0, the lower one first, and the pixels they share."""

    pairs: I64
    shared: I64


def find_overlaps(views: TileViews, joined: JoinedObjects) -> Overlaps:
    """Find all pairs of objects that share pixels.

    Args:
        views: detections of the tiles.
        joined: objects.
    """
    found: list[tuple[I64, I64]] = []
    for tile in views.in_block_order():
        if not joined.of_tile(tile).any():
            continue
        read = views.tiles[tile].read
        ours = _labelled(views, joined, tile, read)
        found += [_shared(ours[i], ours[j]) for i in range(len(ours)) for j in range(i)]
        for other in views.over(read):
            if other < tile and joined.of_tile(other).any():
                strip = read.intersection(views.tiles[other].read)
                at = strip.within(read)
                theirs = _labelled(views, joined, other, strip)
                found += [_shared(one[at], two) for one in ours for two in theirs]
    key = np.concatenate([np.zeros(0, np.int64), *(keys for keys, _ in found)])
    count = np.concatenate([np.zeros(0, np.int64), *(counts for _, counts in found)])
    pairs, where = np.unique(key, return_inverse=True)
    shared = np.bincount(where, count, len(pairs)).astype(np.int64)
    return Overlaps(np.stack([(pairs >> 32) - 1, (pairs & 0xFFFFFFFF) - 1], axis=1), shared)


def _labelled(views: TileViews, joined: JoinedObjects, tile: int, window: Window) -> list[I32]:
    """Draw the pixels that the views of a tile give to objects, in a window that the tile sees."""
    seen = views.tiles[tile]
    label = np.concatenate([[0], joined.of_tile(tile)]).astype(np.int32)
    inside = np.where(np.concatenate([[False], joined.whole])[label], label, 0).astype(np.int32)
    planes = []
    for plane in views.planes(tile):
        index = plane[window.within(seen.read)]
        drawn = inside[index]
        own = seen.core.intersection(window)
        if own.pixels:
            drawn[own.within(window)] = label[index[own.within(window)]]
        planes.append(drawn)
    return planes


def _shared(one: I32, other: I32) -> tuple[I64, I64]:
    both = (one > 0) & (other > 0) & (one != other)
    low, high = np.minimum(one[both], other[both]), np.maximum(one[both], other[both])
    return np.unique(low.astype(np.int64) << 32 | high, return_counts=True)


def ranks_of(joined: JoinedObjects) -> I32:
    """Rank objects by score, of equal ones the first the highest; (object + 1,), 0 for the label 0."""
    order = np.lexsort((-np.arange(len(joined)), joined.score))
    rank = np.zeros(len(joined) + 1, np.int32)
    rank[order + 1] = np.arange(1, len(joined) + 1)
    return rank


def without_repetitions(joined: JoinedObjects, overlaps: Overlaps, choice: InstanceChoice) -> npt.NDArray[np.bool_]:
    """Choose the objects that stay, the best first.

    An object goes if a better one of its class, which stays, overlaps it by more than ``choice.nms_iou``; where
    overlaps are resolved also if a better one covers it (``COVERED``).

    Returns:
        (object,) bool.
    """
    pixels, rank = joined.pixels, ranks_of(joined)[1:]
    one, other = overlaps.pairs[:, 0], overlaps.pairs[:, 1]
    iou = overlaps.shared / (pixels[one] + pixels[other] - overlaps.shared)
    same = (joined.code[one] == joined.code[other]) & (iou > choice.nms_iou)
    if choice.overlaps == "resolve":
        same |= overlaps.shared > COVERED * np.minimum(pixels[one], pixels[other])
    better = np.where(rank[one] > rank[other], one, other)[same]
    worse = np.where(rank[one] > rank[other], other, one)[same]
    kept = np.ones(len(joined), np.bool_)
    for at in np.argsort(-rank[better], kind="stable"):
        if kept[better[at]]:
            kept[worse[at]] = False
    return kept


def layers_of(joined: JoinedObjects, overlaps: Overlaps) -> I32:
    """Give each object a layer, so that objects of one layer share no pixel; the best are in the first, 0.

    Returns:
        (object,) int32.
    """
    layer = np.full(len(joined), -1, np.int32)
    near: dict[int, list[int]] = {}
    for one, other in overlaps.pairs.tolist():
        near.setdefault(one, []).append(other)
        near.setdefault(other, []).append(one)
    for index in np.argsort(-ranks_of(joined)[1:], kind="stable").tolist():
        taken = {int(layer[other]) for other in near.get(index, ())}
        layer[index] = next(number for number in range(len(taken) + 1) if number not in taken)
    return layer
