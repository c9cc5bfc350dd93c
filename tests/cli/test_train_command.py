"""``geoseg train``: from one file of settings to a model, a report and the command that uses it."""

from __future__ import annotations

import json
import re
import shlex
import signal
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas
import pytest
import shapely
import yaml
from pydantic import BaseModel
from small_training import document, write_squares

from geoseg.cli.main import app
from geoseg.cli.output.train_progress import TrainingBar, TrainingLines, describe
from geoseg.core.legend import LegendClass
from geoseg.io.weights.model_file import read_model, write_model
from geoseg.models.bundled import resolve
from geoseg.process.command import run_command
from geoseg.process.signals import handle_signals
from geoseg.training.progress import TrainingProgress
from geoseg.training.recipe import Recipe

DOCUMENT = Path(__file__).parents[2] / "docs" / "training.md"


def geoseg(*arguments: str | Path) -> int:
    return run_command(lambda: app(args=[str(a) for a in arguments], standalone_mode=False), debug=True)


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


def test_a_training_that_is_done_is_not_done_again_and_another_one_replaces_nothing(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Path("runs/squares/squares.safetensors")
    assert geoseg("train", config) == 0
    scores = re.findall("IoU .*", capsys.readouterr().out)
    content = model.read_bytes()

    def refused(*options: str) -> str:
        assert geoseg("train", config, *options) == 6
        assert model.read_bytes() == content
        return capsys.readouterr().err

    assert geoseg("train", config) == 0
    printed = capsys.readouterr()
    assert "squares: done already" in printed.out
    assert re.findall("IoU .*", printed.out) == scores
    assert "step" not in printed.err
    assert geoseg("train", config, "--json") == 0
    assert json.loads(capsys.readouterr().out)["done_before"] is True
    assert "exists already" in refused("--restart")
    assert "of another recipe or start" in refused("--start-from", str(model))
    for change in ({"seed": 4}, {"title": "Squares"}, {"schedule": document(steps=13)["schedule"]}):
        config.write_text(yaml.safe_dump(document(steps=12, validate_every=6) | change))
        assert "of another recipe or start" in refused()
    config.write_text(yaml.safe_dump(document(steps=12, validate_every=6)))
    content = content[:-1] + bytes([content[-1] ^ 1])
    model.write_bytes(content)
    assert "is damaged" in refused()


def test_a_training_interrupted_when_its_model_stands_says_that_it_is_kept_and_is_done(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path, *rest: Any) -> Any:
        card = write_model(path, *rest)
        if path.suffix == ".safetensors":
            signal.raise_signal(signal.SIGTERM)
        return card

    monkeypatch.setattr("geoseg.training.train.write_model", interrupted)
    assert geoseg("train", config) == 143
    assert "run the same command again" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.chdir(config.parent)
    handle_signals()
    assert geoseg("train", config) == 0
    assert "done already" in capsys.readouterr().out


def test_a_training_that_learns_one_class_says_so_first_and_last(
    config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    recipe = document(steps=30, ema=0.0) | {"loss": {"dice": 0.0, "class_weights": {"square": 1e-9}}}
    config.write_text(yaml.safe_dump(recipe))
    assert geoseg("train", config, "--out", "one") == 0
    lines = [line for line in capfd.readouterr().err.splitlines() if "step" not in line]
    assert "warning: the network predicts 'ground' for every pixel" in lines[0]
    assert "warning: the network predicts 'ground' for every pixel" in lines[-1]
    model = "one/squares.safetensors"
    assert geoseg("models", "show", model) == 0
    assert "predicts 'ground' for every pixel" in capfd.readouterr().out
    assert geoseg("predict", "image.tif", "--model", model, "--out", "maps", "--runtime", "torch", "--no-vector") == 0
    told = capfd.readouterr().err
    assert "the model's card warns: the network predicts 'ground'" in told
    assert "every pixel is 'ground'" in told


def test_minutes_alone_bound_a_training(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    schedule = {"minutes": 0.002, "learning_rate": 0.02}
    config.write_text(yaml.safe_dump(document() | {"schedule": schedule, "version": 1}))
    assert geoseg("train", config, "--json") == 0
    card = json.loads(capsys.readouterr().out)["card"]
    assert card["version"] == "1"
    assert 1 <= card["recipe"]["steps"] < 1000


def test_the_complete_recipe_of_the_manual_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The recipe as it stands on the page, shortened to one step, with an image and polygons of its names."""
    write_squares(tmp_path)
    (tmp_path / "image.tif").rename(tmp_path / "ortho.tif")
    boxes = [shapely.box(500_000 + x, 4_999_991 + y, 500_001 + x, 4_999_992 + y) for x in range(8) for y in (0, 3, 6)]
    geopandas.GeoDataFrame(geometry=boxes, crs="EPSG:32633").to_crs("EPSG:4326").to_file(tmp_path / "buildings.gpkg")
    block = re.findall(r"```yaml\n(# geoseg train my_buildings.*?)```", DOCUMENT.read_text(), re.DOTALL)[0]
    small = {"split": {"by": "rows", "validate_share": 0.25}, "guard_px": 4}
    recipe = yaml.safe_load(block)
    recipe["sources"][0] |= small
    recipe |= {"schedule": recipe["schedule"] | {"steps": 1, "validate_every": 1}, "chips": {"size_px": 32, "batch": 2}}
    (tmp_path / "my_buildings.yaml").write_text(yaml.safe_dump(recipe))
    monkeypatch.chdir(tmp_path)
    command = re.findall(r"# geoseg (train .*)", block)[0]
    assert geoseg(*shlex.split(command), "--json") == 0
    card = json.loads(capsys.readouterr().out)["card"]
    assert card["recipe"]["started_from"]["model"] == "buildings-unet"


def test_a_schedule_without_an_end_is_refused_by_one_sentence(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(yaml.safe_dump(document() | {"schedule": {"learning_rate": 0.02}}))
    assert geoseg("train", config) == 2
    assert (
        capsys.readouterr()
        .err.splitlines()[-1]
        .endswith("squares.yaml: schedule: give steps, minutes, or both (line 34)")
    )


def test_a_bundled_model_is_a_start(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert geoseg("train", config, "--start-from", "buildings-unet") == 4
    said = capsys.readouterr().err
    assert "timm_unet" in said  # what the model is, and what the recipe asks for
    assert "unet with" in said
    _, bundled = read_model(*resolve("buildings-unet"))
    recipe = document(steps=1, learning_rate=1e-9) | {
        "architecture": bundled.architecture.model_dump(mode="json"),
        "tile_px": 96,
    }
    config.write_text(yaml.safe_dump(recipe))
    assert geoseg("train", config, "--start-from", "buildings-unet", "--json") == 0
    card = json.loads(capsys.readouterr().out)["card"]
    assert card["recipe"]["started_from"]["model"] == "buildings-unet"
    assert {source["name"] for source in card["trained_on"]} >= {"squares", "banepa", "kampala"}


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


def _standing(**values: Any) -> TrainingProgress:
    return TrainingProgress(**{"step": 5, "steps": 20, "loss": 0.5, "learning_rate": 0.1, "elapsed_s": 30.0} | values)


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
