"""Instance segmentation: objects, each with a class, a score and a mask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from geoseg.core.block_result import BlockResult
from geoseg.core.class_choice import chosen_codes
from geoseg.core.layer import OutputSchema
from geoseg.core.legend import Legend
from geoseg.core.objects import ObjectTable
from geoseg.core.spec import InstanceChoice, PredictSpec
from geoseg.core.tiling import Tile
from geoseg.core.window import Window
from geoseg.errors import ModelError, UsageError
from geoseg.inference.match import ReadPlan
from geoseg.inference.passes import BlockPixels, InferencePass
from geoseg.inference.resample import Resampling
from geoseg.inference.suppression import Detection, suppress
from geoseg.inference.tasks.instance_layers import VALID, instance_schema
from geoseg.inference.tasks.task import Assembly, options_of_class_maps
from geoseg.inference.tta import View, turned_back
from geoseg.runtimes.runtime import LABELS, MASKS, SCORES, Answer

LABELS_PER_TILE = 1 << 24
"""Label of view ``k`` of tile ``t`` (row by row over the scene): ``t * LABELS_PER_TILE + k``."""

Place = tuple[slice, slice]
"""Rows and columns of a tile."""

LINKS = 0.5
"""Views down to this share of the least score are kept, since they show that better views are one object."""


class InstanceTask:
    """Objects with class, score and mask; see ``Task``.

    A block's result holds what its tiles detect, each in the whole window that it reads. What is one object over
    several tiles is decided when all blocks are finished; see ``geoseg.inference.objects``.
    """

    def schema(self, spec: PredictSpec, legend: Legend, members: int) -> OutputSchema:
        """List the layers: class codes, scores, polygons and, on request, ids.

        Raises:
            UsageError: an option makes no sense for objects.
        """
        refused = options_of_class_maps(spec) | {
            "--panoptic and --stuff-area-m2": spec.panoptic is not None,
            "a second --model": members > 1,
        }
        choice = spec.instances
        if choice is not None and choice.regularise is not None:
            chosen_codes("--regularise", choice.regularise, legend)
            if choice.overlaps == "keep":
                raise UsageError("--regularise needs objects that do not overlap; leave out --overlaps keep.")
        named = [option for option, given in refused.items() if given]
        if named:
            raise UsageError(f"the model detects objects, not classes of pixels; leave out {', '.join(named)}.")
        return instance_schema(spec, legend)

    def undo(self, answer: Answer, view: View) -> Answer:
        """Invert a flip or transposition of masks."""
        return {**answer, MASKS: turned_back(answer[MASKS], view)}

    def assembler(self, assembly: Assembly, pixels: BlockPixels) -> InstanceAssembler:
        """Make the assembler of one block."""
        return InstanceAssembler(assembly, pixels)


class InstanceAssembler:
    """Collects the detections of a block's tiles, on the scene's grid; see ``Assembler``.

    Args:
        assembly: settings of the run.
        pixels: input of the block.
        codes: class of each label, counted from 1; None: all classes of the legend but the background.
    """

    def __init__(self, assembly: Assembly, pixels: BlockPixels, codes: tuple[int, ...] | None = None) -> None:
        self._choice = assembly.spec.instances or InstanceChoice()
        self._least = LINKS * (assembly.min_score if self._choice.min_score is None else self._choice.min_score)
        self._codes = assembly.legend.things if codes is None else codes
        self._pixels = pixels
        self._schema = assembly.schema
        self._pass: InferencePass | None = None
        self._tiles: dict[int, tuple[Window, list[Detection]]] = {}

    def begin(self, one: InferencePass, share: float) -> None:
        """See ``Assembler``; detections of all views of a tile are put together."""
        del share
        self._pass = one

    def add(self, tile: Tile, answer: Answer) -> None:
        """See ``Assembler``.

        Args:
            tile: the tile.
            answer: ``labels`` (n,) of classes, 0 for none; ``scores`` (n,); ``masks`` (n, y, x), object from 0.5, or
                (1, y, x) int32 numbers of objects, counted from 1.
        """
        assert self._pass is not None  # noqa: S101 - begin comes first
        plan, tiling = self._pass.read, self._pass.tiling
        labels, scores, masks = answer[LABELS], answer[SCORES], answer[MASKS]
        drawn = 1 if masks.dtype == np.int32 else len(labels)
        if masks.shape != (drawn, *tiling.read_shape) or len(scores) != len(labels):
            raise ModelError(f"the network answers a tile with masks {masks.shape} of {len(labels)} objects.")
        if not np.isfinite(scores).all() or labels.max(initial=0) > len(self._codes):
            raise ModelError("the network answers scores that are not finite, or labels that its card does not name.")
        seen = seen_window(plan, tile)
        number = tile.row * tiling.shape[1] + tile.col
        _, found = self._tiles.setdefault(number, (seen, []))
        objects: Iterable[_TileMask] = (
            _numbered(masks[0], len(labels)) if masks.dtype == np.int32 else (_Dense(mask) for mask in masks)
        )
        for label, score, one in zip(labels, scores, objects, strict=True):
            if label >= 1 and score >= self._least:
                placed = _on_scene(plan, tile, seen, one)
                if placed is not None:
                    found.append(
                        Detection(
                            code=self._codes[int(label) - 1], score=float(score), window=placed[0], mask=placed[1]
                        )
                    )

    def result(self) -> BlockResult:
        """See ``Assembler``."""
        result = BlockResult.empty(self._pixels.block, self._schema)
        result.planes[VALID][...] = self._pixels.valid
        scene = Window.whole(self._pass.read.scene_shape) if self._pass is not None else None
        tables = []
        for number, (seen, detections) in sorted(self._tiles.items()):
            kept = suppress(detections, self._choice.suppress, self._choice.nms_iou, self._least)
            assert scene is not None  # noqa: S101 - a tile was added
            tables.append(_table(number, kept, seen, scene))
        return BlockResult(
            block=self._pixels.block, planes=result.planes, objects=ObjectTable.concatenated(tables) if tables else None
        )


def seen_window(plan: ReadPlan, tile: Tile) -> Window:
    """Return the pixels of the scene that a tile sees: those whose centres lie in the window that it reads."""
    if not plan.resampled:
        return tile.read.intersection(Window.whole(plan.scene_shape))
    axes = zip(
        (tile.read.row_start, tile.read.col_start),
        (tile.read.row_stop, tile.read.col_stop),
        plan.scene_shape,
        plan.work_shape,
        strict=True,
    )
    ends = []
    for start, stop, scene, work in axes:
        ends += [max(0, round(start * scene / work)), min(scene, round(min(stop, work) * scene / work))]
    return Window(*ends).union(tile.core)


def _table(number: int, detections: Iterable[Detection], seen: Window, scene: Window) -> ObjectTable:
    """Make the table of one tile."""
    table = ObjectTable.from_masks(
        [(one.code, one.score, one.window, one.mask, _is_open(one, seen, scene)) for one in detections]
    )
    columns = table.columns()
    return ObjectTable(**{**columns, "label": table.label + number * LABELS_PER_TILE})


def _is_open(one: Detection, seen: Window, scene: Window) -> bool:
    """Return True if a mask touches the edge of what its tile sees, inside the scene."""
    at, mask = one.window, one.mask
    sides = (
        (at.row_start == seen.row_start > scene.row_start, mask[0]),
        (at.row_stop == seen.row_stop < scene.row_stop, mask[-1]),
        (at.col_start == seen.col_start > scene.col_start, mask[:, 0]),
        (at.col_stop == seen.col_stop < scene.col_stop, mask[:, -1]),
    )
    return any(there and bool(pixels.any()) for there, pixels in sides)


class _TileMask(Protocol):
    """Mask of an object on a tile."""

    def box(self) -> Window | None:
        """Return the smallest window of the tile that holds it; None if it has no pixel."""

    def values(self, place: Place) -> npt.NDArray[np.float32]:
        """Return the part of the mask at a place of the tile, object from 0.5."""


class _Dense:
    """Mask over a whole tile; object from 0.5."""

    def __init__(self, values: npt.NDArray[np.float32]) -> None:
        self._values = values

    def box(self) -> Window | None:
        """See ``_TileMask``."""
        return _held(self._values >= 0.5)

    def values(self, place: Place) -> npt.NDArray[np.float32]:
        """See ``_TileMask``."""
        return self._values[place].astype(np.float32)


class _Numbered:
    """Mask of one number in a tile of numbers."""

    def __init__(self, numbers: npt.NDArray[np.int32], number: int, box: Window | None) -> None:
        self._numbers, self._number, self._box = numbers, number, box

    def box(self) -> Window | None:
        """See ``_TileMask``."""
        return self._box

    def values(self, place: Place) -> npt.NDArray[np.float32]:
        """See ``_TileMask``."""
        return np.asarray(self._numbers[place] == self._number, np.float32)


def _numbered(numbers: npt.NDArray[np.int32], count: int) -> Iterator[_Numbered]:
    """List the masks of a tile of numbers."""
    for number, place in enumerate(ndimage.find_objects(numbers, count) if count else (), start=1):
        box = None if place is None else Window(place[0].start, place[0].stop, place[1].start, place[1].stop)
        yield _Numbered(numbers, number, box)


def _held(mask: npt.NDArray[np.bool_]) -> Window | None:
    """Return the smallest window that holds a mask; None if it has no pixel."""
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Window(int(rows[0]), int(rows[-1]) + 1, int(cols[0]), int(cols[-1]) + 1) if len(rows) else None


def _on_scene(plan: ReadPlan, tile: Tile, seen: Window, one: _TileMask) -> tuple[Window, npt.NDArray[np.bool_]] | None:
    """Return the smallest window of the scene that holds a mask, and the mask there; None if it has no pixel."""
    box = one.box()
    if box is None:
        return None
    box = box.shifted(tile.read.row_start, tile.read.col_start)
    if not plan.resampled:
        part = box.intersection(seen)
        mask = one.values(part.within(tile.read)) >= 0.5
    else:
        grid = Window.whole(plan.work_shape)
        inside, shown = tile.read.intersection(grid), box.intersection(grid)
        if not shown.pixels:  # a mirror image beyond the scene's edge
            return None
        up = Resampling(plan.scene_shape, plan.work_shape)
        part = up.source(shown.expanded(1).intersection(grid)).intersection(seen)
        resampling = Resampling(plan.work_shape, plan.scene_shape)
        near = resampling.source(part).intersection(inside)
        mask = resampling.apply(one.values(near.within(tile.read)), near, part) >= 0.5
    held = _held(mask)
    if held is None:
        return None
    return held.shifted(part.row_start, part.col_start), np.ascontiguousarray(mask[held.slices])
