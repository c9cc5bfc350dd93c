"""Runtime: runs one network on one device. Everything above it sees float32 arrays in, probabilities out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from geoseg.core.card import ModelCard

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeInfo:
    """The properties of a runtime that can change the last bits of an answer.

    Attributes:
        name: key of ``geoseg.runtimes.registry.RUNTIMES``.
        device: ``cpu``, ``cuda:0``...
        precision: of the arithmetic: ``fp32``, ``bf16`` or ``fp16``.
        version: name and version of the library; another version may round differently.
    """

    name: str
    device: str
    precision: str
    version: str


class Runtime(Protocol):
    """The interface behind which torch, OpenVINO and ONNX Runtime stand.

    Attributes:
        info: what it is.
    """

    info: RuntimeInfo

    @property
    def batch(self) -> int:
        """Tiles to hand over at once."""
        ...

    def probs(self, tiles: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Run (tile, band, y, x) float32 to (tile, class, y, x) float32 in [0, 1], summing to 1 over class."""
        ...


class ModelPackage(Protocol):
    """A card and a network that is not loaded yet: a runtime takes the form that it can run."""

    @property
    def card(self) -> ModelCard:
        """What the network needs and what its answers mean."""
        ...

    @property
    def onnx(self) -> Path | None:
        """The ONNX file, where the package is one; else None."""
        ...

    def network(self) -> nn.Module:
        """Build the torch network, with its weights, in evaluation mode, on the CPU.

        Raises:
            ModelError: the file is broken, does not fit its card, or holds no torch network.
        """
        ...
