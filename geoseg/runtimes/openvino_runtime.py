"""OpenVINO: the fastest runtime on a CPU."""

from __future__ import annotations

import json
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from geoseg.core.card import ModelCard
from geoseg.core.choices import Precision
from geoseg.errors import ModelError, UsageError
from geoseg.io.weights.model_file import QuantisedGraph
from geoseg.runtimes.compiled_cache import CompiledCache, cache_folder
from geoseg.runtimes.onnx_graph import graph_of, mirrored
from geoseg.runtimes.registry import RuntimeRequest
from geoseg.runtimes.runtime import PROBABILITIES, Answer, ModelPackage, Runtime, RuntimeInfo, joined

if TYPE_CHECKING:
    import torch
    from torch import nn

Convert = Callable[[tuple[int, ...]], object]
"""Makes OpenVINO's model for tiles (band, y, x) of a shape."""
Named = Callable[[Sequence[npt.NDArray[np.float32]]], Answer]
"""Maps the outputs of the model to arrays by name."""


MAX_STREAMS = 4
"""Most tiles that are computed at a time; each takes memory for its own activations."""
STREAM_TILE_PX = 4_000_000
"""Tiles of more pixels are computed one at a time, for the same reason."""
_USUAL_STRIDE_PX = 32
"""Stride of the deepest features of most networks."""
_TELEMETRY_LOCK = threading.Lock()
"""Held while imports of OpenVINO's telemetry fail: networks are compiled in several threads."""


