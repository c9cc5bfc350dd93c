"""The files of all layers from finished blocks, side by side: each alone leaves processors idle half of its time."""

from __future__ import annotations

import queue
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from geoseg.core.layer import Layer, RasterLayer
from geoseg.io.files.quiet import quiet
from geoseg.io.publish.grid import LayerGrid
from geoseg.run.finished_blocks import BlockSource, FinishedBlocks
from geoseg.run.layer_writers import WRITERS, LayerJob
from geoseg.run.plan import Job
from geoseg.run.report import Reporter

_TICK_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written.

    Attributes:
        facts: what the writers tell for the run record.
        seconds: each layer's own time; they overlap.
    """

    facts: dict[str, Any]
    seconds: dict[str, float]


def write_layers(job: Job, source: BlockSource, grid: LayerGrid, reporter: Reporter) -> Written:
    """Write the files of all layers of one scene.

    The first raster, the other rasters and the polygons are written side by side.

    Raises:
        WriteError: the disk is full or fails.
        OutputError: a block of the store is gone or damaged.
    """
    facts, seconds = dict[str, Any](), dict[str, float]()
    passed: queue.SimpleQueue[int] = queue.SimpleQueue()
    reporter.stage("layers", grid.shape[0] * grid.shape[1])
    blocks = FinishedBlocks(job.plan.blocks, source)
    published = job.plan.schema.published
    rasters = [layer for layer in published if isinstance(layer, RasterLayer)]
    running: list[Future[None]] = []

    def write(layers: Sequence[Layer]) -> None:
        for layer in layers:
            start = time.perf_counter()
            tick = passed.put if layer is rasters[0] else _silent if isinstance(layer, RasterLayer) else look_up
            facts.update(WRITERS[layer.role](LayerJob(layer=layer, job=job, blocks=blocks, grid=grid, tick=tick)))
            seconds[layer.name] = round(time.perf_counter() - start, 3)

    def look_up(_pixels: int = 0) -> None:
        """Pass progress on, in the run's own thread, and raise what a raster's thread died of."""
        while not passed.empty():
            reporter.advance(passed.get())
        for future in running:
            if future.done():
                future.result()

    with quiet(), ThreadPoolExecutor(2, thread_name_prefix="raster") as pool:
        try:
            running += [pool.submit(write, part) for part in (rasters[:1], rasters[1:]) if part]
            # in this thread: pyogrio catches GDAL's warnings only in the one that imported it
            write(job.plan.schema.vectors)
            while wait(running, _TICK_S, FIRST_EXCEPTION).not_done:
                look_up()
            look_up()
        except BaseException:  # an interruption too: nobody wants to wait for the other layers
            blocks.stop()
            raise
    return Written(facts=facts, seconds={layer.name: seconds[layer.name] for layer in published})


def _silent(_pixels: int) -> None:
    """Report nothing: progress is that of the first raster."""
