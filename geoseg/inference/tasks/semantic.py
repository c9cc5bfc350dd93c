"""Semantic segmentation: one class for each pixel."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from geoseg.core.block_result import BlockResult
from geoseg.core.class_choice import object_codes
from geoseg.core.layer import (
    CLASSES,
    CONFIDENCE,
    ENTROPY,
    MUTUAL_INFORMATION,
    OutputSchema,
    class_map_schema,
    probability_name,
)
from geoseg.core.legend import Legend
from geoseg.core.spec import PredictSpec
from geoseg.core.tiling import Tile
from geoseg.core.types.arrays import AnyArray
from geoseg.core.window import Window
from geoseg.errors import ModelError, UsageError
from geoseg.inference.classify import ClassifiedPixels, Probs, as_percent, classify
from geoseg.inference.match import ReadPlan
from geoseg.inference.mixture import Mixture
from geoseg.inference.passes import BlockPixels, InferencePass
from geoseg.inference.resample import Resampling
from geoseg.inference.tasks.panoptic_layers import counted_panoptic_schema
from geoseg.inference.tasks.task import Assembly
from geoseg.inference.tta import View, turned_back
from geoseg.runtimes.runtime import PROBABILITIES, Answer


class SemanticTask:
    """One class for each pixel, of the network's classes; see ``Task``."""

    def schema(self, spec: PredictSpec, legend: Legend, members: int) -> OutputSchema:
        """List the layers: class codes, confidence, polygons and the optional ones requested.

        Raises:
            UsageError: objects of a class are requested that the legend lacks.
        """
        if spec.instances is not None:
            raise UsageError(
                "the model names a class for each pixel and detects no objects; leave out --min-score, --nms-iou, "
                "--suppress, --overlaps, --object-ids and --regularise, or name classes with --objects."
            )
        if spec.objects is not None:
            object_codes(spec.objects.classes, legend)
        if spec.panoptic is not None:
            object_codes(spec.counted.classes, legend)
            return counted_panoptic_schema(class_map_schema(spec, legend, members))
        return class_map_schema(spec, legend, members)

    def undo(self, answer: Answer, view: View) -> Answer:
        """Invert a flip or transposition of probabilities."""
        return {name: turned_back(array, view) for name, array in answer.items()}

    def assembler(self, assembly: Assembly, pixels: BlockPixels) -> SemanticAssembler:
        """Make the assembler of one block."""
        return SemanticAssembler(assembly, pixels)


class SemanticAssembler:
    """Assembler of class maps: blends tiles, averages predictions, refines and classifies; see ``Assembler``.

    With a single prediction and no output that needs probabilities, a pixel of the ``core`` blend is classified as soon
    as its tile is added, and no probabilities are kept. Otherwise one mean over the block is kept and, with ``taper``,
    the prediction that is being blended.

    For further planes of the schema, override ``fill_planes``.

    Args:
        assembly: settings of the run.
        pixels: input of the block.
    """

    def __init__(self, assembly: Assembly, pixels: BlockPixels) -> None:
        self._assembly, self._pixels = assembly, pixels
        self._legend, self._window = assembly.legend, pixels.block.window
        self._result = BlockResult.empty(pixels.block, assembly.schema)
        planes = self._result.planes
        self._named = ClassifiedPixels(valid=pixels.valid, codes=planes[CLASSES], confidence=planes[CONFIDENCE])
        self._single = assembly.spec.answers(assembly.members) == 1
        further = planes.keys() - {CLASSES, CONFIDENCE}
        self._mean: Mixture | None = None
        if further or not self._single or assembly.refine is not None:
            self._mean = Mixture(len(self._legend), self._window.shape, entropies=MUTUAL_INFORMATION in planes)
        self._blended: Probs | None = None
        self._pass: InferencePass | None = None
        self._share = 1.0

    def begin(self, one: InferencePass, share: float) -> None:
        """See ``Assembler``."""
        self._end()
        self._pass, self._share = one, share
        if one.tiling.blend == "taper":
            self._blended = np.zeros((len(self._legend), *self._window.shape), np.float32)

    def add(self, tile: Tile, answer: Answer) -> None:
        """See ``Assembler``."""
        assert self._pass is not None  # noqa: S101 - begin comes first
        probs, tiling = answer[PROBABILITIES], self._pass.tiling
        expected = (len(self._legend), *tiling.read_shape)
        if probs.shape != expected:
            raise ModelError(f"the network answers a tile in shape {probs.shape}, {expected} is expected.")
        part = tile.support.intersection(self._window)
        here = part.within(self._window)
        on_grid = to_scene_grid(self._pass.read, tile, probs, part)
        if self._blended is not None:
            self._blended[:, *here] += on_grid * tiling.weight(tile, part)
        elif self._mean is not None:
            self._mean.add(on_grid, here, self._share)
        else:
            classify(on_grid, self._legend, self._named, here)

    def fill_planes(self, planes: Mapping[str, AnyArray], probs: Probs, valid: npt.NDArray[np.bool_]) -> None:
        """Override it: compute planes of a schema of one's own from the final probabilities of a block.

        Args:
            planes: (y, x) by name, filled with each layer's nodata; to be written to.
            probs: (class, y, x) float32 that the classes are named from.
            valid: (y, x) True where the block has a result.
        """

    def _end(self) -> None:
        """Add the blended prediction to the mean."""
        if self._blended is None:
            return
        if self._mean is None:
            classify(self._blended, self._legend, self._named)
        else:
            self._mean.add(self._blended, Window.whole(self._window.shape).slices, self._share)
        self._blended = None

    def result(self) -> BlockResult:
        """See ``Assembler``. Uncertainty is that of the networks' predictions before refinement."""
        self._end()
        if self._mean is None:
            return self._result
        refine, mean = self._assembly.refine, self._mean.mean
        probs = mean if refine is None else refine(mean, self._pixels)
        classify(probs, self._legend, self._named)
        self.fill_planes(self._result.planes, probs, self._pixels.valid)
        if ENTROPY in self._result.planes:
            whole, mutual = self._mean.uncertainty()
            self._keep(ENTROPY, whole)
            if mutual is not None:
                self._keep(MUTUAL_INFORMATION, mutual)
        for code, plane in zip(self._legend.codes, probs, strict=True):
            name = probability_name(code)
            if name in self._result.planes:
                self._keep(name, plane)
        return self._result

    def _keep(self, name: str, values: npt.NDArray[np.float32]) -> None:
        valid = self._pixels.valid
        np.copyto(self._result.planes[name], as_percent(np.where(valid, values, 0)), where=valid)


def to_scene_grid(plan: ReadPlan, tile: Tile, probs: Probs, part: Window) -> Probs:
    """Return a tile's probabilities over a window of the scene's grid, interpolated if the grids differ.

    Args:
        plan: plan for reading the scene.
        tile: the tile.
        probs: (class, y, x) over ``tile.read``.
        part: window of the scene's grid.

    Returns:
        (class, y, x) float32 over ``part``.
    """
    if not plan.resampled:
        return probs[:, *part.within(tile.read)]
    inside = tile.read.intersection(plan.work_readable)
    resampling = Resampling(plan.work_shape, plan.scene_shape)
    near = resampling.source(part, plan.work_readable).intersection(inside)
    return resampling.apply(probs[:, *near.within(tile.read)], near, part)
