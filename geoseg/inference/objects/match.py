"""Matching of the objects of two tiles or blocks by the window that both see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geoseg.core.window import Window
from geoseg.vector.regions import label_regions

I32 = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """Objects over a window.

    Attributes:
        plane: index plus one of each pixel's object, 0 for none.
        pieces: number of each pixel's connected piece.
        pixels: (piece,) pixels of each.
    """

    plane: I32
    pieces: I32
    pixels: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenBlock:
    """Windows of one block of a scene.

    Attributes:
        core: window that it owns; cores partition the scene.
        read: window in which its objects were detected; at least one pixel larger than ``core`` on each side that is
            not the scene's edge.
    """

    core: Window
    read: Window


def match_objects(
    planes: tuple[Sequence[I32], Sequence[I32]],
    codes: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]],
    least_iou: float,
) -> I32:
    """Match the objects that two tables have in one window.

    Two objects of one class are the same if connected pieces of their masks agree, and these pieces are at least
    ``least_iou`` of the smaller of the two.

    Args:
        planes: of each table its objects over the window, index plus one; see ``draw_planes``.
        codes: class of each object of each table.
        least_iou: least intersection over union of matching pieces.

    Returns:
        (pair, 2) int32 indices in the tables.
    """
    ours, theirs = ([_drawn(plane) for plane in side if plane.any()] for side in planes)
    if not ours or not theirs:
        return np.zeros((0, 2), np.int32)
    sizes = [
        np.sum([np.bincount(one.plane.ravel(), minlength=len(code) + 1) for one in side], axis=0)
        for side, code in zip((ours, theirs), codes, strict=True)
    ]
    found: dict[tuple[int, int], int] = {}
    for pair, count in zip(*_agreeing(ours, theirs, codes, least_iou), strict=True):
        found[pair[0], pair[1]] = found.get((pair[0], pair[1]), 0) + count
    pairs = [
        pair for pair, count in found.items() if count >= least_iou * min(sizes[0][pair[0] + 1], sizes[1][pair[1] + 1])
    ]
    return np.array(sorted(pairs), np.int32).reshape(-1, 2)


def _agreeing(
    ours: Sequence[_Drawn],
    theirs: Sequence[_Drawn],
    codes: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]],
    least_iou: float,
) -> tuple[list[list[int]], list[int]]:
    """Find the pieces that agree: pairs of indices of their objects, and the pixels they share.

    Two pieces agree if they have enough in common and one of them is the best match of the other. So an object inside
    another one of its class is not taken for it where both tables have both.
    """
    places, shared, united, names = [], [], [], []
    for number, mine in enumerate(ours):
        for other, yours in enumerate(theirs):
            both = (mine.plane > 0) & (yours.plane > 0)
            key, first, common = np.unique(
                mine.pieces[both].astype(np.int64) << 32 | yours.pieces[both], return_index=True, return_counts=True
            )
            piece = key >> 32, key & 0xFFFFFFFF
            places.append(np.stack([mine.plane[both][first] - 1, yours.plane[both][first] - 1], axis=1))
            names.append(np.stack([number << 32 | piece[0], other << 32 | piece[1]], axis=1))
            shared.append(common)
            united.append(mine.pixels[piece[0]] + yours.pixels[piece[1]] - common)
    pair, name, common = np.concatenate(places), np.concatenate(names), np.concatenate(shared)
    same = codes[0][pair[:, 0]] == codes[1][pair[:, 1]]
    pair, name, common, iou = pair[same], name[same], common[same], (common / np.concatenate(united))[same]
    best = np.zeros(len(iou), np.bool_)
    for side in (0, 1):
        _, member = np.unique(name[:, side], return_inverse=True)
        most = np.zeros(int(member.max(initial=-1)) + 1)
        np.maximum.at(most, member, iou)
        best |= iou >= most[member]
    good = best & (iou >= least_iou)
    return pair[good].tolist(), common[good].tolist()


def _drawn(plane: I32) -> _Drawn:
    pieces = _pieces(plane)
    return _Drawn(plane, pieces, np.bincount(pieces.ravel()))


def _pieces(labels: I32) -> I32:
    """Number the connected regions of equal labels."""
    runs, _ = label_regions(labels)
    lengths = np.diff(np.append(runs.start, runs.start[-1]))
    keep = np.ones(len(runs.start), np.bool_)
    keep[runs.row[1:] - 1] = False
    return np.repeat(runs.region[keep], lengths[keep]).reshape(labels.shape)
