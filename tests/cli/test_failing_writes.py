"""Whole commands on a disk on which the Nth call fails: code 5, old files or new ones, and a rerun that succeeds."""

from __future__ import annotations

import errno
import hashlib
import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import blobs
from failing_disk import FailingDisk
from small_training import document, write_squares
from test_nonsense_options import geoseg, inputs

from geoseg.process.signals import handle_signals

__all__ = ["inputs"]

STEP = 20
"""Every so many calls fail in the quick test."""

OFTEN = {"--runtime": "torch", "--device": "cpu", "--block-px": "64", "--tile-px": "64", "--halo-px": "8"}
COMMANDS = {
    "predict": ["predict", "{scene}", "--model", "{model}", "--out", "{out}", "--quiet", *sum(OFTEN.items(), ())],
    "vectorise": ["vectorise", "{codes}", "--out", "{out}/x.gpkg"],
    "vectorise with a style": ["vectorise", "{codes}", "--out", "{out}/x.fgb"],
    "archive": ["archive", "run", "{archive}", "--quiet"],
    "train": ["train", "{recipe}", "--data", "{data}", "--out", "{out}", "--quiet", "--threads", "1"],
    "evaluate": ["evaluate", "--prediction", "{codes}", "--reference", "{codes}", "--out", "{out}/x.json"],
    "models export": ["models", "export", "{model}", "{out}/x.xml", "--to", "openvino"],
}
OWN_FOLDER = {"vectorise", "vectorise with a style", "evaluate", "models export"}
"""Commands that write a file into a folder that must exist."""

TIMED = {".json", ".html", ".md", ".png", ".csv", ".checkpoint", ".safetensors", ".qgz", ".xml"}
"""Endings of files that hold times or the numbers of objects in memory; all of an archive's catalogue does."""


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def command(
    request: pytest.FixtureRequest, inputs: dict[str, str], tmp_path: Path, write_scene: Any, make_archive: Any
) -> list[str]:
    words = inputs | {"out": str(tmp_path / "out")}
    if request.param == "predict":
        words["scene"] = str(write_scene(blobs((100, 70))))
    if request.param == "archive":
        words["archive"] = str(tmp_path / "archive.yaml")
        Path(words["archive"]).write_text(yaml.safe_dump(make_archive(1, (70, 60)).model_dump(mode="json")))
    if request.param == "train":
        words |= {"data": str(tmp_path / "squares"), "recipe": str(tmp_path / "recipe.yaml")}
        (tmp_path / "squares").mkdir()
        write_squares(Path(words["data"]))
        Path(words["recipe"]).write_text(json.dumps(document(steps=2, save_every=1)))
    return [request.param, *(word.format(**words) for word in COMMANDS[request.param])]


HISTORY = ".geoseg/history.jsonl"
"""Totals of an archive after each run that changed them, with the time: another answer after each failure."""


def history(out: Path) -> list[dict[str, Any]]:
    """Read the lines of an archive's history; all of them must be whole."""
    file = out / HISTORY
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    assert not text or text.endswith("\n"), "the last line is torn"
    lines = [json.loads(line) for line in text.splitlines()]
    assert all(line.keys() == {"when", "done", "failed", "areas_m2"} for line in lines)
    return lines


def totals(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The last totals without their time."""
    return {key: value for key, value in lines[-1].items() if key != "when"} if lines else {}


def answer(out: Path) -> dict[str, str]:
    """Digests of the files that hold no times, and the names of the others."""
    found = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        timed = path.suffix in TIMED or name.startswith(("scenes.", "_catalogue", HISTORY))
        if path.is_file():
            found[name] = "" if timed else hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def without_locks(found: dict[str, str], whole: dict[str, str], failing: FailingDisk) -> dict[str, str]:
    """Leave out locks that could not be removed, which nobody holds any more."""
    if not str(failing.failed).startswith("unlink"):
        return found
    return {file: digest for file, digest in found.items() if file in whole or not file.endswith(".lock")}


def fresh(name: str, out: Path, old: Path | None) -> None:
    shutil.rmtree(out, ignore_errors=True)
    if old is not None:
        shutil.copytree(old, out)
    elif name in OWN_FOLDER:
        out.mkdir()


def run(arguments: list[str]) -> int:
    handle_signals()
    return geoseg(*arguments)


def fail_each(name: str, arguments: list[str], out: Path, numbers: slice, capfd: pytest.CaptureFixture[str]) -> None:
    """Let one call after the other fail, with no file there before."""
    fresh(name, out, None)
    disk = FailingDisk(out)
    with disk.mounted():
        assert run(arguments) == 0, capfd.readouterr().err
    whole, last, faults = answer(out), totals(history(out)), []
    for nth in range(len(disk.calls))[numbers]:
        fresh(name, out, None)
        failing = FailingDisk(out, nth, (errno.EIO, errno.ENOSPC)[nth % 2])
        with failing.mounted():
            code = run(arguments)
        said = capfd.readouterr().err
        left, lines = answer(out), history(out)
        again = run(arguments)
        said_again = capfd.readouterr().err
        wrong = []
        if code not in ({0, 5, 7} if name == "archive" else {0, 5}):
            wrong.append(f"code {code}: {said}")
        if "Traceback" in said:
            wrong.append(said)
        # what has its final name is whole; an archive and a run keep finished parts, which the next one goes on with
        torn = [file for file, digest in left.items() if file in whole and digest != whole[file]]
        if torn:
            wrong.append(f"torn: {torn}")
        if code == 0 and set(whole) - set(left):
            wrong.append(f"0 without {set(whole) - set(left)}")
        if again not in ({0, 6} if code == 0 else {0}):
            wrong.append(f"rerun {again}: {said_again} (first {code}: {said})")
        if (after := without_locks(answer(out), whole, failing)) != whole:
            wrong.append(f"rerun left {set(after) ^ set(whole) or [f for f in whole if whole[f] != after[f]]}")
        if history(out)[: len(lines)] != lines or totals(history(out)) != last:
            wrong.append(f"history {lines}, then {history(out)}")
        if wrong:
            faults.append(f"{nth} {failing.failed}: " + "; ".join(wrong))
    assert not faults, "\n".join([f"{len(disk.calls)} calls", *faults])


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "archive"], indirect=True)
def test_a_call_that_fails_leaves_whole_files_and_a_rerun_that_succeeds(
    command: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fail_each(command[0], command[1:], tmp_path / "out", slice(7, None, STEP), capfd)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, indirect=True)
def test_any_call_that_fails_leaves_whole_files_and_a_rerun_that_succeeds(
    command: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fail_each(command[0], command[1:], tmp_path / "out", slice(None), capfd)
