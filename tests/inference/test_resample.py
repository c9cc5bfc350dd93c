"""Resampling: constants stay, means are kept, windows do not matter, validity is honoured."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from geoseg.core.window import Window
from geoseg.inference.resample import Resampling

sides = st.integers(1, 60)
shapes = st.tuples(sides, sides)


@st.composite
def windows(draw: st.DrawFn, shape: tuple[int, int]) -> Window:
    rows = sorted(draw(st.tuples(st.integers(0, shape[0] - 1), st.integers(0, shape[0] - 1))))
    cols = sorted(draw(st.tuples(st.integers(0, shape[1] - 1), st.integers(0, shape[1] - 1))))
    return Window(rows[0], rows[1] + 1, cols[0], cols[1] + 1)


@settings(deadline=None)
@given(shapes, shapes, st.data())
def test_a_pixel_does_not_depend_on_the_window_it_is_made_in(
    source: tuple[int, int], target: tuple[int, int], data: st.DataObject
) -> None:
    values = np.random.default_rng(0).random((2, *source)).astype(np.float32)
    resampling = Resampling(source, target)
    whole = resampling.apply(values, Window.whole(source), Window.whole(target))
    part = data.draw(windows(target))
    needed = resampling.source(part)
    np.testing.assert_allclose(
        resampling.apply(values[:, *needed.slices], needed, part), whole[:, *part.slices], rtol=1e-5, atol=1e-6
    )


@settings(deadline=None)
@given(shapes, shapes)
def test_a_constant_stays_and_the_range_is_kept(source: tuple[int, int], target: tuple[int, int]) -> None:
    resampling = Resampling(source, target)
    ones = resampling.apply(np.ones((1, *source), np.float32), Window.whole(source), Window.whole(target))
    np.testing.assert_allclose(ones, 1.0, rtol=1e-5)
    values = np.random.default_rng(1).random((1, *source)).astype(np.float32)
    out = resampling.apply(values, Window.whole(source), Window.whole(target))
    assert values.min() - 1e-5 <= out.min() <= out.max() <= values.max() + 1e-5


@settings(deadline=None)
@given(shapes)
def test_the_same_grid_changes_nothing(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(2).random((1, *shape)).astype(np.float32)
    same = Resampling(shape, shape).apply(values, Window.whole(shape), Window.whole(shape))
    np.testing.assert_allclose(same, values, rtol=1e-6)


def test_enlarging_is_bilinear_interpolation() -> None:
    values = np.random.default_rng(3).random((1, 20, 30)).astype(np.float32)
    out = Resampling((20, 30), (60, 90)).apply(values, Window.whole((20, 30)), Window.whole((60, 90)))
    rows, cols = (np.arange(60) + 0.5) / 3 - 0.5, (np.arange(90) + 0.5) / 3 - 0.5
    oracle = ndimage.map_coordinates(values[0], np.meshgrid(rows, cols, indexing="ij"), order=1, mode="nearest")
    np.testing.assert_allclose(out[0], oracle, rtol=1e-4, atol=1e-5)


@settings(deadline=None)
@given(shapes, shapes)
def test_invalid_pixels_have_no_weight(source: tuple[int, int], target: tuple[int, int]) -> None:
    random = np.random.default_rng(4)
    values = random.random((1, *source)).astype(np.float32)
    valid = random.random(source) < 0.7
    spoiled = np.where(valid, values, np.float32(1e6))
    whole_in, whole_out = Window.whole(source), Window.whole(target)
    clean, good = Resampling(source, target).apply_valid(values, valid, whole_in, whole_out)
    other, good_too = Resampling(source, target).apply_valid(spoiled, valid, whole_in, whole_out)
    np.testing.assert_array_equal(good, good_too)
    np.testing.assert_array_equal(clean, other)
    assert (clean[:, ~good] == 0).all()
