"""``geoseg train``: from one file of settings to a model, a report and the command that uses it."""

from __future__ import annotations

import json
import re
import shlex
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel
from small_training import document, write_squares

from geoseg.cli.door import enter
from geoseg.cli.main import app
from geoseg.cli.train_progress import TrainingBar, TrainingLines, describe
from geoseg.core.legend import LegendClass
from geoseg.engine.progress import Progress
from geoseg.engine.recipe import Recipe

DOCUMENT = Path(__file__).parents[2] / "docs" / "training.md"


def geoseg(*arguments: str | Path) -> int:
    return enter(lambda: app(args=[str(a) for a in arguments], standalone_mode=False), debug=True)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe in a folder of its own, with its data, as the current folder."""
    write_squares(tmp_path)
    path = tmp_path / "squares.yaml"
    path.write_text(yaml.safe_dump(document(steps=12, validate_every=6)))
    monkeypatch.chdir(tmp_path)
    return path


def test_a_config_alone_trains_and_the_printed_command_uses_the_model(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert geoseg("train", config) == 0
    printed = capsys.readouterr()
    assert "IoU square" in printed.out
    assert "step 12/12" in printed.err
    assert "held out" in printed.err
    assert Path(re.findall("report: (.*)", printed.out)[0]).exists()
    command = shlex.split(re.findall("use it: geoseg (.*)", printed.out)[0])
    scene = ["image.tif" if part == "SCENE.tif" else part for part in command]
    assert geoseg(*scene, "--quiet", "--runtime", "torch", "--no-vector") == 0
    assert (config.parent / "maps" / "image" / "image_classes.tif").exists()
    assert geoseg("train", config) == 6
    assert "exists already" in capsys.readouterr().err


def test_as_json_and_quiet(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert geoseg("train", config, "--json", "--out", "elsewhere") == 0
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert Path(answer["model"]).exists()
    assert answer["card"]["recipe"]["steps"] == 12
    assert answer["use"].startswith("geoseg predict ")
    assert printed.err == ""


def test_a_wrong_key_is_named_with_its_place(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(config.read_text() + "\noptimiser: {name: lion}\nspeed: 11\n")
    assert geoseg("train", config) == 2
    said = capsys.readouterr().err
    assert "optimiser.name" in said
    assert "speed" in said


def _standing(**values: Any) -> Progress:
    return Progress(**{"step": 5, "steps": 20, "loss": 0.5, "learning_rate": 0.1, "elapsed_s": 30.0} | values)


def test_a_line_says_what_is_known() -> None:
    assert describe(_standing(), 0.5) == "step 5/20, loss 0.5000"
    told = describe(_standing(iou=0.25, held_out_iou=0.5, images_per_s=12.34, share=0.25), 0.5)
    assert told == "step 5/20, loss 0.5000, IoU 0.250, held out 0.500, 12.3 img/s, 1 min 30 s left"
    assert describe(_standing(elapsed_s=7200.0, share=0.5), 1).endswith("2 h 00 min left")


def test_lines_are_few_and_news_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingLines("name\n") as lines:
        for step in range(1, 21):
            lines(_standing(step=step, share=step / 20, held_out_iou=0.5 if step >= 10 else None))
    said = capsys.readouterr().err.splitlines()
    assert [re.findall(r"step (\d+)", line)[0] for line in said] == ["1", "10", "20"]
    assert said[0].startswith("name\\n: ")


def test_the_bar_takes_every_step(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingBar("name") as bar:
        bar(_standing(share=0.25))
        bar(_standing(share=1.0))
    assert capsys.readouterr().out == ""


def _keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield name
        parts = [field.annotation, *typing.get_args(field.annotation)]
        for part in parts:
            if isinstance(part, type) and issubclass(part, BaseModel) and part not in (LegendClass,):
                yield from _keys(part)


def test_every_key_of_a_recipe_is_documented() -> None:
    text = DOCUMENT.read_text()
    missing = [key for key in _keys(Recipe) if f"`{key}`" not in text]
    assert missing == []
