"""Rasters and polygons from finished blocks, side by side: each alone leaves processors idle half of its time."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from geoseg.core.ground import pixel_sides_m
from geoseg.core.segments import Segments
from geoseg.core.tiling import Block, Blocks
from geoseg.core.window import Window
from geoseg.errors import OutputError
from geoseg.io.files.quiet import quiet
from geoseg.io.polygons.geopackage import write_segments
from geoseg.io.publish.grid import LayerGrid
from geoseg.io.publish.percent_layers import percent_layers
from geoseg.io.raster.cog import write_class_cog, write_percent_cog
from geoseg.run.lineage import about_layers
from geoseg.run.plan import Job
from geoseg.run.report import Reporter
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import vectorise_codes

T = TypeVar("T")
Codes = npt.NDArray[np.uint8]
_TICK_S = 0.2


class FinishedBlocks(Protocol):
    """Where the layers of finished blocks are read from: the store of a run, or rasters that a run has written."""

    @property
    def path(self) -> Path:
        """The folder; stands in messages."""

    def read(self, block: Block) -> tuple[Codes, ...] | None:
        """Read codes, confidence and what else is kept of a block; None when it is gone or damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written.

    Attributes:
        classes: code, name, pixels and true area of each class.
        segments: how many polygons; None without a vector layer.
        seconds: each layer's own time; they overlap.
    """

    classes: list[dict[str, Any]]
    segments: int | None
    seconds: dict[str, float]


def write_layers(job: Job, store: FinishedBlocks, grid: LayerGrid, reporter: Reporter) -> Written:
    """Write class raster, confidence raster and polygons of one scene.

    Raises:
        WriteError: the disk is full or fails.
        OutputError: a block of the store is gone or damaged.
    """
    spec, seconds = job.plan.spec, dict[str, float]()
    passed: queue.SimpleQueue[int] = queue.SimpleQueue()
    reporter.stage("layers", grid.shape[0] * grid.shape[1])

    def timed(name: str, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        result = work()
        seconds[name] = round(time.perf_counter() - start, 3)
        return result

    def look_up() -> None:
        """Pass progress on, in the run's own thread, and raise what a raster's thread died of."""
        while not passed.empty():
            reporter.advance(passed.get())
        for future in running:
            if future.done():
                future.result()

    finished = _Finished(job.plan.blocks, store)
    with quiet(), ThreadPoolExecutor(2, thread_name_prefix="raster") as pool:
        try:
            rasters = pool.submit(timed, "classes", lambda: _write_classes(job, finished, grid, passed.put))
            running: list[Future[Any]] = [rasters]
            if spec.confidence or job.plan.more:
                running.append(pool.submit(timed, "percentages", lambda: _write_percentages(job, finished, grid)))
            segments = None
            if spec.vector:  # in this thread: pyogrio catches GDAL's warnings only in the one that imported it
                segments = timed("segments", lambda: _write_polygons(job, finished, grid, look_up))
            while wait(running, _TICK_S, FIRST_EXCEPTION).not_done:
                look_up()
            look_up()
        except BaseException:  # an interruption too: nobody wants to wait for the other layers
            finished.stop()
            raise
    return Written(classes=rasters.result(), segments=segments, seconds=seconds)


class _Finished:
    """The finished blocks of a run, until someone says stop."""

    def __init__(self, blocks: Blocks, store: FinishedBlocks) -> None:
        self.blocks = blocks
        self._store = store
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End all reading."""
        self._stopped.set()

    def read(self, row: int, col: int) -> tuple[Codes, ...]:
        """Read codes, confidence and what else is kept of a block.

        Raises:
            OutputError: it is gone or damaged.
            CancelledError: reading was stopped.
        """
        if self._stopped.is_set():
            raise CancelledError
        layers = self._store.read(self.blocks.block(row, col))
        if layers is None:
            raise OutputError(f"{self._store.path}: a finished block is gone or damaged. Run again: it will be redone.")
        return layers

    def __iter__(self) -> Iterator[tuple[Window, tuple[Codes, ...]]]:
        for block in self.blocks:
            yield block.window, self.read(block.row, block.col)


def _tags(job: Job) -> dict[str, str]:
    card = job.model.card
    return {"GEOSEG_MODEL": card.name, "GEOSEG_WEIGHTS_SHA256": card.weights_sha256} | about_layers(job).tags()


