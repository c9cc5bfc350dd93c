"""Registry of runtimes by name, and the choice of the runtime for a model and a device."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from geoseg.core.choices import Precision, RuntimeName
from geoseg.errors import ModelError, ResourceError, UsageError
from geoseg.runtimes.runtime import PROBABILITIES, ModelPackage, Runtime

RuntimeKey = Literal["torch", "openvino", "onnxruntime"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeEntry:
    """Registry entry of a runtime.

    Attributes:
        factory: ``module:function`` that makes it from a ``ModelPackage`` and a ``RuntimeRequest``.
        library: module that must be installed.
        install: pip requirement of the library.
        devices: kinds of devices it runs on.
        runs_onnx: True if it runs ONNX files.
        runs_torch: True if it runs torch networks.
    """

    factory: str
    library: str
    install: str
    devices: tuple[str, ...]
    runs_onnx: bool
    runs_torch: bool


RUNTIMES: MappingProxyType[RuntimeKey, RuntimeEntry] = MappingProxyType(
    {
        "torch": RuntimeEntry(
            factory="geoseg.runtimes.torch_runtime:make",
            library="torch",
            install="torch",
            devices=("cpu", "cuda"),
            runs_onnx=False,
            runs_torch=True,
        ),
        "openvino": RuntimeEntry(
            factory="geoseg.runtimes.openvino_runtime:make",
            library="openvino",
            install="geoseg[openvino]",
            devices=("cpu",),
            runs_onnx=True,
            runs_torch=True,
        ),
        "onnxruntime": RuntimeEntry(
            factory="geoseg.runtimes.onnx_runtime:make",
            library="onnxruntime",
            install="geoseg[onnx]",
            devices=("cpu", "cuda"),
            runs_onnx=True,
            runs_torch=False,
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeRequest:
    """Requested runtime, device, precision and threads.

    Attributes:
        runtime: a name of ``RUNTIMES``, or ``auto``.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        precision: arithmetic precision; ``auto`` chooses the fastest of the device.
        threads: CPU threads of the network; None: all.
    """

    runtime: RuntimeName = "auto"
    device: str = "auto"
    precision: Precision = "auto"
    threads: int | None = None


def make_runtime(package: ModelPackage, request: RuntimeRequest) -> Runtime:
    """Load a model into the requested runtime, or the fastest that is installed.

    Args:
        package: package of the model.
        request: runtime, device, precision and threads.

    Raises:
        UsageError: the runtime is not installed, or cannot run on the device or in the precision.
        ModelError: the runtime cannot run such a model, or the model is broken.
        ResourceError: the device does not exist.
    """
    name = _choose(package, request)
    entry = RUNTIMES[name]
    if importlib.util.find_spec(entry.library) is None:
        raise UsageError(f"--runtime {name}: not installed. Run pip install '{entry.install}'.")
    if package.onnx is not None and not entry.runs_onnx:
        raise ModelError(f"{package.onnx}: {name} does not run ONNX files. Pass --runtime onnxruntime or openvino.")
    if package.onnx is None and not entry.runs_torch:
        raise ModelError(
            f"{package.card.name}: {name} runs ONNX files only. Make one: geoseg models export {package.card.name} "
            f"{package.card.name}.onnx"
        )
    device = _place(name, entry, request.device)
    module, _, function = entry.factory.partition(":")
    make: Callable[[ModelPackage, RuntimeRequest], Runtime] = getattr(importlib.import_module(module), function)
    return make(package, replace(request, runtime=name, device=device))


_PARTED = ("watershed", "yolact")
"""Detectors whose convolutions are apart from the rest, so that OpenVINO can run them."""


def _choose(package: ModelPackage, request: RuntimeRequest) -> RuntimeKey:
    if request.runtime != "auto":
        return request.runtime
    if package.answers != (PROBABILITIES,) and not package.card.architecture.name.startswith(_PARTED):
        return "torch"
    on_cpu = resolve_device(request.device, onnx=package.onnx is not None) == "cpu"
    if on_cpu and importlib.util.find_spec("openvino") is not None:
        return "openvino"
    return "torch" if package.onnx is None else "onnxruntime"


def _place(name: RuntimeKey, entry: RuntimeEntry, requested: str) -> str:
    """Resolve the device; refuse one that the runtime cannot use or that does not exist."""
    if requested == "auto" and entry.devices == ("cpu",):
        return "cpu"
    device = resolve_device(requested, onnx=name == "onnxruntime")
    if device.split(":")[0] not in entry.devices:
        raise UsageError(f"--runtime {name}: runs on the CPU, not on {device}. Pass --device cpu or --runtime torch.")
    return device


def resolve_device(requested: str, *, onnx: bool = False) -> str:
    """Parse a device's name: ``cpu`` or ``cuda:N``.

    Args:
        requested: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        onnx: True for a device of ONNX Runtime, not of torch.

    Raises:
        UsageError: the name is invalid.
        ResourceError: the device does not exist.
    """
    kind, _, index = requested.partition(":")
    if kind not in {"auto", "cpu", "cuda"} or (index and not index.isdecimal()) or (index and kind != "cuda"):
        raise UsageError(f"--device {requested}: unknown. Pass auto, cpu, cuda or cuda:N.")
    if kind == "cpu":
        return "cpu"
    count = _onnx_gpus() if onnx else _torch_gpus()
    if kind == "auto":
        return "cuda:0" if count else "cpu"
    if int(index or 0) >= count:
        raise ResourceError(f"--device {requested}: not there ({count} CUDA devices found). Pass --device cpu or auto.")
    return f"cuda:{int(index or 0)}"


def _torch_gpus() -> int:
    if "torch" not in sys.modules and not _may_have_gpus():
        return 0
    import torch  # noqa: PLC0415 - a runtime that needs no torch loads none

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _may_have_gpus() -> bool:
    """Return False where the operating system shows no device that torch could use; torch takes seconds to ask."""
    # the drivers of NVIDIA and AMD, and that of WSL, make these
    return sys.platform != "linux" or any(
        next(Path("/dev").glob(name), None) for name in ("nvidia[0-9]*", "kfd", "dxg")
    )


def _onnx_gpus() -> int:
    """Count the GPUs of ONNX Runtime: it only reports if it was built for CUDA, so at most the first."""
    if importlib.util.find_spec("onnxruntime") is None:
        return 0
    import onnxruntime  # noqa: PLC0415 - an extra

    return int("CUDAExecutionProvider" in onnxruntime.get_available_providers())
