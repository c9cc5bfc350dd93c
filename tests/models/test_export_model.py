"""An exported network answers as the model, and carries the model's card."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from geoseg.errors import OutputError, UsageError
from geoseg.models.export_model import CARD_KEY, SUFFIXES, export_model
from geoseg.models.network import load_network

LIBRARIES = {"onnx": "onnxscript", "openvino": "openvino", "torchscript": "torch"}


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("to", SUFFIXES)
def test_the_file_answers_as_the_model_and_holds_its_card(to: str, tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip(LIBRARIES[to])
    out = tmp_path / f"net{SUFFIXES[to]}"
    assert export_model(str(tiny_model), to, out, tile_px=64) < 1e-3  # type: ignore[arg-type]
    network, card = load_network(tiny_model)
    x = torch.randn(1, len(card.bands), 64, 64)
    with torch.inference_mode():
        expected = network(x).numpy()
    if to == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
        answer = session.run(["logits"], {"tiles": x.numpy()})[0]
        told = session.get_modelmeta().custom_metadata_map[CARD_KEY]
    elif to == "openvino":
        import openvino

        model = openvino.Core().read_model(out)
        answer = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(x.numpy())["logits"]
        told = str(model.get_rt_info([CARD_KEY]).astype(str))
    else:
        files = {f"{CARD_KEY}.json": ""}
        answer = torch.jit.load(out, _extra_files=files)(x).detach().numpy()
        told = files[f"{CARD_KEY}.json"]
    np.testing.assert_allclose(answer, expected, atol=1e-3 * np.abs(expected).max())
    assert json.loads(told)["name"] == card.name
    with pytest.raises(OutputError, match="exists already"):
        export_model(str(tiny_model), to, out, tile_px=64)  # type: ignore[arg-type]


def test_what_cannot_be_written_is_said_first(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown. Pass onnx, openvino, torchscript"):
        export_model(str(tiny_model), "keras", tmp_path / "a.h5")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"ends in \.onnx"):
        export_model(str(tiny_model), "onnx", tmp_path / "a.xml")
