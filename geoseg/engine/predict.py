"""Predict one block: cut its tiles, run the network, blend, classify."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geoseg.core.legend import Legend
from geoseg.core.raster import Raster
from geoseg.core.tiling import Block, Tile, Tiling
from geoseg.core.window import Window
from geoseg.engine.match import ReadPlan
from geoseg.engine.resample import Resampling
from geoseg.engine.runtime import Runtime
from geoseg.errors import ModelError

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
    """

    block: Block
    values: npt.NDArray[np.float32]
    window: Window
    valid: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockResult:
    """The answer for one block, over ``block.window`` of the scene's grid.

    Attributes:
        codes: (y, x) uint8, the legend's codes; its nodata where invalid.
        confidence: (y, x) uint8, probability of the chosen class in percent; 255 where invalid.
    """

    block: Block
    codes: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.uint8]


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
    return BlockInput(block=block, values=values, window=work, valid=valid)


def predict_block(runtime: Runtime, plan: ReadPlan, tiling: Tiling, legend: Legend, source: BlockInput) -> BlockResult:
    """Run the network over one block and name the most probable class of each pixel.

    Raises:
        ModelError: the network answers in another shape, or NaN or infinity.
    """
    blender = _Blender(plan, tiling, legend, source.block)
    tiles = [tile for tile in tiling.tiles(tiling.contributors(source.block)) if _needed(tile, source)]
    while tiles:
        batch, tiles = tiles[: runtime.batch], tiles[runtime.batch :]
        pixels = np.stack([cut_tile(source, tile.read) for tile in batch])
        probs = runtime.probs(pixels)
        if probs.shape != (len(batch), len(legend), *tiling.read_shape):
            expected = (len(batch), len(legend), *tiling.read_shape)
            raise ModelError(f"the network answers in shape {probs.shape}, {expected} is wanted.")
        for tile, answer in zip(batch, probs, strict=True):
            blender.add(tile, answer)
    return blender.result(source.valid)


def empty_result(block: Block, legend: Legend) -> BlockResult:
    """The answer for a block without a single valid pixel."""
    codes = np.full(block.window.shape, legend.nodata, np.uint8)
    return BlockResult(block=block, codes=codes, confidence=np.full(block.window.shape, NO_CONFIDENCE, np.uint8))


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

    With ``core`` a pixel has one tile, so its class is named at once and no probabilities are kept; with ``taper``
    they are summed by weight first.
    """

    def __init__(self, plan: ReadPlan, tiling: Tiling, legend: Legend, block: Block) -> None:
        self._plan, self._tiling, self._block = plan, tiling, block
        self._codes_of = np.asarray(legend.codes, np.uint8)
        self._legend = legend
        shape = block.window.shape
        self._channel = np.zeros(shape, np.uint8)
        self._best = np.zeros(shape, np.float32)
        self._sum = np.zeros((len(legend), *shape), np.float32) if tiling.blend == "taper" else None

    def add(self, tile: Tile, probs: Probs) -> None:
        part = tile.support.intersection(self._block.window)
        here = part.within(self._block.window)
        answer = self._on_scene(tile, probs, part)
        if self._sum is not None:
            self._sum[:, *here] += answer * self._tiling.weight(tile, part)
        else:
            self._channel[here], self._best[here] = most_probable(answer)

    def _on_scene(self, tile: Tile, probs: Probs, part: Window) -> Probs:
        """The tile's answer over pixels ``part`` of the scene's grid, interpolated where the grids differ."""
        if not self._plan.resampled:
            return probs[:, *part.within(tile.read)]
        inside = tile.read.intersection(Window.whole(self._plan.work_shape))
        resampling = Resampling(self._plan.work_shape, self._plan.scene_shape)
        near = resampling.source(part).intersection(inside)
        return resampling.apply(probs[:, *near.within(tile.read)], near, part)

    def result(self, valid: npt.NDArray[np.bool_]) -> BlockResult:
        if self._sum is not None:
            self._channel, self._best = most_probable(self._sum)
        if not np.isfinite(self._best[valid]).all():
            raise ModelError("the network answers NaN or infinity on this scene; its weights or arithmetic are broken.")
        codes = np.where(valid, self._codes_of[self._channel], np.uint8(self._legend.nodata))
        return BlockResult(block=self._block, codes=codes, confidence=as_percent(self._best, valid))


def most_probable(probs: Probs) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Name the most probable channel of (class, y, x); of equals the first wins. NaN anywhere gives NaN.

    Returns:
        Channel (y, x) uint8 and its probability (y, x) float32.
    """
    best = np.array(probs[0], np.float32)
    channel = np.zeros(best.shape, np.uint8)
    for index in range(1, len(probs)):
        channel[probs[index] > best] = index
        np.maximum(best, probs[index], out=best)
    return channel, best


def as_percent(probability: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Round a probability to whole percent, uint8; 255 where invalid."""
    percent = np.rint(np.clip(np.where(valid, probability, 0), 0, 1) * np.float32(100)).astype(np.uint8)
    return np.where(valid, percent, np.uint8(NO_CONFIDENCE))
