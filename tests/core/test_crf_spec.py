"""A CRF's parameters: by name, by number, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from geoseg.core.crf_spec import PRESETS, CrfSpec, parse_crf
from geoseg.core.spec import PredictSpec


def test_the_presets_are_the_published_numbers() -> None:
    published = {"deeplabv1": (5, 50, 3, 3, 3), "deeplabv2": (4, 67, 3, 3, 1)}
    for name, numbers in published.items():
        preset = PRESETS[name]
        assert (preset.weight, preset.xy_px, preset.rgb, preset.smooth_weight, preset.smooth_xy_px) == numbers
        assert preset.iterations == 10
    assert PRESETS.keys() == published.keys()


@given(
    st.tuples(
        st.floats(0, 100), st.floats(1, 300), st.floats(0.5, 300), st.floats(0, 9), st.floats(1, 9), st.integers(1, 20)
    )
)
def test_what_is_spelled_out_is_what_is_read(numbers: tuple[float, ...]) -> None:
    spec = parse_crf(",".join(repr(number) for number in numbers))
    assert spec is not None
    assert (spec.weight, spec.xy_px, spec.rgb, spec.smooth_weight, spec.smooth_xy_px, spec.iterations) == numbers
    assert parse_crf(",".join(repr(number) for number in numbers[:3])) == spec.model_copy(
        update={"smooth_weight": 3.0, "smooth_xy_px": 3.0, "iterations": 10}
    )


@pytest.mark.parametrize(
    "text", ["", "deeplab", "4", "4,67", "4,67,3,1", "4,67,3,1,1,10,2", "4,x,3", "4,nan,3", "-1,67,3", "4,0,3"]
)
def test_what_is_no_crf_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        PredictSpec.model_validate({"crf": text})


def test_a_crf_is_part_of_what_names_the_answer() -> None:
    plain, sharp = PredictSpec(), PredictSpec.model_validate({"crf": "deeplabv2"})
    assert sharp.crf == PRESETS["deeplabv2"]
    assert PredictSpec.model_validate({"crf": "none"}) == plain
    assert sharp.pixel_options() != plain.pixel_options()
    assert PredictSpec.model_validate(sharp.model_dump(mode="json")) == sharp


def test_a_kernel_without_weight_needs_no_context() -> None:
    assert CrfSpec(weight=0, xy_px=100, rgb=3, smooth_weight=1, smooth_xy_px=2).reach_px < 20
    assert CrfSpec(weight=0, xy_px=100, rgb=3, smooth_weight=0).reach_px == 0


def test_the_normalisation_can_be_told_after_a_preset_or_numbers() -> None:
    assert parse_crf("deeplabv2,symmetric") == PRESETS["deeplabv2"].model_copy(update={"normalise": "symmetric"})
    assert parse_crf("deeplabv1,pixel") == PRESETS["deeplabv1"]
    told = parse_crf("4,67,3,3,1,5,symmetric")
    assert told is not None
    assert (told.iterations, told.normalise) == (5, "symmetric")
    with pytest.raises(ValueError, match="is not one of none, deeplabv1"):
        parse_crf("symmetric")
