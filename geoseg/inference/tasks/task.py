"""Task and Assembler: the layers that a kind of network makes, and how answers to tiles become a block's result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from geoseg.core.block_result import BlockResult
from geoseg.core.layer import OutputSchema
from geoseg.core.legend import Legend
from geoseg.core.spec import PredictSpec
from geoseg.core.tiling import Tile
from geoseg.inference.passes import BlockPixels, Pass
from geoseg.inference.prepare import Coloured
from geoseg.inference.tta import View
from geoseg.runtimes.runtime import Answer

Refine = Callable[[npt.NDArray[np.float32], Coloured], npt.NDArray[np.float32]]
"""Makes better probabilities (class, y, x) of those of a whole block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """What an assembler must know of a run.

    Attributes:
        legend: codes of the classes.
        spec: options of the prediction.
        schema: layers of the result.
        members: how many networks answer.
        refine: applied to the probabilities of a block before classes are named; None: nothing is.
    """

    legend: Legend
    spec: PredictSpec
    schema: OutputSchema
    members: int = 1
    refine: Refine | None = None


class Assembler(Protocol):
    """Puts the result of one block together from answers to its tiles.

    Answers come network by network, scale by scale, view by view; those of one such view come together.
    """

    def begin(self, one: Pass, share: float) -> None:
        """Begin with the answers to one view of a pass.

        Args:
            one: the pass, which says how its tiles lie on the scene.
            share: weight of these answers, divided by that of all answers so far and theirs; 1 for the first.
        """
        ...

    def add(self, tile: Tile, answer: Answer) -> None:
        """Take in the answer to one tile.

        Raises:
            ModelError: it has another shape, or holds NaN or infinity.
        """
        ...

    def result(self) -> BlockResult:
        """Give the result, when all answers are in."""
        ...


class Task(Protocol):
    """A kind of answer; a model's card names its task."""

    def schema(self, spec: PredictSpec, legend: Legend, members: int) -> OutputSchema:
        """List the layers that a run makes.

        Args:
            spec: says which are wanted.
            legend: codes of the classes.
            members: how many networks answer.
        """
        ...

    def undo(self, answer: Answer, view: View) -> Answer:
        """Turn the answer to a flipped or transposed view of tiles back."""
        ...

    def assembler(self, assembly: Assembly, pixels: BlockPixels) -> Assembler:
        """Make the assembler of one block."""
        ...
