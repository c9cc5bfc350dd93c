"""OpenVINO: the fast way on a CPU."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from geoseg.core.card import ModelCard
from geoseg.core.spec import Precision
from geoseg.errors import ModelError, UsageError
from geoseg.runtimes.onnx_graph import activation, check_fits, graph_of, mirrored, probabilities
from geoseg.runtimes.registry import RuntimeRequest
from geoseg.runtimes.runtime import ModelPackage, RuntimeInfo

if TYPE_CHECKING:
    import torch
    from torch import nn

Convert = Callable[[tuple[int, ...]], Any]
"""Makes OpenVINO's model for tiles (band, y, x) of a shape."""
Finish = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]
"""Makes probabilities of what the model answers."""


class OpenvinoRuntime:
    """Run a network compiled for the CPU; compiled once for each tile size that comes.

    Args:
        convert: makes the model for a tile's shape.
        finish: makes probabilities of its answers.
        precision: of the arithmetic: fp32 or bf16.
        threads: CPU threads; None: all.
        tile_px: side of the tiles that the model takes; None where it takes any size.
    """

    batch = 1

    def __init__(
        self,
        convert: Convert,
        finish: Finish,
        *,
        precision: str,
        threads: int | None = None,
        tile_px: int | None = None,
    ) -> None:
        openvino = openvino_module()
        self.info = RuntimeInfo(
            name="openvino", device="cpu", precision=precision, version=f"openvino {openvino.__version__}"
        )
        self._convert, self._finish, self._tile_px = convert, finish, tile_px
        self._threads = threads
        self._compiled: dict[tuple[int, ...], Any] = {}
        self._lock = threading.Lock()  # a request runs one tile at a time; dask computes blocks in several threads

    def probs(self, tiles: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Run (tile, band, y, x) to probabilities (tile, class, y, x), one tile after another."""
        results = []
        rows, cols = tiles.shape[2:]
        tiles = mirrored(tiles, self._tile_px)
        with self._lock:
            request = self._request(tiles.shape[1:])
            for tile in tiles:
                request.infer([np.ascontiguousarray(tile[None])], share_inputs=True)
                results.append(self._finish(request.get_output_tensor(0).data.copy()[..., :rows, :cols]))
        return np.concatenate(results)

    def _request(self, shape: tuple[int, ...]) -> Any:
        if shape not in self._compiled:
            hints: dict[str, str | int] = {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": {"bf16": "bf16", "fp32": "f32"}[self.info.precision],
            }
            if self._threads is not None:
                hints["INFERENCE_NUM_THREADS"] = self._threads
            model = self._convert(shape)
            self._compiled[shape] = openvino_module().Core().compile_model(model, "CPU", hints).create_infer_request()
        return self._compiled[shape]


def of_network(
    network: nn.Module, *, precision: Precision = "auto", threads: int | None = None, temperature: float = 1.0
) -> OpenvinoRuntime:
    """Make the runtime of a torch network.

    Args:
        network: returns logits (tile, class, y, x).
        precision: ``auto`` takes bf16 where the CPU has it, else fp32.
        threads: CPU threads; None: all.
        temperature: logits are divided by it.

    Raises:
        UsageError: OpenVINO does not compute in this precision.
    """
    import torch  # noqa: PLC0415 - an ONNX file is run without it

    from geoseg.runtimes.torch_runtime import SoftmaxNetwork, cpu_gains_from_bf16  # noqa: PLC0415 - same

    whole = SoftmaxNetwork(network.eval(), temperature)

    def convert(shape: tuple[int, ...]) -> Any:
        example: torch.Tensor = torch.zeros(1, *shape)
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing warns of branches on the shape, which is fixed here
            # traced here: OpenVINO would trace it twice and run it twice more to compare, seconds at a tile's size
            traced = torch.jit.trace(whole, example, check_trace=False)  # type: ignore[no-untyped-call]
            return openvino_module().convert_model(traced, example_input=example, input=[1, *shape])

    chosen = _precision(precision, "bf16" if cpu_gains_from_bf16() else "fp32")
    return OpenvinoRuntime(convert, lambda probs: probs, precision=chosen, threads=threads)


def of_onnx(
    path: Path, card: ModelCard, *, precision: Precision = "auto", threads: int | None = None
) -> OpenvinoRuntime:
    """Make the runtime of an ONNX file.

    Args:
        path: the file.
        card: describes it.
        precision: ``auto`` takes bf16 where the CPU has it, else fp32.
        threads: CPU threads; None: all.

    Raises:
        ModelError: it is no ONNX network, or not the one that the card describes.
        UsageError: OpenVINO does not compute in this precision.
    """
    openvino = openvino_module()
    kind = activation(path, card)
    try:
        graph = openvino.Core().read_model(str(path))
    except RuntimeError as error:
        raise ModelError(f"{path}: no ONNX network that can be run ({' '.join(str(error).split())[:300]}).") from error
    if len(graph.inputs) != 1:
        raise ModelError(f"{path}: it has {len(graph.inputs)} inputs; a segmentation network has one.")
    given, answered = ([_size(size) for size in end.get_partial_shape()] for end in (graph.input(0), graph.output(0)))
    facts = graph_of(path, given, answered)
    check_fits(path, facts, card)

    def convert(shape: tuple[int, ...]) -> Any:
        model = openvino.Core().read_model(str(path))
        try:
            model.reshape([1, *shape])
        except RuntimeError as error:
            raise ModelError(f"{path}: the network cannot run on a tile of {shape[-1]} px.") from error
        return model

    capable = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return OpenvinoRuntime(
        convert,
        lambda answer: probabilities(answer, kind, card.temperature),
        tile_px=facts.tile_px,
        precision=_precision(precision, "bf16" if capable else "fp32"),
        threads=threads,
    )


def make(package: ModelPackage, request: RuntimeRequest) -> OpenvinoRuntime:
    """Make the runtime of a package: of its ONNX file, or of its torch network.

    Raises:
        UsageError, ModelError: see ``of_network`` and ``of_onnx``.
    """
    if package.onnx is not None:
        return of_onnx(package.onnx, package.card, precision=request.precision, threads=request.threads)
    return of_network(
        package.network(),
        precision=request.precision,
        threads=request.threads,
        temperature=package.card.temperature,
    )


def _precision(wanted: Precision, fast: str) -> str:
    if wanted == "fp16":
        raise UsageError("--precision fp16: OpenVINO on a CPU computes in fp32 or bf16. Pass one of these.")
    return fast if wanted == "auto" else wanted


def _size(dimension: Any) -> int | None:
    return dimension.get_length() if dimension.is_static else None


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
