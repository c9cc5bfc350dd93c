"""Decoded blocks are kept within the bytes allowed, the longest unused given up first."""

from __future__ import annotations

import pickle

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geoseg.data.block_cache import BlockCache, size_bytes
from geoseg.data.labelled_scene import Sample


def _sample(side: int) -> Sample:
    return Sample(
        values=np.zeros((3, side, side), np.uint8),
        valid=np.ones((side, side), bool),
        class_indices=np.zeros((side, side), np.uint8),
    )


@given(
    st.lists(st.integers(0, 7), max_size=60),
    st.lists(st.integers(1, 9), min_size=8, max_size=8),
    st.integers(0, 600),
)
def test_it_never_holds_more_than_it_may_and_always_answers_right(
    asked: list[int], sides: list[int], most_bytes: int
) -> None:
    cache = BlockCache(most_bytes)
    for key in asked:
        assert cache.sample(key, lambda key=key: _sample(sides[key])).class_indices.shape == (sides[key], sides[key])
        kept = sum(size_bytes(sample) for sample in cache._kept.values())
        assert cache.held_bytes == kept <= most_bytes


def test_the_longest_unused_goes_first() -> None:
    decoded: list[str] = []

    def ask(key: str) -> None:
        cache.sample(key, lambda: (decoded.append(key), _sample(4))[1])

    cache = BlockCache(2 * size_bytes(_sample(4)))
    for key in "abacab":
        ask(key)
    assert decoded == list("abcb")


def test_it_travels_empty() -> None:
    cache = BlockCache(1000)
    cache.sample(1, lambda: _sample(2))
    copy = pickle.loads(pickle.dumps(cache))  # noqa: S301 - our own
    assert (copy.most_bytes, copy.held_bytes) == (1000, 0)
