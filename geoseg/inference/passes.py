"""Passes: the looks at a scene that one answer is averaged from, each by one network at one scale on its own tiles."""

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
class Pass:
    """One look at the scene.

    Attributes:
        member: which network of the model.
        scale: pixels it sees along a side, relative to what its card asks for.
        read: how the scene is read for it.
        tiling: its tiles, on its own working grid, with its own halo.
    """

    member: int
    scale: float
    read: ReadPlan
    tiling: Tiling

    def block(self, block: Block) -> Block:
        """Give a block the tiles of this pass over its window."""
        return replace(block, cells=self.tiling.cells(block.window))


def bands_read(passes: Sequence[Pass]) -> tuple[int, ...]:
    """Bands of the scene to read, once for all passes."""
    first = passes[0].read.bands
    if all(one.read.bands == first for one in passes):
        return first
    return tuple(sorted({band for one in passes for band in one.read.bands}))


def window_read(passes: Sequence[Pass], block: Block) -> Window:
    """Pixels of the scene to read for a block, once for all passes."""
    window = block.window
    for one in passes:
        window = window.union(scene_window(one.read, one.tiling, one.block(block)))
    return window


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockPixels:
    """What the networks need for one block.

    Attributes:
        block: which one.
        valid: (y, x) bool over ``block.window``: where an answer is wanted.
        colour: (band, y, x) float32 over ``block.window``, 0 to 255, as the first pass has it; None unless asked for.
        inputs: each pass with its input, prepared when its turn comes, the first at once; can be gone through once.
    """

    block: Block
    valid: npt.NDArray[np.bool_]
    inputs: Iterator[tuple[Pass, BlockInput]]
    colour: npt.NDArray[np.float32] | None = None


def block_pixels(
    passes: Sequence[Pass], block: Block, raster: Raster, wanted: npt.NDArray[np.bool_] | None = None
) -> BlockPixels:
    """Prepare a block for all passes.

    Args:
        passes: at least one.
        block: which block.
        raster: native pixels of ``bands_read(passes)`` over ``window_read(passes, block)``; a pixel that is invalid
            in a band of any pass is so for all.
        wanted: (y, x) bool over ``block.window``; False where no answer is wanted.
    """
    bands, whole = bands_read(passes), window_read(passes, block)

    def prepared(one: Pass) -> tuple[Pass, BlockInput]:
        own = one.block(block)
        part = scene_window(one.read, one.tiling, own)
        rows, cols = part.within(whole)
        values = raster.values[:, rows, cols]
        if one.read.bands != bands:
            values = values[[bands.index(band) for band in one.read.bands]]
        grid = crop(raster.geobox, part.shifted(-whole.row_start, -whole.col_start))
        cut = Raster(values=values, valid=raster.valid[rows, cols], geobox=grid)
        return one, prepare(one.read, one.tiling, own, cut, wanted)

    first = prepared(passes[0])
    others = map(prepared, passes[1:])
    return BlockPixels(block=block, valid=first[1].valid, inputs=chain([first], others), colour=first[1].colour)
