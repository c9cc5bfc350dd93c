"""Distances to the two nearest objects equal those found by comparing every pair of pixels."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geoseg.core.nearest_objects import two_nearest


@given(
    objects=arrays(
        np.int64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 0, 0, 1, 4])
    ),
    reach=st.floats(0.5, 20),
)
def test_distances_are_those_of_all_pairs(objects: np.ndarray, reach: float) -> None:
    rows, cols = np.mgrid[: objects.shape[0], : objects.shape[1]]
    to_each = [np.full(objects.shape, np.inf)] * 2
    for number in set(objects[objects > 0].tolist()):
        at = np.argwhere(objects == number)
        distance = np.hypot(rows[..., None] - at[:, 0], cols[..., None] - at[:, 1]).min(-1)
        to_each.append(np.where(distance.astype(np.float32) > reach, np.inf, distance))
    expected = np.sort(np.stack(to_each), axis=0)[:2]
    np.testing.assert_allclose(np.stack(two_nearest(objects, reach)), expected, rtol=1e-6)
