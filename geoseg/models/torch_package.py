"""TorchPackage: common base of the packages of torch networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from geoseg.core.card import ModelCard
from geoseg.errors import ModelError
from geoseg.io.weights.model_file import QuantisedGraph
from geoseg.models.heads import head_of
from geoseg.runtimes.onnx_graph import OnnxGraph
from geoseg.runtimes.runtime import Answer

if TYPE_CHECKING:
    from torch import nn


class TorchPackage(ABC):
    """A card and a torch network; see ``geoseg.runtimes.runtime.ModelPackage``.

    Attributes:
        card: the model's card.
        onnx: None.
    """

    card: ModelCard
    onnx: Path | None = None

    @property
    def fingerprint(self) -> str | None:
        """See ``ModelPackage``; nothing is known of a network that is in memory alone."""
        return None

    @property
    def answers(self) -> tuple[str, ...]:
        """See ``ModelPackage``."""
        return head_of(self.card).answers

    def quantised(self) -> QuantisedGraph | None:
        """See ``ModelPackage``; None: only files hold quantised networks."""
        return None

    @abstractmethod
    def network(self) -> nn.Module:
        """See ``ModelPackage``."""

    def answering_network(self) -> nn.Module:
        """See ``ModelPackage``."""
        return head_of(self.card).attach(self.network(), self.card)

    def check_graph(self, graph: OnnxGraph) -> None:
        """Raise, since there is no ONNX file.

        Raises:
            ModelError: always.
        """
        raise ModelError(f"{self.card.name}: not an ONNX file.")

    def named(self, outputs: Sequence[npt.NDArray[np.floating]]) -> Answer:
        """See ``ModelPackage``."""
        return dict(zip(self.answers, [np.asarray(output, np.float32) for output in outputs], strict=True))
