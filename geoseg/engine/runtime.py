"""Runtime: executes one network on one device. Everything above it sees float32 arrays in, probabilities out."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt


class Runtime(Protocol):
    """The small interface behind which torch, OpenVINO and later runtimes stand.

    Attributes:
        name: ``torch`` or ``openvino``.
        device: ``cpu``, ``cuda:0``...
        precision: what the arithmetic is done in: ``fp32``, ``bf16`` or ``fp16``.
        version: name and version of the library; another version may round differently.
    """

    name: str
    device: str
    precision: str
    version: str

    @property
    def batch(self) -> int:
        """Tiles to hand over at once."""
        ...

    def probs(self, tiles: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Run (tile, band, y, x) float32 to (tile, class, y, x) float32 in [0, 1], summing to 1 over class."""
        ...
