"""Any call that changes a file may fail, whoever makes it: old or new, never mixed, and a rerun that succeeds.

The calls are those of the process: Python's, and those inside SQLite, GDAL and the C library.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from injection import Fault, FaultServer
from small_runs import NAMES, SmallRun
from sweeps import CASES, Sweep, every_call, full_disks, short_writes

STEP = {"predict": 93, "vectorise": 49, "archive": 211, "train": 37}
"""Every so many calls fail in the quick test: about four of each run."""
Kind = Callable[[int, int], Iterable[Fault]]


def each_call(calls: int, step: int) -> Iterable[Fault]:
    return every_call(calls, step, step // 2)


@pytest.mark.slow  # tests/cli/test_failing_writes.py fails Python's own calls in every pass
@pytest.mark.parametrize("name", NAMES)
def test_a_call_that_fails_leaves_old_or_new_and_a_rerun_that_succeeds(
    name: str, fault_server: FaultServer, fault_runs: dict[str, SmallRun], tmp_path: Path
) -> None:
    sweep = Sweep(fault_server, fault_runs[name], tmp_path, replacing=bool(fault_runs[name].otherwise))
    step = STEP[name]
    kinds = itertools.chain(
        each_call(sweep.calls, step), full_disks(sweep.calls, step * 4), short_writes(sweep.calls, step * 4)
    )
    assert sweep.faults(kinds) == []
    assert sweep.calls > 50
    assert sweep.injected >= 3


@pytest.mark.slow
@pytest.mark.parametrize(("name", "replacing"), CASES)
@pytest.mark.parametrize(("kind", "step"), [(every_call, 1), (full_disks, 5), (short_writes, 5)])
def test_any_call_that_fails_leaves_old_or_new_and_a_rerun_that_succeeds(
    kind: Kind,
    step: int,
    name: str,
    replacing: bool,
    fault_server: FaultServer,
    fault_runs: dict[str, SmallRun],
    tmp_path: Path,
) -> None:
    sweep = Sweep(fault_server, fault_runs[name], tmp_path, replacing=replacing)
    assert sweep.faults(kind(sweep.calls, step)) == []
    assert sweep.injected > sweep.calls // step // 3