def _write_classes(
    job: Job, finished: _Finished, grid: LayerGrid, passed: Callable[[int], None]
) -> list[dict[str, Any]]:
    """Write the class raster and count the classes on the way."""
    legend = job.model.card.legend
    pixels, area_m2 = np.zeros(256, np.int64), np.zeros(256)

    def counted() -> Iterator[tuple[Window, Codes]]:
        for window, (codes, *_) in finished:
            counts, each_m2 = _counts(codes), _area_of_pixels(grid, window)
            pixels[:] += counts.sum(axis=0)
            area_m2[:] += each_m2 @ counts
            yield window, codes
            passed(window.pixels)

    write_class_cog(job.work.building.classes, grid, counted(), legend, tags=_tags(job))
    return [
        {
            "code": entry.code,
            "name": entry.name,
            "pixels": int(pixels[entry.code]),
            "area_m2": round(float(area_m2[entry.code]), 3),
        }
        for entry in legend.classes
    ]


def _counts(codes: Codes) -> npt.NDArray[np.int64]:
    """Count the pixels of each code: (row, 256)."""
    return np.stack([np.bincount(line, minlength=256) for line in codes])


def _area_of_pixels(grid: LayerGrid, window: Window) -> npt.NDArray[np.float64]:
    """Measure a pixel of each row, m2: in degrees and in EPSG:3857 a row has other pixels than the next."""
    middles = np.arange(window.row_start, window.row_stop) + 0.5
    area = pixel_sides_m(grid.geobox, middles, (window.col_start + window.col_stop) / 2)[2]
    return np.where(np.isfinite(area), area, 0.0)  # past the edge of a full disk there is no ground


def _write_percentages(job: Job, finished: _Finished, grid: LayerGrid) -> None:
    """Write the confidence and the further percentages, one after the other."""
    bundle, spec = job.work.building, job.plan.spec
    kept = {"confidence": 1} if spec.confidence else {}
    kept |= {name: 2 + index for index, name in enumerate(job.plan.more)}
    for layer in percent_layers(bundle, job.model.card.legend):
        if layer.key in kept:
            blocks = ((window, layers[kept[layer.key]]) for window, layers in finished)
            write_percent_cog(layer.path, grid, blocks, band=layer.key, ramp=layer.ramp, tags=_tags(job))


def _write_polygons(job: Job, finished: _Finished, grid: LayerGrid, look_up: Callable[[], None]) -> int:
    plan, legend = job.plan, job.model.card.legend
    spec = VectorSpec(simplify_m=plan.spec.simplify_m, min_area_m2=plan.spec.min_area_m2 or 0.0)
    source = _StoredCodes(finished, with_confidence=plan.spec.confidence)
    world = grid.to_world if grid.gcps else None

    def batches() -> Iterator[Segments]:
        for batch in vectorise_codes(source, grid.geobox, nodata=legend.nodata, spec=spec, to_world=world):
            look_up()
            yield batch

    facts: dict[str, Any] = {"crs_wkt": grid.crs_wkt, "legend": legend, "about": about_layers(job)}
    return write_segments(job.work.building.segments, batches(), **facts)


class _StoredCodes:
    """Codes and confidence in a store, by any window; a source for the vectoriser. Reading is thread-safe."""

    def __init__(self, finished: _Finished, *, with_confidence: bool) -> None:
        self._finished, self._with_confidence = finished, with_confidence
        blocks = finished.blocks
        rows, cols = blocks.shape
        self._tops = np.array([blocks.block(row, 0).window.row_start for row in range(rows)])
        self._lefts = np.array([blocks.block(0, col).window.col_start for col in range(cols)])
        self.shape = blocks.tiling.scene_shape

    def read(self, window: Window) -> tuple[Codes, Codes | None]:
        """Put codes and confidence of a window together from the blocks under it."""
        layers = np.empty((2 if self._with_confidence else 1, *window.shape), np.uint8)
        for row in _under(self._tops, window.row_start, window.row_stop):
            for col in _under(self._lefts, window.col_start, window.col_stop):
                whole = self._finished.blocks.block(row, col).window
                part = whole.intersection(window)
                pair = self._finished.read(row, col)
                for layer, stored in zip(layers, pair, strict=False):
                    layer[part.within(window)] = stored[part.within(whole)]
        return layers[0], layers[1] if self._with_confidence else None


def _under(starts: npt.NDArray[np.int64], start: int, stop: int) -> range:
    """Which of the intervals that begin at ``starts`` meet [start, stop)."""
    return range(int(np.searchsorted(starts, start, "right")) - 1, int(np.searchsorted(starts, stop, "left")))
