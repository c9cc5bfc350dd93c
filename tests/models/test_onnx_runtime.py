"""ONNX files as models: those that geoseg exported, and those of others with a card beside them or metadata inside."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from conftest import WriteScene, blobs
from torch import nn

from geoseg.errors import ModelError, UsageError
from geoseg.models.export_model import export_model
from geoseg.models.model import load_model
from geoseg.models.onnx_answers import probabilities
from geoseg.models.packages import open_package
from geoseg.run.predict import predict

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


@pytest.fixture(scope="module")
def exported(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("onnx") / "net.onnx"
    export_model(str(tiny_model), "onnx", out)
    return out


class PointNetwork(nn.Module):
    """Brightness decides: an answer that is known for every pixel."""

    def __init__(self, answer: str) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        bright = 8 * tiles.mean(1, keepdim=True)
        if self.answer == "sigmoid":
            return bright
        if self.answer == "positive":
            return torch.sigmoid(bright)
        both = torch.cat([torch.zeros_like(bright), bright], 1)
        return both if self.answer == "logits" else torch.softmax(both, 1)


def foreign(path: Path, answer: str, **metadata: Any) -> Path:
    """Write an ONNX file as another tool would: no card of geoseg inside."""
    network, tile = PointNetwork(answer).eval(), torch.zeros(1, 3, 64, 64)
    program = torch.onnx.export(network, (tile,), dynamo=True, verbose=False)
    assert program is not None
    program.save(path)
    model = onnx.load(path)
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=json.dumps(value))
    onnx.save(model, path)
    return path


DEEPNESS = {
    "model_type": "Segmentor",
    "class_names": {"0": "dark", "1": "bright"},
    "resolution": 50.0,
    "tiles_size": 64,
    "tiles_overlap": 25,
    "standardization_mean": [0.5, 0.5, 0.5],
    "standardization_std": [0.25, 0.25, 0.25],
}


def classes(layers: Any) -> np.ndarray[Any, Any]:
    with rasterio.open(layers.bundle.classes) as file:
        codes: np.ndarray[Any, Any] = file.read(1)
    return codes


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("shape", [(200, 260), (50, 61)])
def test_an_exported_model_maps_as_the_model_itself(
    runtime: Any, shape: tuple[int, int], exported: Path, tiny_model: Path, write_scene: WriteScene, tmp_path: Path
) -> None:
    if runtime == "openvino":
        pytest.importorskip("openvino")
    scene = write_scene(blobs(shape))
    own = load_model(tiny_model, device="cpu", runtime="torch", precision="fp32")
    other = load_model(exported, device="cpu", runtime=runtime, precision="fp32")
    assert other.card.legend == own.card.legend
    same = classes(predict(scene, own, tmp_path / "own")) == classes(predict(scene, other, tmp_path / "onnx"))
    # a scene smaller than a tile is mirrored to the one size that the file takes
    assert same.mean() > (0.999 if min(shape) >= own.card.tile_px else 0.95)
    layers = predict(scene, other, tmp_path / "onnx")
    assert not layers.fresh
    assert layers.record["runtime"]["name"] == runtime


def test_predicting_with_onnx_runtime_loads_no_torch(exported: Path, write_scene: WriteScene, tmp_path: Path) -> None:
    script = (
        "import sys\nfrom geoseg.models.model import load_model\nfrom geoseg.run.predict import predict\n"
        f"model = load_model({str(exported)!r}, device='cpu', runtime='onnxruntime')\n"
        f"predict({str(write_scene())!r}, model, {str(tmp_path)!r})\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.slow
def test_any_size_takes_other_tiles_and_one_size_does_not(tiny_model: Path, exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "any.onnx"
    export_model(str(tiny_model), "onnx", out, any_size=True)
    exact = load_model(tiny_model, device="cpu", runtime="torch", precision="fp32").runtime
    free = load_model(out, device="cpu", runtime="onnxruntime").runtime
    for rows, cols in ((64, 64), (96, 160)):
        tiles = np.random.default_rng(0).normal(size=(1, 3, rows, cols)).astype(np.float32)
        np.testing.assert_allclose(free.run(tiles)["probabilities"], exact.run(tiles)["probabilities"], atol=1e-4)
    fixed = load_model(exported, device="cpu", runtime="onnxruntime").runtime
    with pytest.raises(ModelError, match="cannot run on a tile of 160 px"):
        fixed.run(np.zeros((1, 3, 160, 160), np.float32))["probabilities"]


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("answer", ["logits", "probabilities", "sigmoid", "positive"])
def test_metadata_of_deepness_make_a_card_and_the_answer_is_recognised(
    answer: str, write_scene: WriteScene, tmp_path: Path
) -> None:
    model = load_model(foreign(tmp_path / "net.onnx", answer, **DEEPNESS), device="cpu", runtime="onnxruntime")
    assert model.card.legend.names == ("dark", "bright")
    assert (model.card.gsd_m.min, model.card.tile_px, model.card.halo_px) == (0.5, 64, 8)
    values = blobs((90, 110))
    layers = predict(write_scene(values), model, tmp_path / "out")
    bright = values.astype(float).mean(0) / 255
    sure = abs(bright - 0.5) > 1e-6
    np.testing.assert_array_equal(classes(layers)[sure], (bright > 0.5)[sure])
    with rasterio.open(layers.bundle.confidence) as file:
        percent = file.read(1)
    probability = 1 / (1 + np.exp(-8 * (bright - 0.5) / 0.25))
    np.testing.assert_allclose(percent, 100 * np.maximum(probability, 1 - probability), atol=0.51)


def test_exported_files_carry_the_metadata_that_deepness_reads(exported: Path, tiny_model: Path) -> None:
    told = {entry.key: entry.value for entry in onnx.load(exported).metadata_props}
    card = open_package(str(tiny_model)).card
    assert json.loads(told["model_type"]) == "Segmentor"
    assert json.loads(told["class_names"]) == {str(n): name for n, name in enumerate(card.legend.names)}
    assert 100 * card.gsd_m.min <= json.loads(told["resolution"]) <= 100 * card.gsd_m.max
    assert json.loads(told["tiles_size"]) == card.tile_px
    assert json.loads(told["standardization_mean"]) == [band.mean for band in card.bands]


def test_a_card_beside_a_file_must_fit_it(write_scene: WriteScene, tiny_model: Path, tmp_path: Path) -> None:
    path = foreign(tmp_path / "net.onnx", "logits")
    with pytest.raises(ModelError, match=r"nothing describes this network. Put a card next to it, net\.card\.json"):
        open_package(str(path))
    card = open_package(str(tiny_model)).card
    (tmp_path / "net.card.json").write_text(card.model_dump_json())
    with pytest.raises(ModelError, match="has 2 answers, its card 3"):
        load_model(path, device="cpu", runtime="onnxruntime")
    two = card.legend.model_copy(update={"classes": card.legend.classes[:2]})
    fitting = card.model_copy(update={"legend": two, "tile_px": 64, "halo_px": 8})
    (tmp_path / "net.card.json").write_text(fitting.model_dump_json())
    model = load_model(path, device="cpu", runtime="onnxruntime")
    before = model.digest()
    assert predict(write_scene(), model, tmp_path / "out").fresh
    foreign(path, "probabilities")
    assert load_model(path, device="cpu", runtime="onnxruntime").digest() != before


def test_the_card_of_the_manual_is_a_card(write_scene: WriteScene, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text()
    (text,) = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    path = foreign(tmp_path / "net.onnx", "logits")
    (tmp_path / "net.card.json").write_text(json.dumps(json.loads(text) | {"tile_px": 64, "halo_px": 8}))
    model = load_model(path, device="cpu", runtime="onnxruntime")
    assert predict(write_scene(blobs((70, 70))), model, tmp_path / "out").record["model"]["name"] == "my-net"


@pytest.mark.parametrize("content", [b"", b"\x08\x07random", b"PK\x03\x04", b"<html>"])
def test_what_is_no_onnx_network_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"net\.onnx: "):
        load_model(tmp_path / "net.onnx", device="cpu")
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(tmp_path / "absent.onnx")


def test_runtimes_that_do_not_fit_are_refused(exported: Path, tiny_model: Path) -> None:
    with pytest.raises(ModelError, match="torch does not run ONNX files"):
        load_model(exported, device="cpu", runtime="torch")
    with pytest.raises(ModelError, match="runs ONNX files only.*models export"):
        load_model(tiny_model, device="cpu", runtime="onnxruntime")
    with pytest.raises(UsageError, match="fp32"):
        load_model(exported, device="cpu", runtime="onnxruntime", precision="bf16")


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_probabilities_of_logits_are_torchs_softmax(temperature: float) -> None:
    logits = np.random.default_rng(1).normal(0, 9, (2, 4, 5, 6)).astype(np.float32)
    wanted = torch.softmax(torch.from_numpy(logits) / temperature, 1).numpy()
    np.testing.assert_allclose(probabilities(logits, "logits", temperature), wanted, atol=1e-6)
