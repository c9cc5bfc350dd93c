"""What stands where an output would go is kept: files, links wherever they lead, folders, files in a folder's place."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_nonsense_options import COMMANDS, command_line, geoseg, inputs, parameters

from geoseg.process.signals import handle_signals

__all__ = ["inputs"]

FOLDERS = {
    "predict": "out", "train": "out", "demo": "out", "init archive": "out", "models pull": "out",
    "models push": "place",
}  # fmt: skip
"""Commands with an output folder, and the parameter that names it."""

FILE_PARAMETERS = {"init train": "recipe", "init archive": "config", "init example": "target"}
"""Commands whose output file is not ``out``."""

OUTPUTS = {("init train", "recipe"), ("init archive", "config")}
"""Outputs whose parameters bear names that others read by."""

FILES = {
    "evaluate": "x.json", "evaluate seams": "x.json", "evaluate objects": "x.json", "evaluate estimate": "x.json",
    "evaluate clicks": "x.json", "evaluate panoptic": "x.json",
    "evaluate sample": "x.gpkg", "vectorise": "x.fgb", "models calibrate": "x.safetensors",
    "models quantise": "x.safetensors",
    "models import": "x.safetensors", "models export": "x.pt",
    "init train": "x.yaml", "init archive": "x.yaml", "init example": "x.yaml",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def state(path: Path) -> tuple[int, ...]:
    facts = os.lstat(path)
    return facts.st_ino, facts.st_mode, facts.st_size, facts.st_mtime_ns


def run(name: str, out: Path, inputs: dict[str, str], parameter: str | None = None) -> int:
    words = inputs | {"out": str(out.with_suffix(""))}
    chosen = {key: text.format(**words) for key, text in COMMANDS[name].items()} | {
        parameter or FILE_PARAMETERS.get(name, "out"): str(out)
    }
    return geoseg(*command_line(name, chosen))


def test_every_command_that_writes_is_tried() -> None:
    reading = {"check", "view", *(f"edit {step}" for step in ("apply", "list", "undo", "redo", "save"))}
    writing = {
        (name, parameter.name)
        for name, parameter in parameters()
        if (parameter.name in {"out", "target", "place"} and name not in reading) or (name, parameter.name) in OUTPUTS
    }
    assert writing == {*FOLDERS.items(), *((name, FILE_PARAMETERS.get(name, "out")) for name in FILES)}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["file", "link to a file", "link to nothing", "link to itself"])
def test_what_stands_under_an_output_s_name_is_not_replaced_unasked(
    kind: str, name: str, inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, other = tmp_path / FILES[name], tmp_path / "other"
    if kind == "file":
        out.write_text("mine")
    else:
        out.symlink_to(out if kind == "link to itself" else other)
    if kind == "link to a file":
        other.write_text("mine")
    before = state(out)
    assert run(name, out, inputs) == 6
    assert f"{out} exists already." in capsys.readouterr().err
    assert state(out) == before
    assert other.exists() == (kind == "link to a file")


@pytest.mark.parametrize("name", FILES)
def test_a_folder_is_no_file_to_write(
    name: str, inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / FILES[name]
    out.mkdir()
    assert run(name, out, inputs) == 2
    assert f"{out}: this is a folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("below", ["", "a/b"])
@pytest.mark.parametrize("kind", ["file", "link to nothing"])
def test_a_file_is_no_folder_to_write_in_and_that_is_said_before_any_work(
    kind: str,
    below: str,
    name: str,
    inputs: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def work(*_: object, **__: object) -> None:
        raise AssertionError("this is work")

    for place in ("cli.demo_town.draw_town", "models.model._load_one", "training.train.read_source"):
        monkeypatch.setattr(f"geoseg.{place}", work)
    file = tmp_path / "file"
    if kind == "file":
        file.write_text("mine")
    else:
        file.symlink_to(tmp_path / "nothing")
    before = state(file)
    assert run(name, file / below, inputs, FOLDERS[name]) == 2
    assert f"{file / below}: this is, or lies in, a file" in capsys.readouterr().err
    assert state(file) == before
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_where_a_style_would_go_is_not_replaced_unasked(inputs: dict[str, str], tmp_path: Path) -> None:
    style = tmp_path / "x.qml"
    style.symlink_to(tmp_path / "nothing")
    assert geoseg("vectorise", inputs["codes"], "--out", tmp_path / "x.fgb") == 6
    assert list(tmp_path.iterdir()) == [style]
    assert geoseg("vectorise", inputs["codes"], "--out", tmp_path / "x.fgb", "--overwrite") == 0
    assert not style.is_symlink()
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("kind", ["file", "link to a file", "link to nothing", "folder"])
@pytest.mark.parametrize("ending", [".safetensors", ".json"])
def test_what_stands_where_a_model_is_pushed_or_pulled_to_is_not_replaced_unasked(
    ending: str, kind: str, inputs: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert geoseg("models", "push", inputs["model"], tmp_path / "shelf") == 0
    reference = capsys.readouterr().out.split()[-1]
    name = Path(reference.partition("#")[0]).name
    for command in ("push", "pull") if ending == ".safetensors" else ("push",):
        place = tmp_path / command
        place.mkdir()
        taken, other = (place / name).with_suffix(ending), tmp_path / f"{command}-other"
        if kind == "folder":
            taken.mkdir()
        elif kind == "file":
            taken.write_text("mine")
        else:
            taken.symlink_to(other)
        if kind == "link to a file":
            other.write_text("mine")
        before = state(taken)
        given = [inputs["model"], place] if command == "push" else [reference, "--out", place]
        assert geoseg("models", command, *given) == (2 if kind == "folder" else 6)
        assert str(taken) in capsys.readouterr().err
        assert state(taken) == before
        assert list(place.iterdir()) == [taken]
        assert other.exists() == (kind == "link to a file")


@pytest.mark.slow_after(4)
@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("evaluate", "x.json"), ("evaluate objects", "x.json"), ("evaluate sample", "x.gpkg"), ("vectorise", "x.fgb"),
        ("vectorise", "x.qml"), ("models export", "x.pt"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interruption_says_whether_the_same_command_would_be_refused(
    when: str,
    name: str,
    at: str,
    inputs: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The signal arrives just before or just after an output takes its name; a command keeps all of them or none."""
    out, replace = tmp_path / FILES[name], os.replace

    def interrupted(source: Any, target: Any, **options: Any) -> None:
        if Path(target) != tmp_path / at:
            return replace(source, target, **options)
        if when == "before":
            signal.raise_signal(signal.SIGTERM)
        replace(source, target, **options)
        signal.raise_signal(signal.SIGTERM)
        return None

    monkeypatch.setattr(os, "replace", interrupted)
    assert run(name, out, inputs) == 143
    said = capsys.readouterr().err
    monkeypatch.undo()
    finished = when == "after" and (name, at) != ("vectorise", "x.fgb")  # whose style is not yet written
    assert out.exists() == finished
    assert out.exists() == (f"finished and kept: {out}." in said)
    assert out.exists() != ("run the same command again" in said)
    assert out.exists() or list(tmp_path.iterdir()) == []
    handle_signals()
    assert run(name, out, inputs) == (6 if finished else 0)
