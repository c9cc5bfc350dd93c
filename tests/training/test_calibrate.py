"""A model's temperature: found where it is known, written beside untouched weights, obeyed by every runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import tiny_card
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from torch import nn

from geoseg.data.labelled import UNLABELLED, LabelledImage
from geoseg.errors import UsageError
from geoseg.io.weights.model_file import read_model, write_model
from geoseg.models.model import load_model
from geoseg.training.calibrate import AFTER, BEFORE, calibrate, calibrate_file


class Linear(nn.Module):
    """Logits are ``gain`` times the bands, whatever lies around a pixel."""

    def __init__(self, gain: float) -> None:
        super().__init__()
        self.gain = gain

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        return self.gain * tiles


def labelled(seed: int, shape: tuple[int, int], gain: float, truth: float) -> LabelledImage:
    """Labels drawn as if the logits had to be divided by ``truth``; a corner has none."""
    random = np.random.default_rng(seed)
    values = random.integers(0, 256, size=(3, *shape)).astype(np.uint8)
    probs = softmax(gain * (values / 255 - 0.5) / 0.25 / truth, axis=0)
    class_indices = (probs.cumsum(0) < random.random(shape)).sum(0).clip(0, 2).astype(np.uint8)
    class_indices[:20, :30] = UNLABELLED
    return LabelledImage(
        name=f"drawn {seed}", values=values, valid=np.ones(shape, bool), class_indices=class_indices, gsd_m=0.5
    )


@pytest.mark.parametrize("truth", [0.5, 1.0, 2.5])
def test_the_temperature_of_the_labels_is_found_over_several_images(truth: float) -> None:
    images = [labelled(1, (210, 170), 3.0, truth), labelled(2, (60, 300), 3.0, truth)]
    found = calibrate(Linear(3.0), images, tiny_card())
    assert found.temperature == pytest.approx(truth, rel=0.06)
    assert found.pixels == 210 * 170 + 60 * 300 - 2 * 600
    assert found.error_after < 0.01
    assert found.surprise_after <= found.surprise_before
    if truth != 1:
        assert found.error_before > 5 * found.error_after


def test_it_is_the_optimum_that_a_search_finds_and_a_sample_is_near_it() -> None:
    image = labelled(3, (210, 170), 3.0, 1.7)
    known = image.class_indices != UNLABELLED
    logits = 3.0 * (image.values.astype(np.float64)[:, known] / 255 - 0.5) / 0.25
    labels = image.class_indices[known]

    def surprise(log: float) -> float:
        return float(-np.log(softmax(logits / np.exp(log), axis=0)[labels, np.arange(len(labels))]).mean())

    search = minimize_scalar(surprise, bounds=(-3, 3), method="bounded", options={"xatol": 1e-8})
    found = calibrate(Linear(3.0), [image], tiny_card())
    assert found.temperature == pytest.approx(np.exp(search.x), rel=1e-4)
    assert found.surprise_after == pytest.approx(search.fun, rel=1e-6)
    some = calibrate(Linear(3.0), [image], tiny_card(), pixels=5000)
    assert some.pixels == 5000
    assert some.temperature == pytest.approx(found.temperature, rel=0.1)
    assert some == calibrate(Linear(3.0), [image], tiny_card(), pixels=5000), "the same draw every time"


def test_the_error_is_of_pixels_that_the_temperature_was_not_fitted_on() -> None:
    alike = [labelled(1, (150, 200), 3.0, 2.0), labelled(2, (150, 200), 3.0, 2.0)]
    unlike = [labelled(1, (150, 200), 3.0, 0.7), labelled(2, (150, 200), 3.0, 3.0)]
    assert calibrate(Linear(3.0), alike, tiny_card()).error_after < 0.01
    assert calibrate(Linear(3.0), unlike, tiny_card()).error_after > 0.05, "neither town tells the other's temperature"


def test_without_a_label_there_is_nothing_to_fit() -> None:
    image = labelled(1, (20, 30), 1.0, 1.0)
    for images in ([], [image]):
        with pytest.raises(UsageError, match="tiny: nothing to calibrate on"):
            calibrate(Linear(1.0), images, tiny_card())


def test_the_file_is_written_anew_with_the_same_weights(tiny_model: Path, tmp_path: Path) -> None:
    images = [labelled(4, (130, 100), 3.0, 2.0)]
    out = tmp_path / "mine.safetensors"
    card = calibrate_file(tiny_model, images, out)
    before, stored = read_model(tiny_model)[1], read_model(out)[1]
    assert stored == card
    assert card.temperature != 1
    assert card.weights_sha256 == before.weights_sha256
    assert card.model_copy(update={"temperature": 1.0, "scores": ()}) == before
    assert [score.metric for score in card.scores] == [BEFORE, AFTER]
    assert {score.on for score in card.scores} == {"drawn 4"}
    again = calibrate_file(out, images, out)
    assert again == card, "fitted on the logits, whatever temperature the card had"
    assert load_model(out, device="cpu").digest() != load_model(tiny_model, device="cpu").digest()


@pytest.mark.parametrize("runtime", ["torch", "openvino"])
@pytest.mark.parametrize("temperature", [0.4, 3.0])
def test_every_runtime_divides_the_logits_and_keeps_the_choice(
    runtime: Any, temperature: float, tiny_model: Path, tmp_path: Path
) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino")
    weights, card = read_model(tiny_model)
    write_model(tmp_path / "t.safetensors", weights, card.model_copy(update={"temperature": temperature}))
    tiles = np.random.default_rng(0).normal(size=(2, 3, 48, 48)).astype(np.float32)
    plain, tempered = (
        load_model(path, device="cpu", runtime=runtime, precision="fp32").runtime.run(tiles)["probabilities"]
        for path in (tiny_model, tmp_path / "t.safetensors")
    )
    np.testing.assert_allclose(tempered, softmax(np.log(plain) / temperature, axis=1), atol=1e-5)
    clear = np.diff(np.sort(plain, axis=1)[:, -2:], axis=1)[:, 0] > 1e-5
    np.testing.assert_array_equal(tempered.argmax(1)[clear], plain.argmax(1)[clear])
    assert clear.mean() > 0.9
    assert (tempered.max(1).mean() < plain.max(1).mean()) == (temperature > 1)


def test_the_command_fits_writes_and_refuses(
    tiny_model: Path, write_scene: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from geoseg.cli.main import app
    from geoseg.process.command import run_command

    def command(*arguments: Any) -> int:
        return run_command(
            lambda: app(args=["models", "calibrate", *map(str, arguments)], standalone_mode=False), debug=False
        )

    image = write_scene()
    codes = np.random.default_rng(0).choice(np.array([0, 1, 5], np.uint8), (1, 200, 260))
    write_scene(codes, name="labels.tif")
    source = {"kind": "files", "name": "noise", "licence": "CC0-1.0", "image": "scene.tif", "labels": "labels.tif"}
    recipe = {
        "name": "tiny",
        "licence": "CC0-1.0",
        "architecture": {"name": "unet"},
        "bands": [{"name": name} for name in ("red", "green", "blue")],
        "gsd_m": {"min": 0.4, "max": 0.6},
        "legend": tiny_card().legend.model_dump(mode="json"),
        "sources": [source | {"train": [0, 100], "validate_on": [120, 200]}],
        "schedule": {"steps": 1},
    }
    file, out = tmp_path / "recipe.yaml", tmp_path / "mine.safetensors"
    file.write_text(json.dumps(recipe))  # JSON is YAML
    asked = ["--recipe", file, "--data", image.parent]
    assert command(tiny_model, *asked, "--out", out) == 0
    said = capsys.readouterr().out
    card = read_model(out)[1]
    assert f"temperature {card.temperature:g}, fitted on noise rows 120-199" in said
    assert card.temperature > 1, "labels of pure chance deserve no confidence"
    assert {score.on for score in card.scores} == {"noise rows 120-199"}
    assert command(out, *asked, "--json") == 0
    assert json.loads(capsys.readouterr().out)["temperature"] == card.temperature
    beside = out.with_name("mine_calibrated.safetensors")
    assert read_model(beside)[1].temperature == card.temperature
    beside.unlink()
    before = out.read_bytes()
    assert command(out, *asked, "--out", out) == 2
    assert "would replace what is read" in capsys.readouterr().err
    assert command(tiny_model, *asked, "--out", out) == 6
    assert "mine.safetensors exists already" in capsys.readouterr().err
    assert command("buildings-unet", *asked) == 2
    assert "a bundled model stays as it is" in capsys.readouterr().err
    recipe["legend"]["classes"][2]["name"] = "lake"
    file.write_text(json.dumps(recipe))
    assert command(out, *asked) == 2
    assert "recipe.yaml: its classes are" in capsys.readouterr().err
    assert out.read_bytes() == before
