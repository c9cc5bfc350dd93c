"""Predict one block: cut its tiles, run the networks, assemble their outputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from geoseg.core.block_result import BlockResult
from geoseg.core.tiling import Tile, Tiling
from geoseg.errors import ModelError
from geoseg.inference.passes import BlockPixels
from geoseg.inference.prepare import BlockInput, cut_tile
from geoseg.inference.tasks.task import Assembly, Task
from geoseg.inference.tta import views
from geoseg.runtimes.runtime import Answer, Runtime


def predict_block(
    task: Task, members: Sequence[tuple[Runtime, float]], assembly: Assembly, pixels: BlockPixels
) -> BlockResult:
    """Predict one block from all members, scales and views.

    Outputs are accumulated in a fixed order: member by member, scale by scale, view by view, so that the bytes do not
    depend on the executor. One network runs at a time.

    Args:
        task: task of the networks.
        members: networks and their weights.
        assembly: settings of the assembler.
        pixels: input of the block, for all passes.

    Raises:
        ModelError: an output has another shape, or holds NaN or infinity.
    """
    assembler = task.assembler(assembly, pixels)
    so_far = 0.0
    for one, source in pixels.inputs:
        runtime, weight = members[one.member]
        for view in views(runtime, assembly.spec.tta, task.undo):
            so_far += weight
            assembler.begin(one, weight / so_far)
            for tile, answer in tile_answers(view, one.tiling, source):
                assembler.add(tile, answer)
    return assembler.result()


def tile_answers(runtime: Runtime, tiling: Tiling, source: BlockInput) -> Iterator[tuple[Tile, Answer]]:
    """Run a network over those tiles of one block that have weight for a valid pixel.

    Args:
        runtime: runs the network.
        tiling: tiling of the pass.
        source: input of the block.

    Yields:
        Each tile with its output: arrays over ``tile.read``.

    Raises:
        ModelError: the output does not have one entry per tile.
    """
    tiles = [tile for tile in tiling.tiles(tiling.contributors(source.block)) if _needed(tile, source)]
    while tiles:
        batch, tiles = tiles[: runtime.batch], tiles[runtime.batch :]
        answers = runtime.run(np.stack([cut_tile(source, tile.read) for tile in batch]))
        if any(len(array) != len(batch) for array in answers.values()):
            shapes = {name: array.shape for name, array in answers.items()}
            raise ModelError(f"the network answers in shapes {shapes} to {len(batch)} tiles.")
        for index, tile in enumerate(batch):
            yield tile, {name: array[index] for name, array in answers.items()}


def _needed(tile: Tile, source: BlockInput) -> bool:
    """Return True if this tile has weight for any valid pixel of the block."""
    part = tile.support.intersection(source.block.window)
    return bool(source.valid[part.within(source.block.window)].any())
