"""ONNX Runtime: runs ONNX files, on a CPU or with CUDA, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from geoseg.errors import ModelError, ResourceError, UsageError
from geoseg.runtimes.onnx_graph import OnnxGraph, graph_of, mirrored
from geoseg.runtimes.registry import RuntimeRequest
from geoseg.runtimes.runtime import Answer, ModelPackage, RuntimeInfo

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxRuntime:
    """Runtime that runs an ONNX file, one tile after another.

    Args:
        package: package of the network.
        path: the file.
        device: ``cpu`` or ``cuda:N``.
        threads: CPU threads; None: all.

    Raises:
        ModelError: the file is no ONNX network, or does not match its card.
    """

    batch = 1

    def __init__(self, package: ModelPackage, path: Path, *, device: str = "cpu", threads: int | None = None) -> None:
        import onnxruntime  # noqa: PLC0415 - an extra

        self._named = package.named
        self._session = open_session(path, device=device, threads=threads)
        self._input = self._session.get_inputs()[0].name
        graph = session_graph(path, self._session)
        package.check_graph(graph)
        self._tile_px = graph.tile_px
        self.info = RuntimeInfo(
            name="onnxruntime", device=device, precision="fp32", version=f"onnxruntime {onnxruntime.__version__}"
        )

    def run(self, tiles: npt.NDArray[np.float32]) -> Answer:
        """Run tiles (tile, band, y, x), one after another, and return the outputs by name.

        Raises:
            ModelError: the network cannot run on tiles of this shape.
            ResourceError: the device is out of memory.
        """
        answers = [self._one(np.ascontiguousarray(tile[None])) for tile in tiles]
        return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}

    def _one(self, tile: npt.NDArray[np.float32]) -> Answer:
        rows, cols = tile.shape[2:]
        try:
            outputs = self._session.run(None, {self._input: mirrored(tile, self._tile_px)})
        except _errors() as error:
            if "memory" in str(error):
                raise ResourceError(
                    f"{self.info.device}: out of memory with one tile of {tile.shape[-1]} px. Pass a smaller --tile-px."
                ) from error
            raise ModelError(f"the network cannot run on a tile of {tile.shape[-1]} px ({error}).") from error
        return self._named(outputs if self._tile_px is None else [output[..., :rows, :cols] for output in outputs])


def open_session(path: Path, *, device: str = "cpu", threads: int | None = None) -> Any:
    """Open an ONNX file as an ONNX Runtime session.

    Args:
        path: the file.
        device: ``cpu`` or ``cuda:N``.
        threads: CPU threads; None: all.

    Raises:
        ModelError: the file does not exist, or is not an ONNX network.
    """
    import onnxruntime  # noqa: PLC0415 - an extra

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if threads is not None:
        options.intra_op_num_threads = threads
    kind, _, index = device.partition(":")
    provider: Any = _PROVIDERS[kind] if kind == "cpu" else (_PROVIDERS[kind], {"device_id": int(index or 0)})
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=[provider])
    except _errors() as error:
        raise ModelError(f"{path}: no ONNX network that can be run ({' '.join(str(error).split())[:300]}).") from error


def _errors() -> tuple[type[Exception], ...]:
    """List the error classes of ONNX Runtime, which have no common base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state  # noqa: PLC0415 - an extra

    return tuple(kind for kind in vars(state).values() if isinstance(kind, type) and issubclass(kind, Exception))


def session_graph(path: Path, session: Any) -> OnnxGraph:
    """Read the input and output shapes of a session.

    Args:
        path: path of the file, for messages.
        session: from ``open_session``.

    Raises:
        ModelError: the network has several inputs, or is no segmentation network.
    """
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1:
        raise ModelError(f"{path}: it has {len(inputs)} inputs; a segmentation network has one.")
    if inputs[0].type != "tensor(float)":
        raise ModelError(f"{path}: it takes {inputs[0].type}; export it with float32 inputs.")
    return graph_of(path, inputs[0].shape, outputs[0].shape)


def make(package: ModelPackage, request: RuntimeRequest) -> OnnxRuntime:
    """Make the runtime for a package that holds an ONNX file.

    Args:
        package: package of the network.
        request: device, precision and threads.

    Raises:
        UsageError: another precision than float32 is requested.
        ModelError: see ``OnnxRuntime``.
    """
    if request.precision not in {"auto", "fp32"}:
        raise UsageError(f"--precision {request.precision}: ONNX Runtime computes in fp32. Leave it out.")
    if package.onnx is None:
        raise ModelError(f"{package.card.name}: not an ONNX file.")
    return OnnxRuntime(package, package.onnx, device=request.device, threads=request.threads)
