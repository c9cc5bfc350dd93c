"""Tables of objects: masks in, the same masks out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from geoseg.core.objects import ObjectTable
from geoseg.core.window import Window

MASKS = arrays.arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))).filter(lambda mask: mask.any())
PLACED = st.lists(st.tuples(MASKS, st.integers(0, 50), st.integers(0, 50)), max_size=6)


def table_of(placed):
    entries = []
    for number, (mask, row, col) in enumerate(placed):
        window = Window(row, row + mask.shape[0], col, col + mask.shape[1])
        entries.append((number, number / 10, window, mask, number % 2 == 0))
    return ObjectTable.from_masks(entries)


def on_scene(window, mask):
    canvas = np.zeros((60, 60), bool)
    canvas[window.slices] = mask
    return canvas


@given(PLACED)
def test_masks_come_back_on_the_scenes_grid(placed):
    table = table_of(placed)
    assert len(table) == len(placed)
    for (mask, row, col), (_, window, found) in zip(placed, table, strict=True):
        expected = on_scene(Window(row, row + mask.shape[0], col, col + mask.shape[1]), mask)
        np.testing.assert_array_equal(on_scene(window, found), expected)
        assert found[0].any()
        assert found[-1].any()
        assert found[:, 0].any()
        assert found[:, -1].any()
    np.testing.assert_array_equal(table.pixels(), [mask.sum() for mask, _, _ in placed])


@given(PLACED)
def test_the_last_pixel_is_that_of_numpy(placed):
    expected = []
    for mask, row, col in placed:
        rows, cols = np.nonzero(mask)
        expected.append((rows[-1] + row) * 60 + cols[-1] + col)
    np.testing.assert_array_equal(table_of(placed).last_pixel(60), expected)


@given(PLACED, st.randoms())
def test_chosen_objects_are_those_objects(placed, random):
    table = table_of(placed)
    chosen = random.sample(range(len(table)), random.randint(0, len(table)))
    part = table.take(np.array(chosen, np.int64))
    whole = list(table)
    for index, (label, window, mask) in zip(chosen, part, strict=True):
        assert (label, window) == whole[index][:2]
        np.testing.assert_array_equal(mask, whole[index][2])
    np.testing.assert_array_equal(part.score, table.score[chosen])


@given(PLACED)
def test_columns_make_the_same_table_again(placed):
    table = table_of(placed)
    again = ObjectTable.from_columns(table.columns())
    for name, column in table.columns().items():
        np.testing.assert_array_equal(again.columns()[name], column)


def test_columns_that_do_not_fit_are_refused():
    columns = table_of([(np.ones((2, 2), bool), 0, 0)]).columns()
    for name in columns:
        with pytest.raises(ValueError, match="columns|run"):
            ObjectTable.from_columns({**columns, name: columns[name][:0]})
    with pytest.raises(ValueError, match="type"):
        ObjectTable.from_columns({**columns, "score": columns["score"].astype(np.float64)})
    assert len(ObjectTable.empty()) == 0
