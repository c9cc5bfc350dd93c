"""Column names are words that SQL can hold, each once."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from geoseg.core.columns import distinct_names, plain_name


@given(st.text())
def test_any_text_becomes_one_plain_word(text: str) -> None:
    name = plain_name(text)
    assert re.fullmatch(r"\w{0,40}", name)
    assert name == name.strip("_")
    assert plain_name(name) == name


@given(st.lists(st.lists(st.sampled_from(["", "a", "b", "a_2", "b_2"]), max_size=3), max_size=12))
def test_no_name_comes_twice(choices: list[list[str]]) -> None:
    names = distinct_names([[*some, "b9"] for some in choices])
    assert len(set(names)) == len(names) == len(choices)
    assert all(names)
    for name, some in zip(names, choices, strict=True):
        assert name.startswith((*filter(None, some), "b9"))
