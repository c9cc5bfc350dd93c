"""Drawn objects that a perfect detector sees: rectangles, rings, lines and blobs, and what a run must make of them."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from geoseg.core.card import Architecture, CardBand, GsdRange, ModelCard
from geoseg.core.legend import Legend, LegendClass

BANDS = 3
SCORES = 4001
"""More than there are numbers of objects, so that no two have one score."""
LEGEND = Legend(
    classes=[
        LegendClass(code=0, name="background", colour="#d9d9d9"),
        LegendClass(code=4, name="roof", colour="#d7301f"),
        LegendClass(code=7, name="tree", colour="#33a02c"),
    ]
)


def detector_card(**changes: object) -> ModelCard:
    facts = {
        "name": "perfect",
        "architecture": Architecture(name="own"),
        "task": "instance",
        "bands": tuple(CardBand(name=name, mean=0, std=1 / 255) for name in ("red", "green", "blue")),
        "gsd_m": GsdRange(min=0.1, max=10),
        "tile_px": 96,
        "halo_px": 16,
        "legend": LEGEND,
        "licence": "CC0-1.0",
    }
    return ModelCard(**(facts | changes))


def shape_of(kind: int, rows: int, cols: int, rng: np.random.Generator) -> np.ndarray:
    """A full rectangle, a ring, a winding line one pixel wide, a diagonal, or a blob; always of one piece."""
    mask = np.zeros((rows, cols), bool)
    if kind == 0:
        mask[:] = True
    elif kind == 1:
        mask[:] = True
        mask[1:-1, 1:-1] = False
    elif kind == 2:
        for row in range(rows):
            mask[row, :] = row % 2 == 0
            mask[row, -1 if (row // 2) % 2 == 0 else 0] = True
    elif kind == 3:
        mask[
            np.arange(max(rows, cols)) * rows // max(rows, cols), np.arange(max(rows, cols)) * cols // max(rows, cols)
        ] = 1
    else:
        labels, _ = ndimage.label(ndimage.gaussian_filter(rng.random((rows, cols)), 1) > 0.45, np.ones((3, 3)))
        mask = labels == np.bincount(labels.ravel())[1:].argmax() + 1 if labels.any() else ~mask
    return mask


def drawn_objects(shape: tuple[int, int], seed: int, count: int) -> np.ndarray:
    """Bands of numbers of objects: those of one band share no pixel, those of different bands may."""
    rng = np.random.default_rng(seed)
    bands = np.zeros((BANDS, *shape), np.uint8)
    for number in range(1, count + 1):
        rows, cols = (int(rng.integers(1, max(2, min(side, 1 + int(side * rng.random() ** 2))))) for side in shape)
        top, left = (int(rng.integers(0, side - size + 1)) for side, size in zip(shape, (rows, cols), strict=True))
        mask = np.zeros(shape, bool)
        mask[top : top + rows, left : left + cols] = shape_of(int(rng.integers(5)), rows, cols, rng)
        for band in rng.permutation(BANDS):
            if not (mask & (bands[band] > 0)).any():
                bands[band][mask] = number
                break
    return bands


def known(bands: np.ndarray, classes: int, scores: int) -> list[tuple[float, int, np.ndarray]]:
    """Score, code and mask of each object, by ``PerfectDetector``'s rules."""
    codes = (4, 7)
    return [
        (
            np.float32(0.9 - (int(v) + 1000 * band) % scores / (2 * scores)),
            codes[(int(v) + 1000 * band) % classes],
            plane == v,
        )
        for band, plane in enumerate(bands)
        for v in np.unique(plane[plane > 0])
    ]


def expected(bands: np.ndarray, classes: int, scores: int, overlaps: str, valid: np.ndarray) -> dict:
    """Code and pixels of each object, by the pixel that names it; scores must differ where objects overlap."""
    objects = sorted(known(bands, classes, scores), key=lambda entry: -entry[0])
    kept = []
    for score, code, mask in objects:
        covered = any((mask & m).sum() > 0.5 * min(mask.sum(), m.sum()) for _, _, m in kept)
        if overlaps == "keep" or not covered:
            kept.append((score, code, mask))
    taken = np.zeros(valid.shape, bool)
    found, ids = {}, set()
    for _, code, mask in kept:
        seen = mask & valid & ~taken if overlaps == "resolve" else mask & valid
        taken |= mask
        if seen.any():
            numbers = np.flatnonzero(seen)
            ids.add(int(numbers[-1]))
            found[frozenset(numbers.tolist())] = code
    return found


def distinct(bands: np.ndarray, scores: int) -> bool:
    """Objects that overlap have different scores, so that the better one is known."""
    objects = known(bands, 1, scores)
    return not any(
        one[0] == other[0] and (one[2] & other[2]).any() for n, one in enumerate(objects) for other in objects[:n]
    )
