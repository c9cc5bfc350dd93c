"""Rectangles partition what they should, and those to learn from keep away from those to score."""

from __future__ import annotations

import numpy as np
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from odc.geo.geobox import GeoBox

from geoseg.core.window import Window
from geoseg.data.regions import Cells, covering, disjoint, ground, keep_away, seen_from

FLAGS = arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=7))


@st.composite
def windows(draw: st.DrawFn, side: int = 60) -> Window:
    top, left = draw(st.integers(-5, side)), draw(st.integers(-5, side))
    return Window(top, top + draw(st.integers(1, 40)), left, left + draw(st.integers(1, 40)))


@given(FLAGS)
def test_disjoint_rectangles_hold_every_marked_cell_once(flags: np.ndarray) -> None:
    times = np.zeros(flags.shape, int)
    for window in disjoint(flags):
        times[window.slices] += 1
    np.testing.assert_array_equal(times, flags)


@given(FLAGS)
def test_covering_rectangles_hold_every_marked_cell_and_no_other_and_cannot_grow(flags: np.ndarray) -> None:
    found = covering(flags)
    times = np.zeros(flags.shape, int)
    for window in found:
        times[window.slices] += 1
        for wider in (window.expanded(1, 0), window.expanded(0, 1)):
            inside = wider.intersection(Window.whole(flags.shape))
            for part in (
                Window(inside.row_start, window.row_stop, inside.col_start, window.col_stop),
                Window(window.row_start, inside.row_stop, window.col_start, inside.col_stop),
            ):
                assert part == window or not flags[part.slices].all()
    np.testing.assert_array_equal(times > 0, flags)


@given(windows(), st.lists(windows(), max_size=6), st.integers(1, 12))
def test_what_is_kept_lies_inside_and_a_guard_away(window: Window, grounds: list[Window], guard_px: int) -> None:
    kept = keep_away(window, grounds, guard_px)
    if kept is None:
        assert grounds
        return
    assert window.contains(kept)
    assert kept.pixels
    rows, cols = np.mgrid[kept.row_start : kept.row_stop, kept.col_start : kept.col_stop]
    for other in grounds:
        apart_rows = np.maximum(other.row_start - rows, rows - (other.row_stop - 1))
        apart_cols = np.maximum(other.col_start - cols, cols - (other.col_stop - 1))
        assert (np.maximum(apart_rows, apart_cols) > guard_px).all()


@given(st.integers(1, 90), st.integers(1, 90), st.integers(16, 50))
def test_cells_partition_a_scene(height: int, width: int, side_px: int) -> None:
    cells = Cells((height, width), side_px)
    times = np.zeros((height, width), int)
    for row in range(cells.shape[0]):
        for col in range(cells.shape[1]):
            times[cells.window(Window(row, row + 1, col, col + 1)).slices] += 1
    assert (times == 1).all()


@given(st.floats(0.05, 0.9), st.integers(0, 5), st.text(max_size=3))
def test_drawn_cells_are_a_share_and_the_same_again(share: float, seed: int, name: str) -> None:
    cells = Cells((96, 80), 16)
    drawn = cells.drawn(share, seed, name)
    assert drawn.sum() == min(max(1, round(share * 30)), 29)
    np.testing.assert_array_equal(drawn, cells.drawn(share, seed, name))


def test_ground_seen_from_another_grid_holds_all_of_it() -> None:
    """A window of a UTM grid, as pixels of a grid in degrees: every corner of its pixels lies inside."""
    from pyproj import Transformer

    utm = GeoBox((200, 300), Affine(0.5, 0, 500000, 0, -0.5, 5400000), "EPSG:32632")
    degrees = GeoBox((400, 400), Affine(7e-6, 0, 8.9995, 0, -5e-6, 48.7525), "EPSG:4326")
    window = Window(20, 90, 30, 200)
    seen = seen_from(degrees, utm, window)
    assert seen is not None
    rows, cols = np.mgrid[window.row_start : window.row_stop + 1, window.col_start : window.col_stop + 1]
    x, y = Transformer.from_crs(32632, 4326, always_xy=True).transform(500000 + 0.5 * cols, 5400000 - 0.5 * rows)
    row, col = (48.7525 - y) / 5e-6, (x - 8.9995) / 7e-6
    assert seen.row_start <= row.min()
    assert row.max() <= seen.row_stop
    assert seen.col_start <= col.min()
    assert col.max() <= seen.col_stop
    assert seen.pixels < 1.2 * (np.ptp(row) + 4) * (np.ptp(col) + 4)


def test_the_outline_of_a_window_has_its_area() -> None:
    grid = GeoBox((200, 300), Affine(0.5, 0.1, 500000, 0.2, -0.5, 5400000), "EPSG:32632")
    assert abs(ground(grid, Window(10, 60, 0, 40)).area - 50 * 40 * abs(grid.transform.determinant)) < 1e-6
