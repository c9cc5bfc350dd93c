"""Learning rates go as the library's own schedulers, and as the papers say."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from geoseg.errors import ModelError
from geoseg.nn import build
from geoseg.training.optimiser import OptimiserSettings, encoder_of, make_optimiser
from geoseg.training.schedule import Schedule, learning_rate

STEPS = 40


def _rates(scheduler: Any, optimiser: torch.optim.Optimizer) -> list[float]:
    rates = []
    for _ in range(STEPS):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        scheduler.step()
    return rates


def _sgd(rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)


@pytest.mark.parametrize("power", [0.9, 2.0])
def test_poly_is_torch_s_polynomial(power: float) -> None:
    schedule = Schedule(steps=STEPS, kind="poly", power=power, learning_rate=0.3, warm_up=0)
    optimiser = _sgd(0.3)
    expected = _rates(torch.optim.lr_scheduler.PolynomialLR(optimiser, STEPS, power), optimiser)
    assert [learning_rate(step / STEPS, schedule) for step in range(STEPS)] == pytest.approx(expected)


def test_one_cycle_is_torch_s() -> None:
    schedule = Schedule(steps=STEPS, kind="one_cycle", learning_rate=0.3, warm_up=0.25)
    optimiser = _sgd(0.3)
    # theirs counts the peak as a step: with pct_start * total_steps - 1 = 10 and total_steps - 1 = 40 both agree
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 0.3, total_steps=STEPS + 1, pct_start=11 / 41, cycle_momentum=False
    )
    expected = _rates(cycle, optimiser)
    assert [learning_rate(step / STEPS, schedule) for step in range(STEPS)] == pytest.approx(expected)


@given(
    kind=st.sampled_from(["cosine", "poly", "one_cycle", "constant"]),
    warm_up=st.floats(0, 0.9),
    progress=st.floats(0, 1.5),
)
def test_every_schedule_stays_between_nothing_and_its_peak(kind: Any, warm_up: float, progress: float) -> None:
    schedule = Schedule(steps=1, kind=kind, warm_up=warm_up, learning_rate=0.1)
    assert 0 <= learning_rate(progress, schedule) <= 0.1 + 1e-12


@pytest.mark.parametrize("kind", ["cosine", "one_cycle", "constant"])
def test_the_peak_is_where_the_warm_up_ends(kind: Any) -> None:
    schedule = Schedule(steps=1, kind=kind, warm_up=0.25, learning_rate=0.1)
    assert learning_rate(0.25, schedule) == pytest.approx(0.1)
    assert learning_rate(0.1, schedule) < learning_rate(0.2, schedule) < 0.1


def test_patience_without_looks_is_refused() -> None:
    with pytest.raises(ValueError, match="validate_every"):
        Schedule(steps=1, patience=3)
    with pytest.raises(ValueError, match="validate_every"):
        Schedule(steps=1, keep="best")


def test_norms_and_biases_are_decayed_only_on_demand() -> None:
    network = build("unet", 3, 2, widths=[4, 8])
    schedule = Schedule(steps=1, weight_decay=0.1)
    for settings, decays in ((OptimiserSettings(), {0.1, 0.0}), (OptimiserSettings(decay_vectors=True), {0.1})):
        groups = make_optimiser(network, settings, schedule).param_groups
        assert {group["weight_decay"] for group in groups} == decays
        assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
    matrices, vectors = make_optimiser(network, OptimiserSettings(), schedule).param_groups
    assert all(p.ndim > 1 for p in matrices["params"])
    assert all(p.ndim <= 1 for p in vectors["params"])


@pytest.mark.parametrize("name", ["timm_unet", "deeplabv3_r50"])
def test_an_encoder_may_learn_more_slowly(name: str) -> None:
    network = build(name, 3, 2)
    settings = OptimiserSettings(name="sgd", encoder_rate=0.1, nesterov=True)
    groups = make_optimiser(network, settings, Schedule(steps=1)).param_groups
    encoder = encoder_of(network)
    assert encoder is not None
    slow = {id(p) for group in groups if group["scale"] == 0.1 for p in group["params"]}
    assert slow == {id(p) for p in encoder.parameters()}
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
    assert all(group["nesterov"] for group in groups)


def test_a_network_without_an_encoder_has_no_rate_for_it() -> None:
    with pytest.raises(ModelError, match="no encoder"):
        make_optimiser(build("unet", 3, 2, widths=[4, 8]), OptimiserSettings(encoder_rate=0.5), Schedule(steps=1))
