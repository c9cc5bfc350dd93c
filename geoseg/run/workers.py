"""Executors that predict the blocks of a scene: this process, or the workers of a cluster, with equal bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from geoseg.core.block_result import BlockResult
from geoseg.core.tiling import Block
from geoseg.inference.crf import refiner
from geoseg.inference.passes import BlockPixels, block_pixels
from geoseg.inference.predict import predict_block
from geoseg.inference.tasks.registry import task_of
from geoseg.inference.tasks.task import Assembly
from geoseg.io.labels.area_of_interest import Mask
from geoseg.io.raster.read_ahead import read_ahead
from geoseg.io.raster.scene import Scene
from geoseg.io.store import Store
from geoseg.models.model import Model
from geoseg.run.ahead import ahead
from geoseg.run.plan import Job, RunPlan
from geoseg.run.tile_progress import TileProgress
from geoseg.runtimes.runtime import Runtime

Slot = Callable[[], AbstractContextManager[None]]
"""Makes the context manager held while the blocks of a scene are predicted, such as a share of a GPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A finished block in the store.

    Attributes:
        block: the block.
        empty: True if it has no valid pixels, so that no network was run.
    """

    block: Block
    empty: bool


class Workers(Protocol):
    """Protocol of the executors that predict blocks into a store."""

    def predict(self, job: Job, store: Store, left: list[Block], advance: Callable[[int], None]) -> Iterator[Done]:
        """Predict blocks and store each; yield each once it is stored, in any order.

        Args:
            job: scene, model and plan.
            store: receives the results.
            left: the blocks to predict.
            advance: called with numbers of predicted pixels; all pixels of a block before it is yielded.
        """
        ...


class ThisProcess:
    """Executor in this process: one block after the other; the next is read while the network runs.

    Args:
        slot: context manager held while blocks are predicted.
    """

    def __init__(self, *, slot: Slot = nullcontext) -> None:
        self._slot = slot

    def predict(self, job: Job, store: Store, left: list[Block], advance: Callable[[int], None]) -> Iterator[Done]:
        """See ``Workers``."""
        progress = TileProgress(job.plan, advance)
        with self._slot() if left else nullcontext():
            for source in ahead(inputs(job.scene, job.plan, job.mask, left)):
                progress.start(job.plan.blocks.block(source.block.row, source.block.col))
                result = answer(job.model, job.plan, source, watched=progress.watched)
                store.write(result)
                progress.finish()
                yield Done(block=result.block, empty=not source.valid.any())


def inputs(scene: Scene, plan: RunPlan, mask: Mask | None, blocks: Iterable[Block]) -> Iterator[BlockPixels]:
    """Read and prepare blocks; those outside the area of interest come first and are not read.

    Args:
        scene: the scene.
        plan: plan of the run.
        mask: mask of the area of interest, or None.
        blocks: the blocks.
    """
    blocks = list(blocks)
    inside = [block for block in blocks if mask is None or mask(block.window).any()]
    outside = set(blocks).difference(inside)
    yield from (_nothing(block) for block in blocks if block in outside)
    rasters = read_ahead(scene, [plan.window_read(block) for block in inside], plan.bands)
    for block, (_, raster) in zip(inside, rasters, strict=True):
        seen = plan.seen(block)
        source = block_pixels(plan.passes, seen, raster, None if mask is None else mask(seen.window))
        yield source if source.valid[block.window.within(seen.window)].any() else _nothing(block)


def answer(
    model: Model, plan: RunPlan, source: BlockPixels, *, watched: Callable[[Runtime], Runtime] | None = None
) -> BlockResult:
    """Predict one prepared block; the result is cropped to the block's own window.

    Args:
        model: the model.
        plan: plan of the run.
        source: input of the block.
        watched: wraps each runtime, to count its tiles.
    """
    block = plan.blocks.block(source.block.row, source.block.col)
    if not source.valid[block.window.within(source.block.window)].any():
        return BlockResult.empty(block, plan.schema)
    runtimes = [member.runtime if watched is None else watched(member.runtime) for member in model.members]
    members = list(zip(runtimes, model.shares, strict=True))
    assembly = Assembly(
        legend=model.card.legend,
        spec=plan.spec,
        schema=plan.schema,
        members=len(members),
        refine=refiner(plan.spec.crf),
    )
    return predict_block(task_of(model.card), members, assembly, source).cut(block)


def _nothing(block: Block) -> BlockPixels:
    return BlockPixels(block=block, valid=np.zeros(block.window.shape, bool), inputs=iter(()))
