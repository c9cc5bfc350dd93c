"""Predict one block: cut its tiles, run the network, blend, classify."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from geoseg.core.legend import Legend
from geoseg.core.raster import Raster
from geoseg.core.tiling import Block, Tile, Tiling
from geoseg.core.window import Window
from geoseg.errors import ModelError
from geoseg.inference.match import ReadPlan
from geoseg.inference.resample import Resampling
from geoseg.runtimes.runtime import Runtime

Probs = npt.NDArray[np.float32]
NO_CONFIDENCE = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockInput:
    """What the network needs for one block.

    Attributes:
        block: which one.
        values: (band, y, x) float32, normalised, 0 where invalid, over ``window``.
        window: where ``values`` lies on the working grid.
        valid: (y, x) bool over ``block.window`` of the scene's grid: where an answer is wanted.
        colour: (band, y, x) float32 over ``block.window``, 0 to 255, where the plan asks for it.
    """

    block: Block
    values: npt.NDArray[np.float32]
    window: Window
    valid: npt.NDArray[np.bool_]
    colour: npt.NDArray[np.float32] | None = None


class Coloured(Protocol):
    """A block of which the colours are known; attributes as of ``BlockInput``."""

    @property
    def block(self) -> Block:
        """Which one."""
        ...

    @property
    def valid(self) -> npt.NDArray[np.bool_]:
        """Where an answer is wanted."""
        ...

    @property
    def colour(self) -> npt.NDArray[np.float32] | None:
        """The colours."""
        ...


Refine = Callable[[Probs, Coloured], Probs]
"""Makes better probabilities (class, y, x) of those of a whole block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockResult:
    """The answer for one block, over ``block.window`` of the scene's grid.

    Attributes:
        codes: (y, x) uint8, the legend's codes; its nodata where invalid.
        confidence: (y, x) uint8, probability of the chosen class in percent; 255 where invalid.
        more: further percentages like ``confidence``, in the order of ``PredictSpec.more_layers``.
    """

    block: Block
    codes: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.uint8]
    more: tuple[npt.NDArray[np.uint8], ...] = ()


def scene_window(plan: ReadPlan, tiling: Tiling, block: Block) -> Window:
    """Pixels of the scene that must be read to predict a block."""
    work = tiling.read_window(block).intersection(Window.whole(plan.work_shape))
    if not plan.resampled:
        return work
    source = Resampling(plan.scene_shape, plan.work_shape).source(work)
    return source.union(block.window)


def prepare(
    plan: ReadPlan, tiling: Tiling, block: Block, raster: Raster, wanted: npt.NDArray[np.bool_] | None = None
) -> BlockInput:
    """Turn what was read into what the network sees.

    Args:
        plan: how the scene is read.
        tiling: the tiles.
        block: which block.
        raster: native pixels over ``scene_window(plan, tiling, block)``.
        wanted: (y, x) bool over ``block.window``; False where no answer is wanted (outside an area of interest).
    """
    read = scene_window(plan, tiling, block)
    values = plan.normalise(raster.values, raster.valid)
    work = tiling.read_window(block).intersection(Window.whole(plan.work_shape))
    if plan.resampled:
        resampling = Resampling(plan.scene_shape, plan.work_shape)
        values, _ = resampling.apply_valid(values, raster.valid, read, work)
    valid = raster.valid[block.window.within(read)]
    if wanted is not None:
        valid = valid & wanted
    colour = None if plan.colour is None else plan.colour.of(raster.values[:, *block.window.within(read)])
    return BlockInput(block=block, values=values, window=work, valid=valid, colour=colour)


def predict_block(
    runtime: Runtime,
    plan: ReadPlan,
    tiling: Tiling,
    legend: Legend,
    source: BlockInput,
    *,
    refine: Refine | None = None,
) -> BlockResult:
    """Run the network over one block and name the most probable class of each pixel.

    Args:
        runtime: runs the network.
        plan: how the scene is read.
        tiling: the tiles.
        legend: codes of the classes.
        source: the block.
        refine: comes between the network and the naming.

    Raises:
        ModelError: the network answers in another shape, or NaN or infinity.
    """
    blender = _Blender(plan, tiling, legend, source, refine)
    for tile, answer in tile_answers(runtime, tiling, len(legend), source):
        blender.add(tile, answer)
    return blender.result()


def tile_answers(runtime: Runtime, tiling: Tiling, classes: int, source: BlockInput) -> Iterator[tuple[Tile, Probs]]:
    """Run the network over the tiles of one block that a valid pixel needs.

    Yields:
        Each tile with its probabilities (class, y, x) over ``tile.read``.

    Raises:
        ModelError: the network answers in another shape.
    """
    tiles = [tile for tile in tiling.tiles(tiling.contributors(source.block)) if _needed(tile, source)]
    while tiles:
        batch, tiles = tiles[: runtime.batch], tiles[runtime.batch :]
        pixels = np.stack([cut_tile(source, tile.read) for tile in batch])
        probs = runtime.probs(pixels)
        if probs.shape != (len(batch), classes, *tiling.read_shape):
            expected = (len(batch), classes, *tiling.read_shape)
            raise ModelError(f"the network answers in shape {probs.shape}, {expected} is wanted.")
        yield from zip(batch, probs, strict=True)


def empty_result(block: Block, legend: Legend, more: int = 0) -> BlockResult:
    """The answer for a block without a single valid pixel, with so many further percentages."""
    codes = np.full(block.window.shape, legend.nodata, np.uint8)
    confidence, *others = (np.full(block.window.shape, NO_CONFIDENCE, np.uint8) for _ in range(1 + more))
    return BlockResult(block=block, codes=codes, confidence=confidence, more=tuple(others))


