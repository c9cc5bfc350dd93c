"""Task and Assembler: protocols for the layers of a kind of network and for assembling a block from tiles."""

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
from geoseg.inference.passes import BlockPixels, InferencePass
from geoseg.inference.prepare import HasColour
from geoseg.inference.tta import View
from geoseg.runtimes.runtime import Answer

Refine = Callable[[npt.NDArray[np.float32], HasColour], npt.NDArray[np.float32]]
"""Refinement of the probabilities (class, y, x) of a whole block."""


def options_of_class_maps(spec: PredictSpec) -> dict[str, bool]:
    """List the options that only class maps have, each with whether it is given."""
    return {
        "--objects": spec.objects is not None,
        "--crf": spec.crf is not None,
        "--uncertainty": spec.uncertainty,
        "--probabilities": spec.probabilities,
        "--tta-scales": len(spec.tta_scales) > 1,
        "--blend taper": spec.blend != "core",
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """Settings of a run for its assemblers.

    Attributes:
        legend: codes of the classes.
        spec: options of the prediction.
        schema: layers of the result.
        members: number of networks.
        refine: applied to the probabilities of a block before classes are named; None: nothing is.
        min_score: least score of an object, by the model's card.
        things: code of each label of a detector, counted from 1; None: as the legend says.
    """

    legend: Legend
    spec: PredictSpec
    schema: OutputSchema
    members: int = 1
    refine: Refine | None = None
    min_score: float = 0.5
    things: tuple[int, ...] | None = None


class Assembler(Protocol):
    """Protocol of the object that assembles the result of one block from network outputs for its tiles.

    Outputs are added network by network, scale by scale, view by view; all tiles of one view in sequence.
    """

    def begin(self, one: InferencePass, share: float) -> None:
        """Start the outputs of one view of a pass.

        Args:
            one: the pass, which holds the tiling.
            share: weight of this view divided by the sum of all weights so far, its own included; 1 for the first.
        """
        ...

    def add(self, tile: Tile, answer: Answer) -> None:
        """Add the output for one tile.

        Args:
            tile: the tile.
            answer: arrays over ``tile.read``, by name.

        Raises:
            ModelError: the output has another shape, or holds NaN or infinity.
        """
        ...

    def result(self) -> BlockResult:
        """Return the result after all outputs were added."""
        ...


class Task(Protocol):
    """Protocol of a task: the kind of result that a network gives. A model's card names its task."""

    def schema(self, spec: PredictSpec, legend: Legend, members: int) -> OutputSchema:
        """List the layers that a run makes.

        Args:
            spec: options that choose the layers.
            legend: codes of the classes.
            members: number of networks.
        """
        ...

    def undo(self, answer: Answer, view: View) -> Answer:
        """Invert the flip or transposition of a view in the output for it."""
        ...

    def assembler(self, assembly: Assembly, pixels: BlockPixels) -> Assembler:
        """Make the assembler of one block."""
        ...
