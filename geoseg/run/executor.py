"""Executors that predict the blocks of a scene: this process, or the workers of a cluster, with equal bytes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from geoseg.core.block_result import BlockResult
from geoseg.core.crf_spec import CrfSpec
from geoseg.core.spec import PredictSpec
from geoseg.core.tiling import Block
from geoseg.core.types.json_value import UntypedDict
from geoseg.inference.passes import BlockPixels, block_pixels
from geoseg.inference.predict import predict_block
from geoseg.inference.tasks.registry import task_of
from geoseg.inference.tasks.task import Assembly, Refine
from geoseg.io.labels.area_of_interest import Mask
from geoseg.io.prefetch import prefetch
from geoseg.io.raster.open_options import OpenOptions
from geoseg.io.raster.read_ahead import read_ahead
from geoseg.io.raster.scene import Scene
from geoseg.io.store import Store
from geoseg.models.model import Model, ModelSource, load
from geoseg.run.plan import Job, RunPlan
from geoseg.run.report import Reporter
from geoseg.run.tile_progress import TileProgress
from geoseg.run.workers.use import WorkerUse, own_name, peak_memory_bytes
from geoseg.runtimes.runtime import Runtime

State = tuple[tuple[str, int, int, int], ...]
"""Files with size, time of change and inode, as they were when a digest was taken of them."""

Slot = Callable[[], AbstractContextManager[None]]
"""Makes the context manager held while the blocks of a scene are predicted, such as a share of a GPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDone:
    """A finished block in the store.

    Attributes:
        block: the block.
        empty: True if it has no valid pixels, so that no network was run.
        use: work of the process that predicted it; None: it was stored already, or has no valid pixels.
    """

    block: Block
    empty: bool
    use: WorkerUse | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneRequest:
    """A whole scene to be segmented.

    Attributes:
        uri: path or address.
        options: how to open it.
        name: folder and stem of the output.
        out: folder of all outputs.
        spec: options of the prediction.
        overwrite: replace an existing bundle that was made with other options.
        blocks: ``s3://`` address of a place for finished blocks, for workers that do not see ``out``; the layers are
            then written by the client.
    """

    uri: str
    options: OpenOptions
    name: str
    out: str
    spec: PredictSpec
    overwrite: bool
    blocks: str | None = None


class Executor(Protocol):
    """Loads models and predicts with them: this process, or a cluster. The bytes are the same.

    Attributes:
        concurrent: whether several scenes may be segmented at a time, each from its own thread.
    """

    concurrent: bool

    def load_model(self, source: ModelSource) -> Model:
        """Load a model where it will run.

        Raises:
            ModelError, ResourceError, UsageError: it cannot be loaded there.
        """
        ...

    def slots(self) -> int:
        """Blocks that are held at once; a cluster may grow."""
        ...

    def segment_scene(self, request: SceneRequest, model: Model, reporter: Reporter) -> tuple[UntypedDict, State]:
        """Segment a whole scene with a model that ``load`` gave.

        Returns:
            The run record, and the state of the files that the scene was read from.

        Raises:
            GeosegError: as ``geoseg.run.predict.predict``.
        """
        ...

    def predict_blocks(
        self, job: Job, store: Store, left: list[Block], advance: Callable[[int], None]
    ) -> Iterator[BlockDone]:
        """Predict blocks and store each; yield each once it is stored, in any order.

        Args:
            job: scene, model and plan.
            store: receives the results.
            left: the blocks to predict.
            advance: called with numbers of predicted pixels; all pixels of a block before it is yielded.
        """
        ...


class LocalExecutor:
    """Executor in this process: one block after the other; the next is read while the network runs.

    Args:
        slot: context manager held while blocks are predicted.
    """

    concurrent = False

    def __init__(self, *, slot: Slot = nullcontext) -> None:
        self._slot = slot
        self._one_scene = threading.Lock()

    def load_model(self, source: ModelSource) -> Model:
        """See ``Executor``."""
        return load(source)

    def slots(self) -> int:
        """See ``Executor``."""
        return 1

    def segment_scene(self, request: SceneRequest, model: Model, reporter: Reporter) -> tuple[UntypedDict, State]:
        """See ``Executor``; one scene at a time."""
        from geoseg.run.predict import predict  # noqa: PLC0415 - it uses this class

        with self._one_scene, Scene(request.uri, request.options) as scene:
            layers = predict(
                scene,
                model,
                request.out,
                spec=request.spec,
                overwrite=request.overwrite,
                name=request.name,
                blocks=request.blocks,
                workers=self,
                reporter=reporter,
            )
            return layers.record, scene.opened_state

    def predict_blocks(
        self, job: Job, store: Store, left: list[Block], advance: Callable[[int], None]
    ) -> Iterator[BlockDone]:
        """See ``Executor``."""
        progress = TileProgress(job.plan, advance)
        with self._slot() if left else nullcontext():
            for source in prefetch(read_inputs(job.scene, job.plan, job.mask, left), depth=2):
                progress.start(job.plan.blocks.block(source.block.row, source.block.col))
                result, use = timed_prediction(job.model, job.plan, source, watched=progress.watched)
                store.write(result)
                progress.finish()
                yield BlockDone(block=result.block, empty=not source.valid.any(), use=use)


def read_inputs(scene: Scene, plan: RunPlan, mask: Mask | None, blocks: Iterable[Block]) -> Iterator[BlockPixels]:
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
    rasters = read_ahead(plan.reader(scene), [plan.window_read(block) for block in inside], plan.bands)
    for block, (_, raster) in zip(inside, rasters, strict=True):
        seen = plan.seen(block)
        source = block_pixels(plan.passes, seen, raster, None if mask is None else mask(seen.window))
        yield source if source.valid[block.window.within(seen.window)].any() else _nothing(block)


def timed_prediction(
    model: Model, plan: RunPlan, source: BlockPixels, *, watched: Callable[[Runtime], Runtime] | None = None
) -> tuple[BlockResult, WorkerUse | None]:
    """Predict one prepared block, see ``predict_inputs``, and measure it; None for one without valid pixels."""
    clock = time.perf_counter()
    result = predict_inputs(model, plan, source, watched=watched)
    if not source.valid.any():
        return result, None
    spent_s, pixels = time.perf_counter() - clock, result.block.window.pixels
    memory = peak_memory_bytes()
    return result, WorkerUse(name=own_name(), blocks=1, pixels=pixels, network_s=spent_s, peak_memory_bytes=memory)


def predict_inputs(
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
        refine=None if plan.spec.crf is None else _refiner(plan.spec.crf),
        min_score=model.card.min_score,
        things=model.things,
    )
    return predict_block(task_of(model.card), members, assembly, source).cut(block)


def _refiner(spec: CrfSpec) -> Refine:
    from geoseg.inference.crf import refiner  # noqa: PLC0415 - numba, for a CRF alone

    return refiner(spec)


def _nothing(block: Block) -> BlockPixels:
    return BlockPixels(block=block, valid=np.zeros(block.window.shape, bool), inputs=iter(()))
