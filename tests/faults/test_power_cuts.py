"""After a power cut at any moment no final name has short content, and what was said to be done is there."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from injection import Fault, FaultServer
from power_cut import DISKS, Call, Disk, read_log, write_disk
from small_runs import NAMES, SmallRun
from sweeps import difference

RERUNS = {"predict": 2, "vectorise": 2, "archive": 2, "train": 2}
"""States from which the quick test runs the command again."""


def recorded(server: FaultServer, run: SmallRun, scratch: Path, *, replacing: bool) -> tuple[list[Call], Path]:
    """Record a run; return its calls and the folder as it was before."""
    before = scratch / "before"
    shutil.rmtree(before, ignore_errors=True)
    run.clear()
    if replacing:
        assert server.run(run.argv).code == 0
    if run.out.exists():
        shutil.copytree(run.out, before)
    argv = run.argv + (run.otherwise if replacing else [])
    ended = server.disturbed(argv, run.out, Fault(), scratch / "log")
    assert ended.code == 0, ended.said
    return read_log(scratch / "log"), before


def check_run(server: FaultServer, run: SmallRun, scratch: Path, *, replacing: bool, reruns: int) -> dict[str, int]:
    """Cut the power after each call; run the command again from some of the states.

    Returns:
        Numbers of calls, of states that were looked at, and of reruns.
    """
    calls, before = recorded(server, run, scratch, replacing=replacing)
    whole = run.answer()
    disk = Disk(before, run.out)
    for call in calls:
        disk.apply(call)
    left = disk.finish()
    assert left == run.files(), "the model of the disk differs from the disk"
    had, states = disk.had, _states(calls, before, run)
    wrong = [
        f"{number} {kind}: {name}: {len(content)} bytes of {[len(one) for one in had[name]]}"
        for number, kind, found in states
        for name, content in found.items()
        if content is not None and name in left and content not in had[name]
    ]
    assert wrong == []
    last = states[-1]
    assert last[1] == DISKS[1]
    assert {name: content for name, content in last[2].items() if content is not None and name in left} == left
    distinct = list({digest(found): (number, kind, found) for number, kind, found in states}.values())
    argv = run.argv + (run.otherwise if replacing else [])
    chosen = distinct[len(distinct) // (2 * reruns) :: max(1, len(distinct) // reruns)]
    for number, kind, found in chosen:
        shutil.rmtree(run.out, ignore_errors=True)
        write_disk(found, run.out)
        again = server.run(argv)
        where = f"after call {number} of {len(calls)}, {kind}: {sorted(found)}"
        assert again.code in {0, run.again}, f"{where}: {again.said}"
        assert run.answer() == whole, f"{where}: {difference(run.answer(), whole)}"
    return {"calls": len(calls), "states": len(states), "distinct": len(distinct), "reruns": len(chosen)}


def _states(calls: list[Call], before: Path, run: SmallRun) -> list[tuple[int, str, dict[str, bytes | None]]]:
    disk, states = Disk(before, run.out), []
    for number, call in enumerate(calls):
        disk.apply(call)
        if call.kind != "write" or number + 1 == len(calls):
            states += [(number, kind, disk.after_cut(kind)) for kind in (DISKS[0], DISKS[2], DISKS[1])]
    return states


def digest(found: dict[str, bytes | None]) -> str:
    parts = {name: None if content is None else hashlib.sha256(content).hexdigest() for name, content in found.items()}
    return json.dumps(parts, sort_keys=True)


@pytest.mark.parametrize("name", NAMES)
def test_no_final_name_has_short_content_after_a_power_cut(
    name: str, fault_server: FaultServer, fault_runs: dict[str, SmallRun], tmp_path: Path
) -> None:
    counts = check_run(fault_server, fault_runs[name], tmp_path, replacing=False, reruns=RERUNS[name])
    assert counts["states"] > 60


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_run_goes_on_from_any_state_after_a_power_cut(
    name: str, fault_server: FaultServer, fault_runs: dict[str, SmallRun], tmp_path: Path
) -> None:
    run = fault_runs[name]
    for replacing in [False, True] if run.otherwise else [False]:
        counts = check_run(fault_server, run, tmp_path, replacing=replacing, reruns=60)
        print(name, replacing, counts)  # noqa: T201 - figures for the page
