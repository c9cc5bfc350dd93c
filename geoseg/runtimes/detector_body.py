"""Detectors whose convolutions OpenVINO runs; boxes, suppression and masks are left to torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from geoseg.errors import ModelError
from geoseg.runtimes.openvino_runtime import OpenvinoRuntime, runtime_of_module
from geoseg.runtimes.registry import RuntimeRequest
from geoseg.runtimes.runtime import Answer, ModelPackage
from geoseg.runtimes.torch_runtime import TorchRuntime


class DetectorRuntime:
    """Runtime of a detector with a compiled body.

    Args:
        body: runs the body.
        rest: runs the network, whose body passes its input to ``body``.
        disjoint: see ``geoseg.nn.instance.contract.InstanceNetwork``; other networks answer one tile at a time.
    """

    def __init__(self, body: OpenvinoRuntime, rest: TorchRuntime, *, disjoint: bool) -> None:
        self.info = body.info
        self.batch = body.batch if disjoint else 1
        self._rest = rest

    def run(self, tiles: npt.NDArray[np.float32]) -> Answer:
        """Run tiles (tile, band, y, x) and return the outputs by name."""
        return self._rest.run(tiles)


class CompiledBody(nn.Module):
    """Stands in for a network's body.

    Args:
        runtime: runs the body; its outputs are named by their numbers.
    """

    def __init__(self, runtime: OpenvinoRuntime) -> None:
        super().__init__()
        self._runtime = runtime

    def forward(self, tiles: Tensor) -> list[Tensor]:
        """Run tiles (tile, band, y, x)."""
        found = self._runtime.run(tiles.contiguous().numpy())
        return [torch.from_numpy(found[str(number)]) for number in range(len(found))]


def make(package: ModelPackage, request: RuntimeRequest) -> DetectorRuntime:
    """Make the runtime of a detector.

    Args:
        package: package of the network.
        request: precision and threads.

    Raises:
        ModelError: the network has no body of its own.
    """
    head = package.answering_network().eval()
    network: Any = head.network
    body = getattr(network, "body", None)
    if not isinstance(body, nn.Module) or not hasattr(network, "decode"):
        raise ModelError(
            f"{package.card.name}: OpenVINO runs the convolutions of a detector apart from the rest, and "
            f"{package.card.architecture.name} does not part them. Pass --runtime torch."
        )
    disjoint = getattr(network, "disjoint", False)
    if disjoint and request.precision == "auto":
        request = replace(request, precision="fp32")  # in bfloat16 depths have few steps, and basins change
    runtime = runtime_of_module(package, body, _numbered, request)
    network.body = CompiledBody(runtime)
    rest = TorchRuntime(head, precision="fp32", answers=package.answers)
    return DetectorRuntime(runtime, rest, disjoint=disjoint)


def _numbered(outputs: Sequence[npt.NDArray[np.float32]]) -> Answer:
    return {str(number): np.asarray(output, np.float32) for number, output in enumerate(outputs)}
