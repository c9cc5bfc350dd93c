"""A run that is killed or terminated at any call goes on to the same bytes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from injection import KILL, TERMINATE, Fault, FaultServer
from small_runs import NAMES, SmallRun
from sweeps import Sweep

KILLS = 25


def moments(name: str, calls: int, count: int) -> list[Fault]:
    """Random calls, the same each time: three of four are killed there, the others terminated."""
    rng = random.Random(name)  # noqa: S311 - no secret
    return [Fault(nth=nth, mode=KILL if i % 4 else TERMINATE) for i, nth in enumerate(rng.sample(range(calls), count))]


@pytest.mark.slow  # tests/run/test_resume.py and tests/cli/test_killed_commands.py kill runs in every pass
@pytest.mark.parametrize("name", NAMES)
def test_a_run_killed_at_a_call_goes_on_to_the_same_bytes(
    name: str, fault_server: FaultServer, fault_runs: dict[str, SmallRun], tmp_path: Path
) -> None:
    sweep = Sweep(fault_server, fault_runs[name], tmp_path)
    assert sweep.faults(moments(name, sweep.calls, 2)) == []
    assert sweep.injected == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_run_killed_at_random_calls_goes_on_to_the_same_bytes(
    name: str, fault_server: FaultServer, fault_runs: dict[str, SmallRun], tmp_path: Path
) -> None:
    sweep = Sweep(fault_server, fault_runs[name], tmp_path, replacing=bool(fault_runs[name].otherwise))
    assert sweep.faults(moments(name, sweep.calls, KILLS)) == []
    assert sweep.injected == KILLS