def cut_result(result: BlockResult, block: Block) -> BlockResult:
    """Keep the part of a wider result that a block answers for."""
    if result.block == block:
        return result
    here = block.window.within(result.block.window)
    more = tuple(layer[here] for layer in result.more)
    return BlockResult(block=block, codes=result.codes[here], confidence=result.confidence[here], more=more)


def _needed(tile: Tile, source: BlockInput) -> bool:
    """Whether any valid pixel of the block gets weight from this tile."""
    part = tile.support.intersection(source.block.window)
    return bool(source.valid[part.within(source.block.window)].any())


def cut_tile(source: BlockInput, read: Window) -> npt.NDArray[np.float32]:
    """Cut one tile (band, y, x) out of a block's pixels; past the grid's end they are reflected."""
    if source.window.contains(read):
        return source.values[:, *read.within(source.window)]
    rows = _reflected(read.row_start, read.row_stop, source.window.row_stop) - source.window.row_start
    cols = _reflected(read.col_start, read.col_stop, source.window.col_stop) - source.window.col_start
    return source.values[:, rows[:, None], cols[None, :]]


def _reflected(start: int, stop: int, length: int) -> npt.NDArray[np.int64]:
    """Indices [start, stop) folded back into [0, length) without repeating the edge."""
    if length == 1:
        return np.zeros(stop - start, np.int64)
    period = 2 * (length - 1)
    index = np.arange(start, stop) % period
    return np.minimum(index, period - index)


class _Blender:
    """Gather the answers of tiles into one block.

    With ``core`` a pixel has one tile, so its class is named at once and no probabilities are kept; with ``taper``,
    and where they are refined, they are summed by weight first.
    """

    def __init__(
        self, plan: ReadPlan, tiling: Tiling, legend: Legend, source: BlockInput, refine: Refine | None
    ) -> None:
        self._plan, self._tiling, self._source = plan, tiling, source
        self._legend, self._refine = legend, refine
        shape = source.block.window.shape
        self._result = empty_result(source.block, legend)
        self._sum = np.zeros((len(legend), *shape), np.float32) if tiling.blend == "taper" or refine else None

    def add(self, tile: Tile, probs: Probs) -> None:
        part = tile.support.intersection(self._source.block.window)
        here = part.within(self._source.block.window)
        answer = on_scene(self._plan, tile, probs, part)
        if self._sum is not None:
            self._sum[:, *here] += answer * self._tiling.weight(tile, part)
        else:
            self._name(answer, here)

    def _name(self, probs: Probs, here: tuple[slice, slice]) -> None:
        name_classes(probs, self._source.valid, self._legend, self._result, here)

    def result(self) -> BlockResult:
        if self._sum is not None:
            probs = self._sum if self._refine is None else self._refine(self._sum, self._source)
            self._name(probs, (slice(None), slice(None)))
        return self._result


def name_classes(
    probs: Probs, valid: npt.NDArray[np.bool_], legend: Legend, result: BlockResult, here: tuple[slice, slice]
) -> None:
    """Name the class of every valid pixel of a part of a block, and how probable it is.

    Args:
        probs: (class, y, x) over the part.
        valid: (y, x) over the block.
        legend: codes of the channels.
        result: written into.
        here: the part, within the block.

    Raises:
        ModelError: a valid pixel has NaN or infinity.
    """
    channel, best = most_probable(probs)
    known = valid[here]
    whole = bool(known.all())
    if not np.isfinite(best.sum()) and not np.isfinite(best[known]).all():
        raise ModelError("the network answers NaN or infinity on this scene; its weights or arithmetic are broken.")
    codes_of = np.asarray(legend.codes, np.uint8)
    where: npt.NDArray[np.bool_] | Literal[True] = True if whole else known
    np.copyto(result.codes[here], codes_of[channel], where=where)
    np.copyto(result.confidence[here], as_percent(best if whole else np.where(known, best, 0)), where=where)


def on_scene(plan: ReadPlan, tile: Tile, probs: Probs, part: Window) -> Probs:
    """Give a tile's answer over pixels ``part`` of the scene's grid, interpolated where the grids differ."""
    if not plan.resampled:
        return probs[:, *part.within(tile.read)]
    inside = tile.read.intersection(Window.whole(plan.work_shape))
    resampling = Resampling(plan.work_shape, plan.scene_shape)
    near = resampling.source(part).intersection(inside)
    return resampling.apply(probs[:, *near.within(tile.read)], near, part)


def most_probable(probs: Probs) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Name the most probable channel of (class, y, x); of equals the first wins. NaN anywhere gives NaN.

    Returns:
        Channel (y, x) uint8 and its probability (y, x) float32.
    """
    if len(probs) == 1:
        return np.zeros(probs.shape[1:], np.uint8), np.array(probs[0], np.float32)
    channel = (probs[1] > probs[0]).view(np.uint8)
    best = np.maximum(probs[0], probs[1])
    for index in range(2, len(probs)):
        np.copyto(channel, np.uint8(index), where=probs[index] > best)
        np.maximum(best, probs[index], out=best)
    return channel, best


def as_percent(probability: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Round a probability, 0 to 1 but for rounding, to whole percent, uint8."""
    percent = probability * np.float32(100)
    np.rint(percent, out=percent)
    np.clip(percent, 0, 100, out=percent)
    return percent.astype(np.uint8)
