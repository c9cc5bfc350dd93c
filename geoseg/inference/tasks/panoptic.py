"""Panoptic segmentation: a class for each pixel, and an object for each thing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from geoseg.core.block_result import BlockResult
from geoseg.core.layer import OutputSchema
from geoseg.core.legend import Legend
from geoseg.core.spec import PredictSpec
from geoseg.core.tiling import Tile
from geoseg.errors import UsageError
from geoseg.inference.passes import BlockPixels, InferencePass
from geoseg.inference.tasks.instance import InstanceAssembler
from geoseg.inference.tasks.panoptic_layers import INNER, inner_schema, panoptic_schema
from geoseg.inference.tasks.semantic import SemanticAssembler
from geoseg.inference.tasks.task import Assembly, options_of_class_maps
from geoseg.inference.tta import View, turned_back
from geoseg.runtimes.runtime import MASKS, PROBABILITIES, Answer

_ABOVE_NOTHING = np.float32(1e-6)
"""Added to the probabilities of stuff, so that a class of stuff is the best one even where all of them are 0."""


class PanopticTask:
    """Stuff as a class map, things as objects with score and mask; see ``Task``.

    Classes that the legend marks as countable are things. What is one thing over several tiles, and what becomes of the
    pixels of several things, is decided when all blocks are finished; see ``geoseg.inference.panoptic``.
    """

    def schema(self, spec: PredictSpec, legend: Legend, members: int) -> OutputSchema:
        """List the layers: class codes, confidence, labels and polygons.

        Raises:
            UsageError: an option makes no sense for panoptic maps.
        """
        del members
        choice = spec.instances
        refused = options_of_class_maps(spec) | {
            "--overlaps keep": choice is not None and choice.overlaps == "keep",
            "--object-ids": choice is not None and choice.object_ids,
            "--regularise": choice is not None and choice.regularise is not None,
        }
        named = [option for option, given in refused.items() if given]
        if named:
            raise UsageError(f"panoptic maps have no such layer; leave out {', '.join(named)}.")
        return panoptic_schema(spec, legend)

    def undo(self, answer: Answer, view: View) -> Answer:
        """Invert a flip or transposition of masks and probabilities."""
        turned = {name: turned_back(answer[name], view) for name in (MASKS, PROBABILITIES) if name in answer}
        return {**answer, **turned}

    def assembler(self, assembly: Assembly, pixels: BlockPixels) -> PanopticAssembler:
        """Make the assembler of one block."""
        return PanopticAssembler(assembly, pixels)


class PanopticAssembler:
    """Assembles stuff as class maps are assembled, and things as detected objects are; see ``Assembler``.

    The probabilities of things do not compete with those of stuff: below each thing lies its best class of stuff, which
    is the pixel's class where no thing stays.

    Args:
        assembly: settings of the run.
        pixels: input of the block.
    """

    def __init__(self, assembly: Assembly, pixels: BlockPixels) -> None:
        legend = assembly.legend
        stuff = replace(assembly, schema=inner_schema(legend), spec=_without_objects(assembly.spec), members=1)
        self._stuff = SemanticAssembler(stuff, pixels)
        self._things = InstanceAssembler(
            assembly, pixels, legend.countable if assembly.things is None else assembly.things
        )
        self._is_stuff = np.array([not entry.countable for entry in legend.classes])[:, None, None]
        self._pass: InferencePass | None = None
        self._begun: set[str] = set()
        self._views = 0

    def begin(self, one: InferencePass, share: float) -> None:
        """See ``Assembler``."""
        del share  # networks of things have none in the mean of stuff
        self._pass, self._begun = one, set()

    def add(self, tile: Tile, answer: Answer) -> None:
        """See ``Assembler``; a network answers stuff, things or both.

        A semantic network of a pair answers the first classes of the legend; those behind are things that it does not
        know.
        """
        if PROBABILITIES in answer:
            self._begin(PROBABILITIES)
            probs = answer[PROBABILITIES]
            probs = np.pad(probs, ((0, max(0, len(self._is_stuff) - len(probs))), (0, 0), (0, 0)))
            probs = np.where(self._is_stuff, probs + _ABOVE_NOTHING, np.float32(0))
            self._stuff.add(tile, {PROBABILITIES: probs})
        if MASKS in answer:
            self._begin(MASKS)
            self._things.add(tile, answer)

    def result(self) -> BlockResult:
        """See ``Assembler``."""
        things, stuff = self._things.result(), self._stuff.result()
        planes = {**things.planes, **{name: stuff.planes[inner] for name, inner in INNER.items()}}
        return BlockResult(block=things.block, planes=planes, objects=things.objects)

    def _begin(self, name: str) -> None:
        """Start the answers of one kind of a view."""
        assert self._pass is not None  # noqa: S101 - begin comes first
        if name in self._begun:
            return
        self._begun.add(name)
        if name == MASKS:
            self._things.begin(self._pass, 1.0)
            return
        self._views += 1
        self._stuff.begin(self._pass, 1 / self._views)


def _without_objects(spec: PredictSpec) -> PredictSpec:
    return spec.model_copy(update={"instances": None})