class OpenvinoRuntime:
    """Runtime that runs a network compiled for the CPU, compiled once per tile shape.

    Several tiles are computed at a time, each by its own share of the threads: threads that work on one tile wait for
    each other in every layer. A single tile is computed by all threads. The outputs are the same bytes.

    Args:
        convert: makes the model for a tile's shape.
        named: maps its outputs to arrays by name.
        precision: arithmetic precision: fp32, bf16, int8/fp32 or int8/bf16.
        threads: CPU threads; None: all.
        tile_px: side of the tiles that the model takes; None where it takes any size.
        cache: keeps compiled forms for later processes; None: nothing does.
    """

    def __init__(
        self,
        convert: Convert,
        named: Named,
        *,
        precision: str,
        threads: int | None = None,
        tile_px: int | None = None,
        cache: CompiledCache | None = None,
    ) -> None:
        openvino = openvino_module()
        self.info = RuntimeInfo(
            name="openvino", device="cpu", precision=precision, version=f"openvino {openvino.__version__}"
        )
        self._convert, self._named, self._tile_px = convert, named, tile_px
        self._threads, self._cache = threads, cache
        self.batch = min(MAX_STREAMS, threads or len(os.sched_getaffinity(0)))
        self._requests: dict[tuple[tuple[int, ...], int], list[Any]] = {}
        self._in_flight: list[npt.NDArray[np.float32]] = []  # read by other threads, also after an interruption
        self._lock = threading.Lock()  # a request runs one tile at a time; dask computes blocks in several threads

    def run(self, tiles: npt.NDArray[np.float32]) -> Answer:
        """Run tiles (tile, band, y, x) and return the outputs by name."""
        results: list[Answer] = []
        rows, cols = tiles.shape[2:]
        tiles = mirrored(tiles, self._tile_px)
        with self._lock:
            requests = self._ready(tiles.shape[1:], len(tiles))
            for start in range(0, len(tiles), len(requests)):
                self._in_flight = [np.ascontiguousarray(tile[None]) for tile in tiles[start : start + len(requests)]]
                running = requests[: len(self._in_flight)]
                for request, tile in zip(running, self._in_flight, strict=True):
                    request.start_async([tile], share_inputs=True)
                for request in running:
                    request.wait()
                for request in running:
                    outputs = [tensor.data.copy() for tensor in request.output_tensors]
                    if self._tile_px is not None:
                        outputs = [output[..., :rows, :cols] for output in outputs]
                    results.append(self._named(outputs))
        return joined(results)

    def _ready(self, shape: tuple[int, ...], tiles: int) -> list[Any]:
        """Return the requests to run so many tiles of a shape with, one per stream."""
        streams = self.batch if shape[1] * shape[2] <= STREAM_TILE_PX else 1
        if tiles == 1 and (shape, streams) not in self._requests:
            streams = 1
        if (shape, streams) not in self._requests:
            compiled = self._compile(shape, self._hints(streams))
            self._requests[shape, streams] = [compiled.create_infer_request() for _ in range(streams)]
        return self._requests[shape, streams]

    def _hints(self, streams: int) -> dict[str, str | int]:
        hints: dict[str, str | int] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if self.info.precision.endswith("bf16") else "f32",
        }
        if streams > 1:
            hints |= {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": streams}
        if self._threads is not None:
            hints["INFERENCE_NUM_THREADS"] = self._threads
        return hints

    def _compile(self, shape: tuple[int, ...], hints: dict[str, str | int]) -> Any:
        """Compile the model for a tile's shape, or take the form that an earlier process compiled."""
        core = openvino_core()
        form = _form(core, self.info, shape, hints)
        kept = None if self._cache is None else self._cache.read(form)
        if kept is not None:
            with suppress(RuntimeError):  # OpenVINO refuses it: it is compiled again
                return core.import_model(kept, "CPU", hints)
        compiled = core.compile_model(self._convert(shape), "CPU", hints)
        if self._cache is not None:
            self._cache.write(form, compiled.export_model().getvalue())
        return compiled


def of_network(package: ModelPackage, request: RuntimeRequest) -> OpenvinoRuntime:
    """Make the runtime for a package that holds a torch network.

    Args:
        package: package of the network.
        request: precision and threads.

    Raises:
        UsageError: OpenVINO does not support this precision.
    """
    cache = _cache_of(package)
    # what was compiled before is known to work: torch is not even loaded, unless tiles of another size come
    network = None if cache is not None and cache.filled else package.answering_network()

    def whole() -> nn.Module:
        nonlocal network
        if network is None:
            network = package.answering_network()
        return network

    return _traced(whole, package.named, request, cache)


def runtime_of_module(
    package: ModelPackage, module: nn.Module, named: Named, request: RuntimeRequest
) -> OpenvinoRuntime:
    """Make the runtime for a part of a package's network.

    Args:
        package: package of the network.
        module: the part: tensor in, tensors out.
        named: maps its outputs to arrays by name.
        request: precision and threads.

    Raises:
        UsageError: OpenVINO does not support this precision.
    """
    return _traced(lambda: module, named, request, _cache_of(package))


def _traced(
    network: Callable[[], nn.Module], named: Named, request: RuntimeRequest, cache: CompiledCache | None
) -> OpenvinoRuntime:
    def convert(shape: tuple[int, ...]) -> object:
        import torch  # noqa: PLC0415 - a compiled network is run without it

        example: torch.Tensor = torch.zeros(1, *shape)
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tracing warns of branches on the shape, which is fixed here
            # traced here: OpenVINO would trace it twice and run it twice more to compare, seconds at a tile's size
            traced = torch.jit.trace(network().eval(), example, check_trace=False)  # type: ignore[no-untyped-call]
            return openvino_module().convert_model(traced, example_input=example, input=[1, *shape])

    return OpenvinoRuntime(
        convert, named, precision=_precision(request.precision), threads=request.threads, cache=cache
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
    try:
        graph = openvino_core().read_model(str(path))
    except RuntimeError as error:
        raise ModelError(f"{path}: no ONNX network that can be run ({' '.join(str(error).split())[:300]}).") from error
    if len(graph.inputs) != 1:
        raise ModelError(f"{path}: it has {len(graph.inputs)} inputs; a segmentation network has one.")
    given, answered = ([_size(size) for size in end.get_partial_shape()] for end in (graph.input(0), graph.output(0)))
    facts = graph_of(path, given, answered)
    package.check_graph(facts)

    def convert(shape: tuple[int, ...]) -> object:
        model = openvino_core().read_model(str(path))
        try:
            model.reshape([1, *shape])
        except RuntimeError as error:
            raise ModelError(f"{path}: the network cannot run on a tile of {shape[-1]} px.") from error
        return model

    return OpenvinoRuntime(
        convert,
        package.named,
        tile_px=facts.tile_px,
        precision=_precision(request.precision),
        threads=request.threads,
        cache=_cache_of(package),
    )


def of_quantised(package: ModelPackage, request: RuntimeRequest) -> OpenvinoRuntime:
    """Make the runtime for the quantised network of a package.

    Args:
        package: package of the network.
        request: threads.

    Raises:
        UsageError: the package has no quantised network.
        ModelError: the quantised network is broken or does not match its card.
    """
    card, quantised = package.card, package.quantised()
    if quantised is None:
        raise UsageError(
            f"--precision int8: {card.name} has no int8 form. Make one (geoseg models quantise), or take another."
        )

    def convert(shape: tuple[int, ...]) -> object:
        return quantised_model(quantised, card, shape)

    precision = f"int8/{_precision('auto')}"
    return OpenvinoRuntime(
        convert, package.named, precision=precision, threads=request.threads, cache=_cache_of(package)
    )


def quantised_model(quantised: QuantisedGraph, card: ModelCard, shape: tuple[int, ...]) -> object:
    """Make OpenVINO's model of a quantised network with the head of semantic segmentation.

    Args:
        quantised: tiles in, logits out.
        card: card of the model.
        shape: (band, y, x) of a tile.

    Returns:
        A model of one tile (1, band, y, x) in, probabilities (1, class, y, x) out.

    Raises:
        ModelError: the network is broken, or its bands or classes are not those of the card.
    """
    openvino = openvino_module()
    ops: Any = openvino.opset13
    try:
        constants = openvino.Tensor(np.frombuffer(quantised.constants, np.uint8).copy())
        model = openvino_core().read_model(quantised.graph, constants)
        _reshape(model, card, shape)
        logits = model.output(0).get_node().input_value(0)
        answered = list(logits.get_shape())
    except RuntimeError as error:
        raise ModelError(f"{card.name}: its int8 form cannot be run ({' '.join(str(error).split())[:300]}).") from error
    if answered != [1, len(card.legend), *shape[1:]]:
        raise ModelError(
            f"{card.name}: its int8 form answers {answered} to a tile of {list(shape)}. Quantise it again."
        )
    tempered = logits if card.temperature == 1 else ops.divide(logits, np.float32(card.temperature))
    return openvino.Model([ops.softmax(tempered, axis=1)], model.get_parameters(), card.name)


def _reshape(model: Any, card: ModelCard, shape: tuple[int, ...]) -> None:
    """Fix the shape of a quantised network's tiles; it lacks the padding that the network itself does for odd sizes."""
    try:
        model.reshape([1, *shape])
    except RuntimeError as error:
        if not any(side % _USUAL_STRIDE_PX for side in shape[1:]):
            raise
        raise ModelError(
            f"{card.name}: its int8 form does not run on tiles of {shape[-1]} px. Pass a --tile-px that is a multiple "
            f"of {_USUAL_STRIDE_PX}, or another --precision."
        ) from error


def make(package: ModelPackage, request: RuntimeRequest) -> Runtime:
    """Make the runtime for a package: from its ONNX file, its quantised network, or its torch network.

    Args:
        package: package of the network.
        request: precision and threads.

    Raises:
        UsageError, ModelError: see ``of_network``, ``of_onnx`` and ``of_quantised``.
    """
    advice = package.card.int8
    if request.precision == "int8" or (request.precision == "auto" and advice is not None and advice.preferred):
        return of_quantised(package, request)
    if package.answers != (PROBABILITIES,):
        from geoseg.runtimes import detector_body  # noqa: PLC0415 - torch

        return detector_body.make(package, request)
    return of_network(package, request) if package.onnx is None else of_onnx(package, package.onnx, request)


def _precision(asked: Precision) -> str:
    if asked == "fp16":
        raise UsageError("--precision fp16: OpenVINO on a CPU computes in fp32 or bf16. Pass one of these.")
    if asked != "auto":
        return asked
    capable = "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "bf16" if capable else "fp32"


def _cache_of(package: ModelPackage) -> CompiledCache | None:
    folder, fingerprint = cache_folder(), package.fingerprint
    return None if folder is None or fingerprint is None else CompiledCache(folder, fingerprint)


def _form(core: Any, info: RuntimeInfo, shape: tuple[int, ...], hints: dict[str, str | int]) -> str:
    """Name a compiled form by everything that it depends on besides the network."""
    processor = [core.get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    parts = [info.version, processor, list(shape), hints]
    return json.dumps([*parts, "int8"] if info.precision.startswith("int8") else parts, sort_keys=True)


def _size(dimension: Any) -> int | None:
    return dimension.get_length() if dimension.is_static else None


@lru_cache(maxsize=1)
def openvino_core() -> Any:
    """Return the one OpenVINO core of this process, which is kept until the process ends.

    On processors with AMX the plugin gives the thread that loads it an alternate stack for signals, and frees it in the
    thread that drops the last reference. When that is another thread, as with garbage collection, the next signal ends
    the process by a segmentation fault.
    """
    return openvino_module().Core()


@contextmanager
def telemetry_blocked() -> Iterator[None]:
    """Make imports of ``openvino_telemetry`` fail: OpenVINO and NNCF take stubs instead, which send nothing."""
    with _TELEMETRY_LOCK:
        loaded = {name: part for name, part in sys.modules.copy().items() if name.split(".")[0] == "openvino_telemetry"}
        for name in loaded:
            del sys.modules[name]
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] # how Python spells that an import fails
        try:
            yield
        finally:
            del sys.modules["openvino_telemetry"]
            sys.modules.update(loaded)


def openvino_module() -> ModuleType:
    """Import OpenVINO with its telemetry off, which is on by default and reports each conversion to a server.

    It is off for conversions of this process from then on, also where OpenVINO was imported before. A report is sent by
    a fork of the process, which takes long where the process is large, and three seconds where nobody answers.
    """
    with telemetry_blocked():
        import openvino  # noqa: PLC0415 - an optional library
        from openvino.tools.ovc import telemetry_stub  # noqa: PLC0415

    for name, part in sys.modules.copy().items():
        if name.startswith("openvino.tools.ovc") and "tm" in vars(part):
            vars(part)["tm"] = telemetry_stub
    module: ModuleType = openvino
    return module
