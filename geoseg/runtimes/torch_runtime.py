"""Eager torch: runs every network on every device."""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from geoseg.errors import DeviceError, ResourceError, UsageError
from geoseg.runtimes.registry import RuntimeRequest
from geoseg.runtimes.runtime import PROBABILITIES, Answer, ModelPackage, RuntimeInfo, joined

_log = logging.getLogger(__name__)
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def cpu_gains_from_bf16() -> bool:
    """Return True if this CPU has bfloat16 arithmetic (AVX512_BF16 or AMX); else autocast is slower than float32."""
    supported = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return bool(supported and supported() and "AVX512" in torch.backends.cpu.get_cpu_capability())


class TorchRuntime:
    """Runtime that runs a network eagerly, channels last, under autocast where the device gains from it.

    Args:
        network: returns a tensor (tile, ...), or a tuple of several.
        device: ``cpu`` or ``cuda[:N]``.
        precision: ``auto`` takes bf16 where the device has it, else fp16 on CUDA and fp32 on CPU.
        batch: tiles at once; halved, down to one, when the device runs out of memory.
        answers: names of the outputs of the network, in order.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        device: str = "cpu",
        precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
        batch: int | None = None,
        answers: tuple[str, ...] = (PROBABILITIES,),
    ) -> None:
        self._answers = answers
        self._device = torch.device(device)
        self._cuda = self._device.type == "cuda"
        self.info = RuntimeInfo(
            name="torch",
            device=str(self._device),
            precision=self._choose(precision),
            version=f"torch {torch.__version__}",
        )
        self.batch = batch or (8 if self._cuda else 1)
        try:
            self._network = network.eval().to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                raise
            raise ResourceError(f"{device}: the network does not fit its memory. Pass --device cpu.") from error

    def _choose(self, precision: str) -> str:
        if precision != "auto":
            return precision
        if self._cuda:
            return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
        return "bf16" if cpu_gains_from_bf16() else "fp32"

    def run(self, tiles: npt.NDArray[np.float32]) -> Answer:
        """Run tiles (tile, band, y, x) and return the outputs by name.

        Raises:
            ResourceError: not even one tile fits the device's memory.
            DeviceError: the GPU failed.
        """
        try:
            return self._forward(tiles)
        except RuntimeError as error:
            if not _is_out_of_memory(error):
                if (cause := _device_fault(error)) is None:
                    raise
                raise DeviceError(
                    f"{self.info.device}: the GPU failed ({cause}). Run the same command again: it goes on where it "
                    "stopped; or pass --device cpu."
                ) from error
            torch.cuda.empty_cache()
            if len(tiles) == 1:
                side = tiles.shape[-1]
                message = f"{self.info.device}: out of memory with one tile of {side} px. Pass a smaller --tile-px."
                raise ResourceError(message) from error
        self.batch = max(1, len(tiles) // 2)
        _log.warning(
            "%s is out of memory with %d tiles: going on with %d at once", self.info.device, len(tiles), self.batch
        )
        half = len(tiles) // 2
        return joined([self.run(tiles[:half]), self.run(tiles[half:])])

    def _forward(self, tiles: npt.NDArray[np.float32]) -> Answer:
        batch = torch.from_numpy(np.ascontiguousarray(tiles))
        if self._cuda:
            batch = batch.pin_memory()
        batch = batch.to(self._device, non_blocking=self._cuda, memory_format=torch.channels_last)
        precision = self.info.precision
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, _DTYPES[precision], enabled=precision != "fp32"),
        ):
            returned = self._network(batch)
        outputs = returned if isinstance(returned, tuple) else (returned,)
        return {name: output.contiguous().cpu().numpy() for name, output in zip(self._answers, outputs, strict=True)}


def make(package: ModelPackage, request: RuntimeRequest) -> TorchRuntime:
    """Make the runtime for a package that holds a torch network.

    Args:
        package: package of the network.
        request: device, precision and threads.

    Raises:
        UsageError: int8 is requested.
    """
    if request.precision == "int8":
        raise UsageError("--precision int8: torch computes in floats. Pass --runtime openvino, or another precision.")
    if request.threads is not None:
        torch.set_num_threads(request.threads)
    # boxes in bfloat16 would be off by pixels
    detects = package.answers != (PROBABILITIES,)
    return TorchRuntime(
        package.answering_network(),
        device=request.device,
        precision="fp32" if detects and request.precision == "auto" else request.precision,
        answers=package.answers,
    )


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Return True if an error means that memory ran out: CUDA has a type for it, the CPU's allocator only a message."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def _device_fault(error: RuntimeError) -> str | None:
    """Return what CUDA says of its failure; None if the error is not CUDA's.

    After such an error, unlike after too little memory, every later call of the process fails too.
    """
    first = str(error).split("\n", 1)[0]
    return first if any(word in first for word in ("CUDA error", "CUBLAS_STATUS_", "CUDNN_STATUS_")) else None
