"""What overlaps gives way: in the end nothing overlaps, everything keeps its share, and only neighbours mattered."""

from __future__ import annotations

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geoseg.vector.resolve_overlaps import resolve_overlaps
from geoseg.vector.squaring import overlap_share

LEAST = 0.7


def houses(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes that do not overlap, what they would like to be, and how alike the two are."""
    rng = np.random.default_rng(seed)
    place = rng.permutation(64)[:count]
    low = np.column_stack([place % 8, place // 8]) * 10.0 + rng.uniform(0, 2, (count, 2))
    high = low + rng.uniform(3, 8, (count, 2))
    raw = shapely.box(low[:, 0], low[:, 1], high[:, 0], high[:, 1])
    moved = shapely.buffer(raw, rng.uniform(0, 2.5, count), join_style="mitre")
    angle = rng.uniform(-0.2, 0.2, count)
    wanted = np.array([shapely.affinity.rotate(p, a, use_radians=True) for p, a in zip(moved, angle, strict=True)])
    # a ring around others
    if rng.random() < 0.5:
        raw = np.append(raw, shapely.box(-9, -9, 99, 99).difference(shapely.box(-4, -4, 94, 94)))
        wanted = np.append(wanted, shapely.box(-9, -9, 99, 99).difference(shapely.box(0, 0, 86, 86)))
    share = overlap_share(wanted, raw)
    good = share >= LEAST
    return raw, np.where(good, wanted, raw), np.where(good, share, 1.0)


def overlap_of(shapes: np.ndarray) -> float:
    one, other = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    pairs = one < other
    return float(shapely.area(shapely.intersection(shapes[one[pairs]], shapes[other[pairs]])).max(initial=0.0))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60))
def test_nothing_overlaps_and_all_keep_their_share(seed: int, count: int) -> None:
    raw, wanted, iou = houses(seed, count)
    out = resolve_overlaps(raw, wanted, iou, LEAST)
    assert shapely.is_valid(out).all()
    assert (shapely.get_type_id(out) == shapely.GeometryType.POLYGON).all()
    assert overlap_of(out) < 1e-6
    assert (overlap_share(out, raw) > LEAST - 1e-9).all()
    alone = np.array([not shapely.intersects(np.delete(wanted, k), wanted[k]).any() for k in range(len(raw))])
    covered = np.array([shapely.intersects(np.delete(raw, k), wanted[k]).any() for k in range(len(raw))])
    free = alone & ~covered
    assert shapely.equals_identical(out[free], wanted[free]).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_what_is_far_away_does_not_matter(seed: int) -> None:
    raw, wanted, iou = houses(seed, 50)
    whole = resolve_overlaps(raw, wanted, iou, LEAST)
    near = np.zeros(len(raw), bool)
    near[0] = True
    for _ in range(3):
        reached = np.concatenate([raw[near], wanted[near]])
        touched = [shapely.intersects(reached, shape).any() for shape in np.stack([raw, wanted])[:, ~near].T.ravel()]
        grown = np.reshape(touched, (-1, 2)).any(axis=1)
        near[np.flatnonzero(~near)[grown]] = True
    part = resolve_overlaps(raw[near], wanted[near], iou[near], LEAST)
    assert shapely.equals_identical(part[0], whole[0])


def test_of_two_that_overlap_the_truer_one_stays() -> None:
    raw = np.array([shapely.box(0, 0, 10, 10), shapely.box(11, 0, 21, 10)])
    wanted = np.array([shapely.box(0, 0, 12, 10), shapely.box(10.5, 0, 21, 10)])
    out = resolve_overlaps(raw, wanted, overlap_share(wanted, raw), 0.5)
    assert out[1].equals(wanted[1])
    assert out[0].equals(shapely.box(0, 0, 10.5, 10))


def test_nobody_is_swallowed() -> None:
    raw = np.array([shapely.box(0, 0, 10, 10), shapely.box(10.5, 4, 11.5, 5)])
    wanted = np.array([shapely.box(0, 0, 12, 10), raw[1]])
    out = resolve_overlaps(raw, wanted, np.array([0.83, 1.0]), 0.5)
    assert (out == raw).all()
