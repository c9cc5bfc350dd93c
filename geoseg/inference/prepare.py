"""Prepare the pixels of a block as network input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from geoseg.core.raster import Raster
from geoseg.core.tiling import Block, Tiling
from geoseg.core.window import Window
from geoseg.inference.match import ReadPlan
from geoseg.inference.resample import Resampling


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockInput:
    """Network input for one block.

    Attributes:
        block: the block.
        values: (band, y, x) float32, normalised, 0 where invalid, over ``window``.
        window: window of ``values`` on the working grid.
        valid: (y, x) bool over ``block.window`` of the scene's grid: pixels to predict.
        colour: (band, y, x) float32 over ``block.window``, 0 to 255, where the plan asks for it.
    """

    block: Block
    values: npt.NDArray[np.float32]
    window: Window
    valid: npt.NDArray[np.bool_]
    colour: npt.NDArray[np.float32] | None = None


class HasColour(Protocol):
    """Protocol of a block with colours; attributes as in ``BlockInput``."""

    @property
    def block(self) -> Block:
        """The block."""
        ...

    @property
    def valid(self) -> npt.NDArray[np.bool_]:
        """(y, x) bool: pixels to predict."""
        ...

    @property
    def colour(self) -> npt.NDArray[np.float32] | None:
        """(band, y, x) float32, 0 to 255, or None."""
        ...


def scene_window(plan: ReadPlan, tiling: Tiling, block: Block) -> Window:
    """Return the window of the scene, or of its margin too, that must be read to predict a block."""
    work = tiling.read_window(block).intersection(tiling.readable)
    if not plan.resampled:
        return work
    source = Resampling(plan.scene_shape, plan.work_shape).source(work, plan.readable)
    return source.union(block.window)


def prepare(
    plan: ReadPlan, tiling: Tiling, block: Block, raster: Raster, mask: npt.NDArray[np.bool_] | None = None
) -> BlockInput:
    """Convert the pixels that were read into network input.

    Args:
        plan: plan for reading the scene.
        tiling: the tiles.
        block: the block.
        raster: native pixels over ``scene_window(plan, tiling, block)``.
        mask: (y, x) bool over ``block.window``; False for pixels not to predict (outside an area of interest).
    """
    read = scene_window(plan, tiling, block)
    values = plan.normalise(raster.values, raster.valid)
    work = tiling.read_window(block).intersection(tiling.readable)
    if plan.resampled:
        resampling = Resampling(plan.scene_shape, plan.work_shape)
        values, _ = resampling.apply_valid(values, raster.valid, read, work)
    valid = raster.valid[block.window.within(read)]
    if mask is not None:
        valid = valid & mask
    colour = None if plan.colour is None else plan.colour.of(raster.values[:, *block.window.within(read)])
    return BlockInput(block=block, values=values, window=work, valid=valid, colour=colour)


def cut_tile(source: BlockInput, read: Window) -> npt.NDArray[np.float32]:
    """Cut one tile out of a block's pixels; past the end of what can be read they are reflected.

    Args:
        source: input of the block.
        read: window of the tile on the working grid.

    Returns:
        (band, y, x) float32.
    """
    if source.window.contains(read):
        return source.values[:, *read.within(source.window)]
    # on an axis where the tile is longer than the grid the window begins where the grid does; on others nothing folds
    here = read.shifted(-source.window.row_start, -source.window.col_start)
    rows = _reflected(here.row_start, here.row_stop, source.window.height)
    cols = _reflected(here.col_start, here.col_stop, source.window.width)
    return source.values[:, rows[:, None], cols[None, :]]


def _reflected(start: int, stop: int, length: int) -> npt.NDArray[np.int64]:
    """Indices [start, stop) folded back into [0, length) without repeating the edge."""
    if length == 1:
        return np.zeros(stop - start, np.int64)
    period = 2 * (length - 1)
    index = np.arange(start, stop) % period
    return np.minimum(index, period - index)
