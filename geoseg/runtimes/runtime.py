"""Runtime: runs one network on one device. Everything above it sees float32 tiles in, named arrays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import numpy.typing as npt

from geoseg.core.card import ModelCard
from geoseg.runtimes.onnx_graph import OnnxGraph

if TYPE_CHECKING:
    from torch import nn


Answer = Mapping[str, npt.NDArray[np.float32]]
"""What a network answers to tiles: arrays (tile, ...) by name."""

PROBABILITIES: Final = "probabilities"
"""Name of the answer (tile, class, y, x) in [0, 1] that sums to 1 over class."""


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

    def run(self, tiles: npt.NDArray[np.float32]) -> Answer:
        """Run (tile, band, y, x) float32 to the answers that the model's head names."""
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

    @property
    def answers(self) -> tuple[str, ...]:
        """Names of what ``answering_network`` returns, in its order."""
        ...

    def check_graph(self, graph: OnnxGraph) -> None:
        """Refuse a card that does not describe the network of an ONNX file.

        Raises:
            ModelError: bands, classes or tile differ; both values are named.
        """
        ...

    def named(self, outputs: Sequence[npt.NDArray[np.floating]]) -> Answer:
        """Make answers of the outputs of an ONNX file."""
        ...

    def answering_network(self) -> nn.Module:
        """Build the torch network with its head, which turns logits into ``answers``: a tensor, or a tuple of several.

        Raises:
            ModelError: as ``network``.
        """
        ...

    def network(self) -> nn.Module:
        """Build the bare torch network, with its weights, in evaluation mode, on the CPU.

        Raises:
            ModelError: the file is broken, does not fit its card, or holds no torch network.
        """
        ...
