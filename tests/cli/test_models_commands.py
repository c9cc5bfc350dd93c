"""``geoseg models import`` and ``export``: one command each, answers that fit, refusals of one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from geoseg.cli.main import app
from geoseg.models import bundled
from geoseg.process.command import run_command

NETWORK = "torchvision_lraspp_mobilenet_v3_large"


def geoseg(*arguments: str | Path) -> int:
    return run_command(lambda: app(args=[str(a) for a in arguments], standalone_mode=False), debug=False)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = pytest.importorskip("torchvision").models.segmentation
    network = models.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=7)
    path = tmp_path_factory.mktemp("published") / "loveda.pth"
    torch.save({"model": network.state_dict()}, path)
    return path


def test_a_checkpoint_is_imported_and_shown(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert geoseg("models", "import", checkpoint, "--as", NETWORK, "--legend", "loveda", "--gsd-m", "0.2,0.4") == 0
    assert capsys.readouterr().out.startswith(f"loveda.safetensors: {NETWORK} from torchvision, 3 bands, 7 classes")
    assert geoseg("models", "show", "./loveda.safetensors", "--json") == 0
    card = json.loads(capsys.readouterr().out)
    assert card["legend"]["classes"][6]["name"] == "agriculture"
    assert card["gsd_m"] == {"min": 0.2, "max": 0.4}
    assert geoseg("models", "import", checkpoint, "--as", NETWORK) == 6
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--as", "pspnet_r50"), 4, "is of torchvision, and not a pspnet_r50"),
        (("--as", "pspnett"), 4, "nearest: smp_pspnet"),
        (("--as", NETWORK, "--sha256", "0" * 64), 4, "hash mismatch"),
        (("--as", NETWORK, "--option", "auxiliary"), 2, "KEY=VALUE is expected"),
        (("--as", NETWORK, "--mean", "a,b"), 2, "numbers by commas"),
        (("--as", NETWORK, "--gsd-m", "3"), 2, "MIN,MAX"),
        (("--as", NETWORK, "--legend", "voc"), 2, "the legend has 21 classes, the network 7"),
    ],
)
def test_refusals_say_what_and_where(
    arguments: tuple[str, ...],
    code: int,
    words: str,
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert geoseg("models", "import", checkpoint, "--out", tmp_path / "m.safetensors", *arguments) == code
    error = capsys.readouterr().err
    assert words in error.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []


def test_a_model_is_exported(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "net.pt"
    assert geoseg("models", "export", tiny_model, out, "--to", "torchscript", "--tile-px", "64") == 0
    assert "differ by at most" in capsys.readouterr().out
    assert out.exists()
    assert geoseg("models", "export", tiny_model, out, "--to", "torchscript") == 6
    assert geoseg("models", "export", tiny_model, tmp_path / "a.b", "--to", "onnx") == 2


def test_the_doctor_tries_runtimes_that_run_the_bundled_models_and_all_is_well(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime runs exported files only; whether it is installed says nothing about the models."""
    one = {"solar-unet": bundled.BUNDLED["solar-unet"]}
    monkeypatch.setattr(bundled, "BUNDLED", one)
    assert geoseg("doctor", "--json") == 0
    tried = json.loads(capsys.readouterr().out)["models"]
    assert [entry["model"] for entry in tried] == ["solar-unet"] * len(tried)
    assert tried[0]["runtime"].startswith("torch")
    assert not any("onnxruntime" in entry["runtime"] for entry in tried)


def test_a_card_is_shown(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert geoseg("models", "show", tiny_model) == 0
    assert "roof" in capsys.readouterr().out
    assert geoseg("models") == 0


def test_networks_are_listed_beside_the_models_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert geoseg("models") == 0
    listed = capsys.readouterr().out
    assert "buildings-unet" in listed
    assert all(name in listed for name in ("hrnet_ocr_w48", "70,375,146", "Yuan, Chen, Wang 2020, ECCV"))
    assert geoseg("models", "list") == 0
    shipped = Path(bundled.__file__).parent / "shipped"
    listed = capsys.readouterr().out.split()
    assert sorted(listed) == sorted(path.stem for path in shipped.glob("*.safetensors"))
    assert listed[0] == "buildings-unet", "the first is what a dialog offers"
    assert geoseg("models", "show", "hrnet_ocr_w48") == 0
    shown = capsys.readouterr().out
    assert "https://arxiv.org/abs/1909.11065" in shown
    assert "align_corners = True" in shown
    assert geoseg("models", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert len(facts["networks"]) > 60
    assert geoseg("models", "show", "hrnet_ocr_w48", "--json") == 0
    assert json.loads(capsys.readouterr().out)["options"]["width"] == "w48"
