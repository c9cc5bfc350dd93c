"""Every runtime keeps the laws that are shipped for runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import LEGEND, tiny_card
from torch import nn

from geoseg.core.legend import Legend, LegendClass
from geoseg.models.export_model import to_onnx
from geoseg.models.model import load_model
from geoseg.runtimes.registry import RUNTIMES
from geoseg.runtimes.runtime import Runtime
from geoseg.testing.runtimes import RuntimeTests

CARD = tiny_card(
    name="own",
    architecture={"name": "own"},
    tile_px=48,
    halo_px=8,
    legend=Legend(classes=(*LEGEND.classes, LegendClass(code=7, name="road", colour="#333333"))),
)


class TestTorch(RuntimeTests):
    @pytest.fixture
    def runtime(self, network: nn.Module) -> Runtime:
        return load_model(network, card=CARD, device="cpu", runtime="torch", precision="fp32").runtime


class TestOpenvino(RuntimeTests):
    tolerance = 1e-3

    @pytest.fixture
    def runtime(self, network: nn.Module) -> Runtime:
        pytest.importorskip("openvino")
        return load_model(network, card=CARD, device="cpu", runtime="openvino", precision="fp32").runtime


class TestOnnxruntime(RuntimeTests):
    @pytest.fixture
    def runtime(self, network: nn.Module, tmp_path: Path) -> Runtime:
        pytest.importorskip("onnxruntime")
        to_onnx(network, torch.zeros(1, 3, 48, 48), tmp_path / "own.onnx", CARD)
        return load_model(tmp_path / "own.onnx", device="cpu", runtime="onnxruntime").runtime


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
class TestCuda(TestTorch):
    tolerance = 1e-3

    @pytest.fixture
    def runtime(self, network: nn.Module) -> Runtime:
        return load_model(network, card=CARD, device="cuda", runtime="torch", precision="fp32").runtime


def test_every_runtime_is_tested() -> None:
    kinds: dict[str, Any] = {name.removeprefix("Test").lower(): kind for name, kind in globals().items()}
    assert all(issubclass(kinds[name], RuntimeTests) for name in RUNTIMES)
