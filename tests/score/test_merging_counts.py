"""The benchmark of merging: one hand-made case for each verdict."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from merging_counts import verdicts

LABELS = np.zeros((20, 60), np.int64)
LABELS[5:15, 5:25], LABELS[5:15, 30:50] = 1, 2


def pixels(rows: slice, cols: slice) -> np.ndarray:
    mask = np.zeros(LABELS.shape, bool)
    mask[rows, cols] = True
    return np.flatnonzero(mask)


FIRST, SECOND = pixels(slice(5, 15), slice(5, 25)), pixels(slice(5, 15), slice(30, 50))


@pytest.mark.parametrize(
    ("outputs", "verdict", "spare"),
    [
        ([FIRST], "right", 0),
        ([FIRST, pixels(slice(5, 15), slice(5, 9))], "right", 1),
        ([FIRST, FIRST], "doubled", 1),
        ([pixels(slice(5, 15), slice(5, 15)), pixels(slice(5, 15), slice(15, 25))], "cut", 1),
        ([pixels(slice(5, 15), slice(5, 22))], "cut", 0),
        ([], "lost", 0),
        ([pixels(slice(5, 15), slice(5, 14))], "lost", 0),
        ([pixels(slice(0, 20), slice(0, 29))], "off", 0),
    ],
)
def test_each_verdict(outputs: list[np.ndarray], verdict: str, spare: int) -> None:
    found, left = verdicts(LABELS, [SECOND, *outputs], 0.9)
    assert found.tolist() == [verdict, "right"]
    assert left == spare


def test_an_output_over_two_objects_joins_both() -> None:
    found, spare = verdicts(LABELS, [pixels(slice(5, 15), slice(5, 50))], 0.9)
    assert found.tolist() == ["joined", "joined"]
    assert spare == 0
