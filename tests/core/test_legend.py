"""A legend knows which class is the absence of all others, however it was written."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from geoseg.core.legend import Legend, LegendClass
from geoseg.core.legend_presets import PRESETS


def legend(*names: str, **more: Any) -> Legend:
    return Legend(classes=[LegendClass(code=i, name=n, colour="#123456") for i, n in enumerate(names)], **more)


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (("background", "building"), 0),
        (("Background", "a", "b"), 0),
        (("tree", "other"), 1),
        (("no building", "building"), 0),
        (("non-forest", "forest"), 0),
        (("not water", "water"), 0),
        (("land", "water"), 0),
        (("land", "building", "road"), None),
        (("soil", "water"), None),
        (("noise", "nothing to see", "northern bog"), None),
        (("other", "background", "road"), 0),
        (("impervious surface", "building", "clutter"), None),
    ],
)
def test_the_background_follows_from_the_names(names: tuple[str, ...], code: int | None) -> None:
    assert legend(*names).background == code


def test_what_is_written_counts_more_than_names() -> None:
    assert legend("background", "building", background=None).background is None
    assert legend("soil", "building", background=0).background == 0
    with pytest.raises(ValidationError, match="7 is no class"):
        legend("soil", "building", background=7)


@pytest.mark.parametrize("value", [None, 0, 1])
def test_the_background_outlives_writing_and_reading(value: int | None) -> None:
    before = legend("background", "building", background=value)
    assert Legend.model_validate_json(before.model_dump_json()) == before
    assert Legend.model_validate_json(before.model_dump_json()).background == value


def test_published_legends() -> None:
    assert {name: preset.background for name, preset in PRESETS.items()} == {
        "voc": 0,
        "cityscapes": None,
        "isprs": None,
        "loveda": 0,
    }
