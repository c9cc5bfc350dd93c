"""Runtime: runs one network on one device; float32 tiles in, named arrays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import numpy.typing as npt

from geoseg.core.card import ModelCard
from geoseg.io.weights.model_file import QuantisedGraph
from geoseg.runtimes.onnx_graph import OnnxGraph

if TYPE_CHECKING:
    from torch import nn


Answer = Mapping[str, npt.NDArray[np.float32]]
"""Outputs of a network for tiles: arrays (tile, ...) by name."""

PROBABILITIES: Final = "probabilities"
"""Name of the output with class probabilities, (tile, class, y, x) in [0, 1], summing to 1 over class."""

BOXES: Final = "boxes"
LABELS: Final = "labels"
SCORES: Final = "scores"
MASKS: Final = "masks"
"""Names of the outputs of detectors: (tile, object, 4) as x, y, x, y; (tile, object); (tile, object); (tile, object, y,
x). Rows with label 0 are no objects: they fill up tiles of fewer objects."""


def joined(answers: Sequence[Answer]) -> Answer:
    """Put the outputs for batches of tiles one behind the other; detectors are filled up to the most objects.

    Args:
        answers: at least one; equal names.
    """
    return {name: _stacked([answer[name] for answer in answers]) for name in answers[0]}


def _stacked(arrays: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    most = max((array.shape[1] for array in arrays if array.ndim > 1), default=0)
    filled = [
        np.pad(array, [(0, 0), (0, most - array.shape[1]), *[(0, 0)] * (array.ndim - 2)])
        if array.ndim > 1 and array.shape[1] < most
        else array
        for array in arrays
    ]
    return np.concatenate(filled)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeInfo:
    """The properties of a runtime that can change the last bits of an output.

    Attributes:
        name: key of ``geoseg.runtimes.registry.RUNTIMES``.
        device: ``cpu``, ``cuda:0``...
        precision: arithmetic precision: ``fp32``, ``bf16``, ``fp16``, or ``int8/fp32`` and ``int8/bf16`` for quantised
            networks, whose other layers compute in floats.
        version: name and version of the library; another version may round differently.
    """

    name: str
    device: str
    precision: str
    version: str


class Runtime(Protocol):
    """Protocol of the runtimes, implemented for torch, OpenVINO and ONNX Runtime.

    Attributes:
        info: its properties.
    """

    info: RuntimeInfo

    @property
    def batch(self) -> int:
        """Tiles per batch."""
        ...

    def run(self, tiles: npt.NDArray[np.float32]) -> Answer:
        """Run tiles (tile, band, y, x) float32 and return the outputs named by the model's head."""
        ...


class ModelPackage(Protocol):
    """Protocol of a card with a network that is loaded lazily, in the form that a runtime can run."""

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        ...

    @property
    def onnx(self) -> Path | None:
        """Path of the ONNX file if the package is one; else None."""
        ...

    @property
    def fingerprint(self) -> str | None:
        """Digest of the files that the network's answers depend on; None: compiled forms of it are not to be kept."""
        ...

    @property
    def answers(self) -> tuple[str, ...]:
        """Names of the outputs of ``answering_network``, in order."""
        ...

    def check_graph(self, graph: OnnxGraph) -> None:
        """Refuse a card that does not describe the network of an ONNX file.

        Raises:
            ModelError: bands, classes or tile differ; both values are named.
        """
        ...

    def named(self, outputs: Sequence[npt.NDArray[np.floating]]) -> Answer:
        """Convert the outputs of an ONNX file to arrays by name."""
        ...

    def quantised(self) -> QuantisedGraph | None:
        """Return the network in 8-bit integers; None where there is none.

        Raises:
            ModelError: the file is broken.
        """
        ...

    def answering_network(self) -> nn.Module:
        """Build the torch network with its head, which converts logits to ``answers``: a tensor, or a tuple of several.

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
