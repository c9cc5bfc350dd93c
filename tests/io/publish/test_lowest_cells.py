"""The lowest cells are those that a search by eye finds."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geoseg.io.publish.lowest_cells import CELL_PX, lowest_cells

SIDES = st.integers(0, 5)


@given(st.tuples(SIDES, SIDES), st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(0, 2))
def test_no_cell_is_lower_than_those_found_but_for_cells_near_them(sides, seed, most, apart):
    rng = np.random.default_rng(seed)
    shape = tuple(side * CELL_PX + int(rng.integers(CELL_PX)) for side in sides)
    rest = [(0, whole - side * CELL_PX) for whole, side in zip(shape, sides, strict=True)]
    values = np.pad(np.kron(rng.integers(0, 100, sides), np.ones((CELL_PX, CELL_PX), np.uint8)), rest)
    there = rng.random(sides) < 0.8
    valid = np.pad(np.kron(there, np.ones((CELL_PX, CELL_PX), bool)), rest)
    found = lowest_cells(values, valid, most, apart=apart)
    places = [(cell.rows.start // CELL_PX, cell.cols.start // CELL_PX) for cell in found]
    assert [cell.mean for cell in found] == sorted(values[cell.rows, cell.cols].mean() for cell in found)
    for first, one in enumerate(places):
        assert there[one]
        assert all(max(abs(one[0] - other[0]), abs(one[1] - other[1])) > apart for other in places[:first])
    assert len(found) <= most
    left = {(row, col) for row, col in zip(*np.nonzero(there), strict=True)}
    for row, col in places:
        left = {one for one in left if max(abs(one[0] - row), abs(one[1] - col)) > apart}
    assert not left or (len(found) == most and min(values[r * CELL_PX, c * CELL_PX] for r, c in left) >= found[-1].mean)


def test_a_cell_of_which_half_is_valid_counts_and_its_valid_half_is_its_mean():
    values = np.full((8, 16), 50)
    values[:, :4] = 10
    valid = np.ones((8, 16), bool)
    valid[:, 4:8] = False
    assert [cell.mean for cell in lowest_cells(values, valid, 5)] == [10, 50]
    valid[0, 0] = False
    assert [cell.mean for cell in lowest_cells(values, valid, 5)] == [50]
