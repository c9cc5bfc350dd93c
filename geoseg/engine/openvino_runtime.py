"""OpenVINO: the fast way on a CPU."""

from __future__ import annotations

import sys
import threading
import warnings
from types import ModuleType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from geoseg.engine.torch_runtime import cpu_gains_from_bf16, tempered
from geoseg.errors import UsageError


class _Probabilities(nn.Module):
    """A network with the softmax inside, in float32 as the eager runtime does it."""

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        return torch.softmax(tempered(self.network(tiles), self.temperature), dim=1)


class OpenvinoRuntime:
    """Run a network compiled for the CPU; compiled once for each tile size that comes.

    Args:
        network: returns logits (tile, class, y, x).
        in_channels: bands the network takes.
        precision: ``auto`` takes bf16 where the CPU has it, else fp32.
        threads: CPU threads; None: all.
        temperature: logits are divided by it.
    """

    name = "openvino"
    device = "cpu"
    batch = 1

    def __init__(
        self,
        network: nn.Module,
        *,
        in_channels: int,
        precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
        threads: int | None = None,
        temperature: float = 1.0,
    ) -> None:
        openvino = openvino_module()
        if precision == "fp16":
            raise UsageError("--precision fp16: OpenVINO on a CPU computes in fp32 or bf16. Pass one of these.")
        self.precision: str = ("bf16" if cpu_gains_from_bf16() else "fp32") if precision == "auto" else precision
        self.version = f"openvino {openvino.__version__}"
        self._network = _Probabilities(network.eval(), temperature)
        self._in_channels = in_channels
        self._threads = threads
        self._compiled: dict[tuple[int, ...], Any] = {}
        self._lock = threading.Lock()  # a request runs one tile at a time; dask computes blocks in several threads

    def probs(self, tiles: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Run (tile, band, y, x) to probabilities (tile, class, y, x), one tile after another."""
        results = []
        with self._lock:
            request = self._request(tiles.shape[1:])
            for tile in tiles:
                request.infer([np.ascontiguousarray(tile[None])], share_inputs=True)
                results.append(request.get_output_tensor(0).data.copy())
        return np.concatenate(results)

    def _request(self, shape: tuple[int, ...]) -> Any:
        if shape not in self._compiled:
            ov = openvino_module()
            example = torch.zeros(1, *shape)
            with torch.inference_mode(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # tracing warns of branches on the shape, which is fixed here
                # traced here: OpenVINO would trace it twice and run it twice more to compare, seconds at a tile's size
                traced = torch.jit.trace(self._network, example, check_trace=False)  # type: ignore[no-untyped-call]
                model = ov.convert_model(traced, example_input=example, input=[1, *shape])
            hints: dict[str, str | int] = {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": {"bf16": "bf16", "fp32": "f32"}[self.precision],
            }
            if self._threads is not None:
                hints["INFERENCE_NUM_THREADS"] = self._threads
            self._compiled[shape] = ov.Core().compile_model(model, "CPU", hints).create_infer_request()
        return self._compiled[shape]


def openvino_module() -> ModuleType:
    """Import OpenVINO without its telemetry, which is on by default and reports each conversion."""
    absent = "openvino_telemetry" not in sys.modules
    if absent:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] # the import fails: OpenVINO takes its stub
    try:
        import openvino  # noqa: PLC0415 - an optional library
        import openvino.tools.ovc  # noqa: PLC0415
    finally:
        if absent:
            del sys.modules["openvino_telemetry"]
    module: ModuleType = openvino
    return module
