"""After a power cut at any moment no final name has short content, and what was said to be done is there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from injection import Fault, FaultServer, build, why_not
from power_cut import DISKS, Call, Disk, read_log, write_disk
from small_runs import NAMES, SmallRun
from sweeps import difference

EXCHANGES = """
import ctypes, os, pathlib, sys
root = pathlib.Path(sys.argv[1])
def exchange(one, other):
    names = os.fsencode(root / one), os.fsencode(root / other)
    if ctypes.CDLL(None, use_errno=True).renameat2(-100, names[0], -100, names[1], 2):
        sys.exit(3)
exchange("old", "new")
exchange("file", "inner/file")
"""
"""Program that exchanges two folders, and two files of different folders."""
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


def test_what_is_exchanged_is_under_both_names_or_not_yet(tmp_path: Path) -> None:
    if why_not():
        pytest.skip(why_not())
    root, before = tmp_path / "root", tmp_path / "before"
    for name in ("old/a", "new/b", "file", "inner/file"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    shutil.copytree(root, before)
    (tmp_path / "control").write_bytes(bytes(4096))
    names = {"FAULT_CONTROL": tmp_path / "control", "FAULT_FOLDER": root, "FAULT_LOG": tmp_path / "log"}
    env = os.environ | {name: str(path) for name, path in names.items()} | {"LD_PRELOAD": str(build(tmp_path))}
    if subprocess.run([sys.executable, "-c", EXCHANGES, root], env=env, check=False).returncode == 3:
        pytest.skip("the file system exchanges nothing")
    calls = read_log(tmp_path / "log")
    assert [call.kind for call in calls] == ["rename", "rename"]
    disk = Disk(before, root)
    was = disk.after_cut(DISKS[0])
    for call in calls:
        disk.apply(call)
    there = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert there["old/b"] == b"new/b", "it was exchanged"
    assert disk.finish() == there
    kept = {name: content for name, content in disk.after_cut(DISKS[0]).items() if content is not None}
    assert kept == there
    assert disk.after_cut(DISKS[1]) == was, "what was not synced"
    outer = disk.after_cut(DISKS[2])
    assert (outer["file"], outer["inner/file"]) == (b"inner/file", b"inner/file"), "the inner folder was not synced"
    assert {b"file", b"inner/file"} == disk.had["file"] == disk.had["inner/file"]


@pytest.mark.slow_after(2)
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
