"""The simulator keeps the laws of any run on any fleet, and agrees with queueing theory where that has a formula."""

from __future__ import annotations

import sys
from math import factorial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
from simulate import Costs, Fleet, simulate

TIMES = st.floats(0.01, 10)
NUMBERS = st.integers(1, 12)


def work_of(scenes: int, blocks: int, costs: Costs) -> float:
    return scenes * (costs.open_s + blocks * costs.block_s + costs.layers_s)


@given(NUMBERS, NUMBERS, TIMES, TIMES, TIMES)
def test_one_worker_takes_the_sum_of_the_work(scenes: int, blocks: int, first: float, each: float, last: float) -> None:
    costs = Costs(open_s=first, block_s=each, layers_s=last)
    outcome = simulate(scenes, blocks, Fleet(workers=1), costs)
    assert outcome.seconds == pytest.approx(work_of(scenes, blocks, costs))
    assert outcome.tasks == scenes * (blocks + 2)


@given(st.integers(1, 40), NUMBERS, TIMES, TIMES, TIMES, st.integers(1, 30))
def test_workers_are_at_most_as_much_faster_as_they_are_many_and_never_idle_beside_work(
    scenes: int, blocks: int, first: float, each: float, last: float, workers: int
) -> None:
    costs = Costs(open_s=first, block_s=each, layers_s=last)
    outcome = simulate(scenes, blocks, Fleet(workers=workers, window=2 * blocks + 2), costs)
    work, chain = work_of(scenes, blocks, costs), first + each + last
    assert work / workers <= outcome.seconds * (1 + 1e-9)
    # Graham's bound for any schedule that leaves no worker idle while a task waits
    assert outcome.seconds <= work / workers + chain * (1 + 1e-9)
    assert outcome.worked_s == pytest.approx(work)


@given(st.integers(1, 30), NUMBERS, TIMES, st.integers(1, 10), st.integers(0, 1000))
@settings(max_examples=50)
def test_failures_only_add_work_and_lose_no_scene(
    scenes: int, blocks: int, each: float, workers: int, seed: int
) -> None:
    costs = Costs(block_s=each, open_s=each / 2, layers_s=each)
    fleet = Fleet(workers=workers, mean_life_s=20 * each, restart_s=each, notice_s=each / 10)
    outcome = simulate(scenes, blocks, fleet, costs, seed)
    work = work_of(scenes, blocks, costs)
    assert outcome.tasks == scenes * (blocks + 2)
    assert outcome.worked_s - outcome.lost_s == pytest.approx(work)
    assert outcome.seconds >= work / workers * (1 - 1e-9)
    assert outcome.lost_s <= outcome.failures * 2 * each * (1 + 1e-9)


@given(st.integers(1, 30), NUMBERS, st.integers(1, 8), st.integers(1, 4), st.integers(1, 6))
def test_the_window_holds_however_many_scenes_there_are(
    scenes: int, blocks: int, workers: int, window: int, in_flight: int
) -> None:
    fleet = Fleet(workers=workers, window=window, scenes_in_flight=in_flight)
    outcome = simulate(scenes, blocks, fleet, Costs(open_s=0.5))
    assert outcome.most_tasks <= min(window * workers, in_flight * blocks)


@pytest.mark.parametrize("station", ["client_task_s", "scheduler_task_s"])
def test_what_serves_one_after_another_sets_the_pace_of_a_large_fleet(station: str) -> None:
    """The bottleneck law: throughput is that of the slowest station."""
    costs = Costs(block_s=1.0, **{station: 0.01})
    outcome = simulate(500, 8, Fleet(workers=1000, window=4), costs)
    assert outcome.seconds == pytest.approx(500 * 10 * 0.01, rel=0.05)
    halved = Costs(block_s=1.0, **{station: 0.005})
    assert simulate(500, 8, Fleet(workers=1000, window=4), halved).seconds < 0.6 * outcome.seconds


def test_the_store_sets_the_pace_when_it_is_the_slowest() -> None:
    costs = Costs(block_s=1.0, block_requests=4, scene_requests=10, store_requests_per_s=100)
    outcome = simulate(200, 5, Fleet(workers=500), costs)
    assert outcome.seconds == pytest.approx(200 * (5 * 4 + 2 * 10) / 100, rel=0.05)


@pytest.mark.parametrize(("workers", "service"), [(1, 0.5), (4, 0.2), (10, 0.1), (10, 0.4)])
def test_the_scheduler_of_a_closed_fleet_is_the_machine_repairman(workers: int, service: float) -> None:
    """M/M/1//N: each worker computes for an exponential time of mean 1, then waits for one server of mean ``service``.

    The share of time that the server is busy is 1 - p0, p0 = 1 / sum over k of N! / (N - k)! * service**k.
    """
    costs = Costs(open_s=1.0, block_s=1.0, layers_s=1.0, scheduler_task_s=service, spread=1)
    # one task handed out for each worker: it is at the scheduler or on its worker; scenes enough that none waits
    outcome = simulate(4000, 6, Fleet(workers=workers, window=1), costs, seed=3)
    terms = [factorial(workers) / factorial(workers - k) * service**k for k in range(workers + 1)]
    assert outcome.scheduler_s / outcome.seconds == pytest.approx(1 - 1 / sum(terms), rel=0.03)
    assert outcome.tasks / outcome.seconds == pytest.approx((1 - 1 / sum(terms)) / service, rel=0.03)
