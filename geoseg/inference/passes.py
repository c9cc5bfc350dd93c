"""Inference passes over a scene, averaged into one result: one network at one scale on its own tiles each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
import numpy.typing as npt

from geoseg.core.raster import Raster
from geoseg.core.tiling import Block, Tiling
from geoseg.core.window import Window
from geoseg.inference.match import ReadPlan
from geoseg.inference.prepare import BlockInput, prepare, scene_window
from geoseg.io.raster.georeference import crop


@dataclass(frozen=True, slots=True, kw_only=True)
class InferencePass:
    """One inference pass over the scene.

    Attributes:
        member: index of the network in the model.
        scale: resolution relative to that of its card.
        read: plan for reading the scene.
        tiling: its tiles, on its own working grid, with its own halo.
    """

    member: int
    scale: float
    read: ReadPlan
    tiling: Tiling

    def block(self, block: Block) -> Block:
        """Return the block with the tiles of this pass over its window."""
        return replace(block, cells=self.tiling.cells(block.window))


def bands_read(passes: Sequence[InferencePass]) -> tuple[int, ...]:
    """Return the 1-based bands of the scene to read, the union over all passes."""
    first = passes[0].read.bands
    if all(one.read.bands == first for one in passes):
        return first
    return tuple(sorted({band for one in passes for band in one.read.bands}))


def window_read(passes: Sequence[InferencePass], block: Block) -> Window:
    """Return the window of the scene to read for a block, the union over all passes."""
    window = block.window
    for one in passes:
        window = window.union(scene_window(one.read, one.tiling, one.block(block)))
    return window


def readable(passes: Sequence[InferencePass]) -> Window:
    """Return the window of the scene's grid that passes may read: the scene with its largest margin."""
    window = passes[0].read.readable
    for one in passes[1:]:
        window = window.union(one.read.readable)
    return window


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockPixels:
    """Input of all passes for one block.

    Attributes:
        block: the block.
        valid: (y, x) bool over ``block.window``: pixels to predict.
        colour: (band, y, x) float32 over ``block.window``, 0 to 255, as the first pass has it; None unless asked for.
        inputs: iterator over each pass with its input, prepared lazily except for the first.
    """

    block: Block
    valid: npt.NDArray[np.bool_]
    inputs: Iterator[tuple[InferencePass, BlockInput]]
    colour: npt.NDArray[np.float32] | None = None


def block_pixels(
    passes: Sequence[InferencePass], block: Block, raster: Raster, mask: npt.NDArray[np.bool_] | None = None
) -> BlockPixels:
    """Prepare a block for all passes.

    Args:
        passes: at least one.
        block: the block.
        raster: native pixels of ``bands_read(passes)`` over ``window_read(passes, block)``; a pixel that is invalid
            in a band of any pass is invalid for all.
        mask: (y, x) bool over ``block.window``; pixels to predict.
    """
    bands, whole = bands_read(passes), window_read(passes, block)

    def prepared(one: InferencePass) -> tuple[InferencePass, BlockInput]:
        own = one.block(block)
        part = scene_window(one.read, one.tiling, own)
        rows, cols = part.within(whole)
        values = raster.values[:, rows, cols]
        if one.read.bands != bands:
            values = values[[bands.index(band) for band in one.read.bands]]
        grid = crop(raster.geobox, part.shifted(-whole.row_start, -whole.col_start))
        cut = Raster(values=values, valid=raster.valid[rows, cols], geobox=grid)
        return one, prepare(one.read, one.tiling, own, cut, mask)

    first = prepared(passes[0])
    others = map(prepared, passes[1:])
    return BlockPixels(block=block, valid=first[1].valid, inputs=chain([first], others), colour=first[1].colour)
