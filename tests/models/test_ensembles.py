"""Several models as one: who they are, in which order they speak, and who may not speak together."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import LEGEND

from geoseg.core.card import CardBand, GsdRange, TrainingSource
from geoseg.core.legend import Legend, LegendClass
from geoseg.errors import ModelError, UsageError
from geoseg.models.model import Model, ModelSource, load, load_model


def together(*paths: Path | str, weights: tuple[float, ...] = ()) -> Model:
    first, *others = map(str, paths)
    return load(
        ModelSource(
            name_or_path=first, others=tuple(others), weights=weights, device="cpu", runtime="torch", precision="fp32"
        )
    )


def test_an_ensemble_of_one_is_the_model(write_tiny: Any) -> None:
    path = write_tiny(1)
    alone, one = load_model(path, device="cpu", runtime="torch", precision="fp32"), together(path, weights=(3,))
    assert one.card == alone.card
    assert one.digest() == alone.digest()
    assert one.members == (one,)
    assert one.shares == (1.0,)


def test_the_order_of_naming_does_not_matter_and_weights_belong_to_their_models(write_tiny: Any) -> None:
    a, b, c = (write_tiny(seed) for seed in (1, 2, 3))
    one, other = together(a, b, c, weights=(1, 2, 5)), together(c, a, b, weights=(5, 1, 2))
    assert one.digest() == other.digest()
    assert one.card == other.card
    assert [m.card.name for m in one.members] == [m.card.name for m in other.members]
    assert {m.card.name: s for m, s in zip(one.members, one.shares, strict=True)} == {
        "tiny-1": 0.125,
        "tiny-2": 0.25,
        "tiny-3": 0.625,
    }
    assert one.digest() != together(a, b, c).digest(), "weights are part of what it is"
    assert together(a, b).digest() == together(a, b, weights=(4, 4)).digest(), "only their relation is"
    assert together(a, b).digest() != together(a, c).digest()


def test_its_card_tells_of_all_members(write_tiny: Any) -> None:
    learnt = TrainingSource(name="town", licence="CC0-1.0")
    a = write_tiny(1, licence="MIT", trained_on=(learnt,), gsd_m=GsdRange(min=0.1, max=0.2), temperature=2.0)
    bands = tuple(CardBand(name=name) for name in ("nir", "red"))
    b = write_tiny(2, licence="CC-BY-4.0", trained_on=(learnt,), bands=bands)
    model = together(a, b)
    assert model.card.licence == "CC-BY-4.0 AND MIT"
    assert model.card.trained_on == (learnt,)
    assert set(model.card.band_names) == {"red", "green", "blue", "nir"}
    assert (model.card.gsd_m.min, model.card.gsd_m.max) == (0.1, 0.6)
    assert model.card.temperature == 1, "each network has been given its own"
    assert {m.card.temperature for m in model.members} == {1.0, 2.0}
    assert type(model.card).model_validate_json(model.card.model_dump_json()) == model.card
    with pytest.raises(UsageError, match="has several networks; it answers for blocks"):
        model.runtime.run(np.zeros((1, 3, 32, 32), np.float32))["probabilities"]


def test_it_travels_as_its_source(write_tiny: Any) -> None:
    model = together(write_tiny(1), write_tiny(2), weights=(1, 3))
    again = pickle.loads(pickle.dumps(model))  # noqa: S301 - made on the line itself
    assert again.digest() == model.digest()
    assert again.shares == model.shares


def renamed(code: int = 5, name: str = "water", nodata: int = 255) -> Legend:
    last = LegendClass(code=code, name=name, colour="#000000")
    return Legend(classes=[*LEGEND.classes[:2], last], nodata=nodata)


@pytest.mark.parametrize(
    ("legend", "difference"),
    [
        (renamed(name="lake"), "5 lake"),
        (renamed(code=6), "6 water"),
        (renamed(nodata=254), "nodata 254"),
        (Legend(classes=LEGEND.classes[:2]), "1 roof; nodata"),
        (Legend(classes=LEGEND.classes[::-1]), "5 water, 1 roof, 0 ground"),
    ],
    ids=["name", "code", "nodata", "fewer", "order"],
)
def test_other_legends_are_refused_and_the_difference_named(write_tiny: Any, legend: Legend, difference: str) -> None:
    with pytest.raises(ModelError, match=rf"tiny-1 and tiny-2 cannot be averaged.*0 ground.*{difference}.*one legend"):
        together(write_tiny(1), write_tiny(2, legend=legend))


def test_colours_may_differ(write_tiny: Any) -> None:
    together(write_tiny(1), write_tiny(2, legend=renamed()))


@pytest.mark.parametrize("weights", [(1.0,), (1.0, 0.0), (1.0, -2.0), (1.0, float("nan")), (1.0, float("inf"))])
def test_weights_that_cannot_be_are_refused(write_tiny: Any, weights: tuple[float, ...]) -> None:
    with pytest.raises(UsageError, match="--weights"):
        together(write_tiny(1), write_tiny(2), weights=weights)


def test_an_ensemble_file_is_the_same_as_naming_its_members(write_tiny: Any, tmp_path: Path) -> None:
    a, b, c = (write_tiny(seed) for seed in (1, 2, 3))
    listed = [{"model": a.name, "weight": 3}, {"model": str(b)}]
    file = a.parent / "pair.json"
    file.write_text(json.dumps({"members": listed}))
    named = together(a, b, weights=(3, 1))
    assert load_model(file, device="cpu", runtime="torch", precision="fp32").digest() == named.digest()
    nested, flat = together(file, c, weights=(1, 1)), together(a, b, c, weights=(3, 1, 4))
    assert nested.digest() == flat.digest(), "its members share its weight"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "not an ensemble file"),
        ("{", "not an ensemble file"),
        ('{"members": []}', "members"),
        ('{"members": [{"model": "a", "weight": 0}]}', r"members\.0\.weight"),
        ('{"members": [{"model": "a", "share": 1}]}', r"members\.0\.share"),
        ('{"members": [{"model": "other.json"}]}', "another ensemble file, other.json"),
        ('{"members": [{"model": "gone.safetensors"}]}', "gone.safetensors: cannot be read"),
        (" " * 200_000, "at most 100000"),
    ],
)
def test_what_is_no_ensemble_file_is_refused_by_name(content: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "pair.json"
    file.write_text(content)
    with pytest.raises(ModelError, match=why) as refused:
        load_model(file, device="cpu")
    assert str(tmp_path) in str(refused.value)
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(tmp_path / "none.json", device="cpu")
