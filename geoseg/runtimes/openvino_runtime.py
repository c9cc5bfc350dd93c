"""OpenVINO: the fastest runtime on a CPU."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from geoseg.core.choices import Precision
from geoseg.errors import ModelError, UsageError
from geoseg.runtimes.onnx_graph import graph_of, mirrored
from geoseg.runtimes.registry import RuntimeRequest
from geoseg.runtimes.runtime import Answer, ModelPackage, RuntimeInfo

if TYPE_CHECKING:
    import torch

Convert = Callable[[tuple[int, ...]], Any]
"""Makes OpenVINO's model for tiles (band, y, x) of a shape."""
Named = Callable[[Sequence[npt.NDArray[np.float32]]], Answer]
"""Maps the outputs of the model to arrays by name."""


class OpenvinoRuntime:
    """Runtime that runs a network compiled for the CPU, compiled once per tile shape.

    Args:
        convert: makes the model for a tile's shape.
        named: maps its outputs to arrays by name.
        precision: arithmetic precision: fp32 or bf16.
        threads: CPU threads; None: all.
        tile_px: fixed side of the model's tiles; None: any size.
    """

    batch = 1

    def __init__(
        self,
        convert: Convert,
        named: Named,
        *,
        precision: str,
        threads: int | None = None,
        tile_px: int | None = None,
    ) -> None:
        openvino = openvino_module()
        self.info = RuntimeInfo(
            name="openvino", device="cpu", precision=precision, version=f"openvino {openvino.__version__}"
        )
        self._convert, self._named, self._tile_px = convert, named, tile_px
        self._threads = threads
        self._compiled: dict[tuple[int, ...], Any] = {}
        self._lock = threading.Lock()  # a request runs one tile at a time; dask computes blocks in several threads

    def run(self, tiles: npt.NDArray[np.float32]) -> Answer:
        """Run tiles (tile, band, y, x), one after another, and return the outputs by name."""
        results: list[Answer] = []
        rows, cols = tiles.shape[2:]
        tiles = mirrored(tiles, self._tile_px)
        with self._lock:
            request = self._request(tiles.shape[1:])
            for tile in tiles:
                request.infer([np.ascontiguousarray(tile[None])], share_inputs=True)
                outputs = [tensor.data.copy() for tensor in request.output_tensors]
                if self._tile_px is not None:
                    outputs = [output[..., :rows, :cols] for output in outputs]
                results.append(self._named(outputs))
        return {name: np.concatenate([result[name] for result in results]) for name in results[0]}

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


def of_network(package: ModelPackage, request: RuntimeRequest) -> OpenvinoRuntime:
    """Make the runtime for a package that holds a torch network.

    Args:
        package: package of the network.
        request: precision and threads.

    Raises:
        UsageError: OpenVINO does not support this precision.
    """
    import torch  # noqa: PLC0415 - an ONNX file is run without it

    from geoseg.runtimes.torch_runtime import cpu_gains_from_bf16  # noqa: PLC0415 - same

    network = package.answering_network().eval()

    def convert(shape: tuple[int, ...]) -> Any:
        example: torch.Tensor = torch.zeros(1, *shape)
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing warns of branches on the shape, which is fixed here
            # traced here: OpenVINO would trace it twice and run it twice more to compare, seconds at a tile's size
            traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
            return openvino_module().convert_model(traced, example_input=example, input=[1, *shape])

    chosen = _precision(request.precision, "bf16" if cpu_gains_from_bf16() else "fp32")
    return OpenvinoRuntime(
        convert,
        package.named,
        precision=chosen,
        threads=request.threads,
    )


def of_onnx(package: ModelPackage, path: Path, request: RuntimeRequest) -> OpenvinoRuntime:
    """Make the runtime for an ONNX file.

    Args:
        package: package of the network.
        path: the file.
        request: precision and threads.

    Raises:
        ModelError: the file is no ONNX network, or does not match its card.
        UsageError: OpenVINO does not support this precision.
    """
    openvino = openvino_module()
    try:
        graph = openvino.Core().read_model(str(path))
    except RuntimeError as error:
        raise ModelError(f"{path}: no ONNX network that can be run ({' '.join(str(error).split())[:300]}).") from error
    if len(graph.inputs) != 1:
        raise ModelError(f"{path}: it has {len(graph.inputs)} inputs; a segmentation network has one.")
    given, answered = ([_size(size) for size in end.get_partial_shape()] for end in (graph.input(0), graph.output(0)))
    facts = graph_of(path, given, answered)
    package.check_graph(facts)

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
        package.named,
        tile_px=facts.tile_px,
        precision=_precision(request.precision, "bf16" if capable else "fp32"),
        threads=request.threads,
    )


def make(package: ModelPackage, request: RuntimeRequest) -> OpenvinoRuntime:
    """Make the runtime for a package: from its ONNX file, or from its torch network.

    Args:
        package: package of the network.
        request: precision and threads.

    Raises:
        UsageError, ModelError: see ``of_network`` and ``of_onnx``.
    """
    return of_network(package, request) if package.onnx is None else of_onnx(package, package.onnx, request)


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
