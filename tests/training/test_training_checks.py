"""Warnings about networks that learnt nothing, against scikit-learn's kappa and matrices written out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import cohen_kappa_score
from small_training import recipe, write_squares

from geoseg.core.legend import Legend, LegendClass
from geoseg.io.weights.model_file import read_model
from geoseg.training.train import train
from geoseg.training.training_checks import LEAST_KAPPA, training_warnings

LEGEND = Legend(
    classes=tuple(
        LegendClass(code=code, name=name, colour=f"#00000{code}") for code, name in enumerate(("land", "road", "roof"))
    )
)


def warnings(rows: list[list[int]]) -> tuple[str, ...]:
    return training_warnings(np.array(rows), LEGEND, on="the data")


def test_a_good_network_is_not_warned_of() -> None:
    assert warnings([[90, 5, 5], [5, 40, 5], [5, 5, 40]]) == ()


def test_nothing_counted_says_nothing() -> None:
    assert warnings([[0] * 3] * 3) == ()


def test_one_predicted_class_is_named() -> None:
    (warning,) = warnings([[900, 0, 0], [50, 0, 0], [50, 0, 0]])
    assert "predicts 'land' for every pixel of the data" in warning


def test_labels_of_one_class_are_told_even_when_all_is_right() -> None:
    (warning,) = warnings([[0, 0, 0], [0, 100, 0], [0, 0, 0]])
    assert "all labels of the data are 'road'" in warning


def test_a_class_that_is_never_predicted_is_named() -> None:
    (warning,) = warnings([[90, 10, 0], [10, 90, 0], [5, 5, 0]])
    assert "never predicts 'roof'" in warning


@given(arrays(np.int64, (3, 3), elements=st.integers(0, 30)))
def test_chance_is_judged_by_cohens_kappa(counts: np.ndarray) -> None:
    if np.count_nonzero(counts.sum(1)) < 2 or np.count_nonzero(counts.sum(0)) < 2:
        return
    truth, answer = np.indices((3, 3)).reshape(2, 9)
    times = counts.ravel()
    kappa = cohen_kappa_score(truth.repeat(times), answer.repeat(times), labels=[0, 1, 2])
    told = any("better than chance" in warning for warning in training_warnings(counts, LEGEND, on="the data"))
    if abs(kappa - LEAST_KAPPA) > 1e-9:
        assert told == (kappa < LEAST_KAPPA)


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("validate_on", [[64, 96], None])
def test_a_training_that_ends_in_one_class_warns_in_the_card(tmp_path: Path, validate_on: list[int] | None) -> None:
    source = recipe().sources[0].model_dump(mode="json") | {"validate_on": validate_on}
    # class weights that make only one answer worth giving
    loss = {"dice": 0.0, "class_weights": {"ground": 1.0, "square": 1e-9}}
    wanted = recipe(schedule={"steps": 30, "ema": 0.0}, sources=[source], loss=loss)
    path, card = train(wanted, write_squares(tmp_path), tmp_path / "out")
    data = "training" if validate_on is None else "validation"
    assert card.warnings == (f"the network predicts 'ground' for every pixel of the {data} data",)
    assert read_model(path)[1].warnings == card.warnings
    page = (tmp_path / "out" / "squares_report" / "report.html").read_text()
    assert page.index("predicts &#x27;ground&#x27; for every pixel") < page.index("<h2>Scores</h2>")


def test_a_training_that_learns_has_no_warning(tmp_path: Path) -> None:
    _, card = train(recipe(), write_squares(tmp_path), tmp_path / "out")
    assert card.warnings == ()
