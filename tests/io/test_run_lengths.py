"""Run lengths mean what Kaggle's rules say: pairs of start and length, from 1, down the columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from geoseg.core.window import Window
from geoseg.errors import SceneError
from geoseg.io.labels.array_labels import run_length_labels
from geoseg.io.labels.run_lengths import decode_run_lengths, encode_run_lengths, read_table

MASKS = arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12))


@given(MASKS)
def test_decoding_follows_the_rules_pixel_by_pixel(mask: np.ndarray) -> None:
    text = encode_run_lengths(mask)
    painted = np.zeros(mask.size, bool)
    words = [int(word) for word in text.split()]
    for start, length in zip(words[::2], words[1::2], strict=True):
        for pixel in range(start, start + length):
            assert not painted[pixel - 1]
            painted[pixel - 1] = True
    expected = [[painted[col * mask.shape[0] + row] for col in range(mask.shape[1])] for row in range(mask.shape[0])]
    np.testing.assert_array_equal(mask, expected)
    np.testing.assert_array_equal(decode_run_lengths(text, mask.shape), mask)


def test_the_example_of_the_competitions() -> None:
    """'1 3 10 5' are the pixels 1, 2, 3, 10, 11, 12, 13, 14."""
    found = decode_run_lengths("1 3 10 5", (5, 4)).ravel(order="F")
    assert (np.flatnonzero(found) + 1).tolist() == [1, 2, 3, 10, 11, 12, 13, 14]


@pytest.mark.parametrize("text", ["1", "1 2 3", "a 2", "0 2", "-1 2", "1.5 2", "20 2"])
def test_what_is_no_run_length_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="runs|run leaves"):
        decode_run_lengths(text, (5, 4))
    with pytest.raises(SceneError, match=r"^train.csv: label 1: "):
        run_length_labels("train.csv", [(text, 1)], (5, 4), overlap_counts=True)


@given(st.lists(arrays.arrays(bool, (4, 4)), min_size=2, max_size=3))
def test_where_masks_overlap_the_last_wins_or_none_does(masks: list[np.ndarray]) -> None:
    runs = [(encode_run_lengths(mask), label) for label, mask in enumerate(masks, start=1)]
    for overlap_counts in (True, False):
        layer = run_length_labels("x", runs, (4, 4), overlap_counts=overlap_counts)
        labels, valid = layer.read(Window(0, 4, 0, 4))
        for row in range(4):
            for col in range(4):
                here = [label for label, mask in enumerate(masks, start=1) if mask[row, col]]
                assert valid[row, col] == (overlap_counts or len(here) < 2)
                if valid[row, col]:
                    assert labels[row, col] == (here[-1] if here else 0)


def test_tables_are_read_by_their_headers(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    path.write_text("\ufeffid,rle_mask\na,1 2\nb,\n", encoding="utf-8")
    assert list(read_table(path, ("rle_mask", "id"))) == [("1 2", "a"), ("", "b")]
    with pytest.raises(SceneError, match=r"train.csv: it has no column 'z'. Its columns are: id, rle_mask"):
        list(read_table(path, ("z",)))
    with pytest.raises(SceneError, match="No such file"):
        list(read_table(tmp_path / "absent.csv", ("z",)))
    path.write_bytes("id\né".encode("latin-1"))
    with pytest.raises(SceneError, match="no csv file"):
        list(read_table(path, ("id",)))
    path.write_text("id,rle_mask\na," + "1 2 " * 50_000)
    assert len(next(iter(read_table(path, ("rle_mask",))))[0]) > 131072
