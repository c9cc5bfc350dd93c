"""Writing of all layer files from finished blocks, in parallel, since one alone leaves processors idle."""

from __future__ import annotations

import queue
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geoseg.core.layer import OBJECTS, PANOPTIC, Layer, RasterLayer
from geoseg.core.spec import InstanceChoice, PanopticChoice
from geoseg.core.types.json_value import UntypedDict
from geoseg.io.files.gdal_messages import suppress_gdal_messages
from geoseg.io.publish.grid import LayerGrid
from geoseg.run.finished_blocks import BlockSource, FinishedBlocks
from geoseg.run.layer_writers import WRITERS, LayerJob
from geoseg.run.plan import Job
from geoseg.run.report import Reporter

if TYPE_CHECKING:
    from geoseg.inference.objects.scene import SceneInstances
    from geoseg.inference.panoptic.scene import ScenePanoptic
    from geoseg.run.instances.counted import CountedObjects

_TICK_S = 0.2
_COUNTED = {"objects", "panoptic", "panoptic_segments"}
"""Roles of the layers that need the objects of a class map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenLayers:
    """Result of writing the layers of one scene.

    Attributes:
        facts: facts from the writers, for the run record.
        seconds: time per layer; the times overlap.
    """

    facts: UntypedDict
    seconds: dict[str, float]


def write_layers(job: Job, source: BlockSource, grid: LayerGrid, reporter: Reporter) -> WrittenLayers:
    """Write the files of all layers of one scene.

    The first raster, the other rasters and the polygons are written in parallel.

    Args:
        job: scene, model and plan.
        source: reads the finished blocks.
        grid: grid of the scene.
        reporter: receives progress in pixels.

    Raises:
        WriteError: the disk is full or fails.
        OutputError: a block of the store is missing or damaged.
    """
    facts, seconds = dict[str, object](), dict[str, float]()
    passed: queue.SimpleQueue[int] = queue.SimpleQueue()
    reporter.stage("layers", grid.shape[0] * grid.shape[1])
    blocks = FinishedBlocks(job.plan.blocks, source)
    published = job.plan.schema.published
    rasters = [layer for layer in published if isinstance(layer, RasterLayer)]
    running: list[Future[None]] = []
    found: SceneInstances | ScenePanoptic | None = None
    counted: CountedObjects | None = None

    def write(layers: Sequence[Layer]) -> None:
        for layer in layers:
            start = time.perf_counter()
            tick = passed.put if layer is rasters[0] else _silent if isinstance(layer, RasterLayer) else look_up
            one = LayerJob(layer=layer, job=job, blocks=blocks, grid=grid, tick=tick, instances=found, counted=counted)
            facts.update(WRITERS[layer.role](one))
            seconds[layer.name] = round(time.perf_counter() - start + seconds.get(layer.name, 0), 3)

    def look_up(_pixels: int = 0) -> None:
        """Report progress in the run's own thread, and raise the error of a raster's thread."""
        while not passed.empty():
            reporter.advance(passed.get())
        for future in running:
            if future.done():
                future.result()

    if job.plan.schema.detects:
        start = time.perf_counter()
        found = _found(job, blocks, grid)
        seconds[OBJECTS] = round(time.perf_counter() - start, 3)
    with ExitStack() as stack:
        stack.enter_context(suppress_gdal_messages())
        counted = _counted(job, blocks, grid, stack)
        pool = stack.enter_context(ThreadPoolExecutor(2, thread_name_prefix="raster"))
        try:
            running += [pool.submit(write, part) for part in (rasters[:1], rasters[1:]) if part]
            # in this thread: pyogrio catches GDAL's warnings only in the one that imported it
            write(job.plan.schema.vectors)
            while wait(running, _TICK_S, FIRST_EXCEPTION).not_done:
                look_up()
            look_up()
        except BaseException:  # an interruption too, which must not wait for the other layers
            blocks.stop()
            raise
    return WrittenLayers(facts=facts, seconds={layer.name: seconds[layer.name] for layer in published})


def _found(job: Job, blocks: FinishedBlocks, grid: LayerGrid) -> SceneInstances | ScenePanoptic:
    """Put the objects that the blocks detected together, on the stuff if there is any."""
    from geoseg.inference.objects.scene import ObjectRules, SceneInstances  # noqa: PLC0415 - numba

    spec, card = job.plan.spec, job.model.card
    choice = spec.instances or InstanceChoice()
    rules = ObjectRules(
        legend=card.legend,
        choice=choice,
        min_score=card.min_score if choice.min_score is None else choice.min_score,
        min_area_m2=spec.min_area_m2 or 0.0,
    )
    things = SceneInstances.of_run(blocks, job.plan.read, grid.geobox, rules)
    if PANOPTIC not in job.plan.schema:
        return things
    from geoseg.inference.panoptic.scene import PanopticRules, ScenePanoptic  # noqa: PLC0415 - numba

    area_m2 = (spec.panoptic or PanopticChoice()).stuff_area_m2
    return ScenePanoptic(things, blocks, grid.geobox, PanopticRules(legend=card.legend, stuff_area_m2=area_m2))


def _counted(job: Job, blocks: FinishedBlocks, grid: LayerGrid, stack: ExitStack) -> CountedObjects | None:
    """Return what finds the objects of the class map, if a layer needs them."""
    schema = job.plan.schema
    if schema.detects or _COUNTED.isdisjoint(layer.role for layer in schema.published):
        return None
    from geoseg.run.instances.counted import CountedObjects  # noqa: PLC0415 - numba

    return stack.enter_context(CountedObjects(job, blocks, grid))


def _silent(_pixels: int) -> None:
    """Report nothing: progress is measured on the first raster."""
