"""Labels become polygons: block by block, without seams, in memory that does not grow with the scene's height."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

from geoseg.core.segments import Segments
from geoseg.core.window import Window
from geoseg.errors import UsageError
from geoseg.vector.corner_groups import any_of_group
from geoseg.vector.emit_regions import finish
from geoseg.vector.generalise import Minimum, minimum_of
from geoseg.vector.ground import PixelGround
from geoseg.vector.join import join_strip
from geoseg.vector.kept.blocks import BlockContent, KeptBlocks
from geoseg.vector.patch import Block, Patch, trace_block
from geoseg.vector.polygons import Drawing, Polygons, ToWorld, gather, take
from geoseg.vector.source import CodeSource, Labels, LabelSource, LabelTable
from geoseg.vector.spec import VectorSpec
from geoseg.vector.zonal import BandSource

U8 = npt.NDArray[np.uint8]

_EXACT = VectorSpec()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """How labels are traced; ``vectorise_codes`` says what each field does.

    Attributes:
        kept: what was traced of blocks before; blocks with the same pixels are not traced again.
    """

    spec: VectorSpec = _EXACT
    block_px: int = 2048
    threads: int | None = None
    executor: Executor | None = None
    to_world: ToWorld | None = None
    bands: BandSource | None = None
    batch: int = 20000
    kept: KeptBlocks | None = None


_PLAIN = Tracing()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Borders:
    """Last row and last column of a block, for the blocks to the right and below."""

    row: Labels
    column: Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    source: LabelSource
    table: LabelTable
    minimum: Minimum
    spec: VectorSpec
    drawing: Drawing
    bands: BandSource | None
    kept: KeptBlocks | None = None


def vectorise_codes(  # noqa: PLR0913 - the options a run has, each with a default
    source: CodeSource,
    geobox: GeoBox,
    *,
    nodata: int = 255,
    spec: VectorSpec = _EXACT,
    block_px: int = 2048,
    threads: int | None = None,
    executor: Executor | None = None,
    to_world: ToWorld | None = None,
    bands: BandSource | None = None,
    batch: int = 20000,
) -> Iterator[Segments]:
    """Turn class codes into polygons that tile the valid area without gap or overlap.

    The polygons and their order (by last pixel, row by row) depend neither on ``block_px`` nor on ``threads``.

    Args:
        source: where codes and confidence are read, window by window, from several threads.
        geobox: the grid of the codes.
        nodata: code of the pixels that belong to no polygon.
        spec: simplification and generalisation; exact polygons by default.
        block_px: side of the blocks that are traced at once.
        threads: how many blocks at once; all processors by default.
        executor: what traces the blocks instead of threads of this process, for example ``client.get_executor()`` of
            a Dask cluster; ``source`` and ``to_world`` must pickle. Two rows of blocks are handed out at a time.
        to_world: (columns, rows) of pixel corners -> (x, y), for scenes that no affine transform describes.
        bands: bands on the grid of the codes; their statistics in each polygon go to ``Segments.extra``, named as
            ``band_columns`` says. They do not depend on the blocks either (of float bands to 1e-12).
        batch: polygons per ``Segments``.

    Yields:
        Batches of segments, each of ``batch`` polygons but the last.

    Raises:
        UsageError: the grid has another size than the codes, or an option makes no sense.
    """
    how = Tracing(
        spec=spec, block_px=block_px, threads=threads, executor=executor, to_world=to_world, bands=bands, batch=batch
    )
    return vectorise_labels(source, geobox, LabelTable.of_codes(nodata), how)


def vectorise_labels(
    source: LabelSource, geobox: GeoBox, table: LabelTable, how: Tracing = _PLAIN
) -> Iterator[Segments]:
    """Turn labels into polygons: touching pixels of one label are one polygon, labels that touch share their edge.

    Args:
        source: where labels and confidence are read, window by window, from several threads.
        geobox: the grid of the labels.
        table: class of each label; its columns go to ``Segments.extra``, before those of the bands.
        how: see ``vectorise_codes``, which traces labels that are class codes.

    Yields:
        Batches of segments, each of ``how.batch`` polygons but the last.

    Raises:
        UsageError: the grid has another size than the labels, or an option makes no sense.
    """
    shape, bands = source.shape, how.bands
    if tuple(geobox.shape) != tuple(shape):
        raise UsageError(f"the codes are {shape[0]} x {shape[1]} pixels but the grid is {tuple(geobox.shape)}")
    if bands is not None and tuple(bands.shape) != tuple(shape):
        raise UsageError(f"the codes are {shape[0]} x {shape[1]} pixels but the bands are {tuple(bands.shape)}")
    if how.block_px < 1 or how.batch < 1 or (how.threads is not None and how.threads < 1):
        raise UsageError(f"block_px {how.block_px}, batch {how.batch} and threads {how.threads} must all be at least 1")
    if not all(shape):
        return
    drawing = Drawing(
        ground=PixelGround.of(geobox),
        transform=geobox.transform,
        to_world=how.to_world,
        band_names=() if bands is None else tuple(bands.names),
        columns=table.columns,
    )
    minimum = minimum_of(how.spec, drawing.ground, table.nodata, shape)
    task = _Task(
        source=source, table=table, minimum=minimum, spec=how.spec, drawing=drawing, bands=bands, kept=how.kept
    )
    if how.executor is not None:
        yield from _batches(_strips(task, how.block_px, how.executor), how.batch)
        return
    with ThreadPoolExecutor(how.threads or processors(), thread_name_prefix="vectorise") as pool:
        yield from _batches(_strips(task, how.block_px, pool), how.batch)


def processors() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _strips(task: _Task, block_px: int, pool: Executor) -> Iterator[Polygons]:
    height = task.source.shape[0]
    rows = [(top, min(top + block_px, height)) for top in range(0, height, block_px)]
    carry: Patch | None = None
    ready: list[Polygons] = []
    strips = _submit(task, rows, block_px, pool)
    ahead = next(strips)
    for _, bottom in rows:
        futures, ahead = ahead, next(strips, [])
        results = [future.result() for future in futures]
        del futures
        joined = join_strip(carry, [patch for _, patch in results], bottom, task.source.shape)
        polygons, carry = finish(joined, task.spec, task.drawing, task.minimum)
        done = gather([*ready, *(polygons for polygons, _ in results), polygons])
        # a region that is whole but has to wait comes before all that end behind it
        count = int(np.searchsorted(done.last, _first_waiting(carry, task.minimum.nodata)))
        yield take(done, slice(0, count))
        ready = [take(done, slice(count, None))]


def _first_waiting(carry: Patch, nodata: int) -> int:
    goes_on = np.zeros(len(carry.sums.code), np.bool_)
    goes_on[carry.south] = True
    last = carry.sums.last
    if carry.group is not None:
        goes_on = any_of_group(goes_on, carry.group)
        latest = np.full(len(last), -1, np.int64)
        np.maximum.at(latest, carry.group, last)
        last = latest[carry.group]
    waiting = (carry.sums.code != nodata) & (carry.sums.pixels > 0) & ~goes_on
    return int(last[waiting].min(initial=np.iinfo(np.int64).max))


Result = tuple[Polygons, Patch]


def _submit(task: _Task, rows: list[tuple[int, int]], block_px: int, pool: Executor) -> Iterator[list[Future[Result]]]:
    """Hand the blocks of one row after the other to the pool."""
    width = task.source.shape[1]
    above: list[Future[_Borders]] = []
    for top, bottom in rows:
        futures: list[Future[Result]] = []
        here: list[Future[_Borders]] = []
        for column, left in enumerate(range(0, width, block_px)):
            window = Window(top, bottom, left, min(left + block_px, width))
            if task.kept is not None or not isinstance(pool, ThreadPoolExecutor):
                futures.append(pool.submit(_vectorise_apart, task, window))
                continue
            borders: Future[_Borders] = Future()
            near = (
                above[column] if above else None,
                here[-1] if here else None,
                above[column - 1] if above and column else None,
            )
            futures.append(pool.submit(_vectorise_block, task, window, borders, near))
            here.append(borders)
        above = here
        yield futures


Near = tuple[Future[_Borders] | None, Future[_Borders] | None, Future[_Borders] | None]


def _vectorise_block(task: _Task, window: Window, borders: Future[_Borders], near: Near) -> Result:
    """Read, trace and draw one block; blocks to the right and below wait for its ``borders`` only.

    No wait is endless: blocks start in order, and each tells its borders before it waits for those before it.
    """
    try:
        labels, confidence = task.source.read(window)
        borders.set_result(_Borders(row=labels[-1].copy(), column=labels[:, -1].copy()))
    except BaseException as error:
        borders.set_exception(error)
        raise
    above, left, corner = near
    padded = np.full((window.height + 1, window.width + 1), task.table.none, labels.dtype)
    padded[1:, 1:] = labels
    if above is not None:
        padded[0, 1:] = above.result().row
    if left is not None:
        padded[1:, 0] = left.result().column
    if corner is not None:
        padded[0, 0] = corner.result().row[-1]
    return _draw_block(task, window, padded, confidence)


def _vectorise_apart(task: _Task, window: Window) -> Result:
    """Do the same without other blocks: it reads for itself what lies above and to the left."""
    top, left = min(1, window.row_start), min(1, window.col_start)
    wider = Window(window.row_start - top, window.row_stop, window.col_start - left, window.col_stop)
    labels, confidence = task.source.read(wider)
    padded = np.full((window.height + 1, window.width + 1), task.table.none, labels.dtype)
    padded[1 - top :, 1 - left :] = labels
    confidence = None if confidence is None else confidence[top:, left:]
    if task.kept is None:
        return _draw_block(task, window, padded, confidence)
    content = BlockContent.of(window, padded, confidence, task.table)
    found = task.kept.load(content)
    if found is None:
        found = _draw_block(task, window, padded, confidence)
        task.kept.save(content, found)
    return found


def _draw_block(task: _Task, window: Window, padded: Labels, confidence: U8 | None) -> Result:
    bands = None if task.bands is None else task.bands.read(window)
    block = Block(window=window, labels=padded, confidence=confidence, bands=bands)
    patch = trace_block(block, task.drawing.ground, task.source.shape, task.table, task.spec.connectivity)
    return finish(patch, task.spec, task.drawing, task.minimum)


def _batches(strips: Iterator[Polygons], batch: int) -> Iterator[Segments]:
    held: list[Polygons] = []
    waiting = 0
    for polygons in strips:
        held.append(polygons)
        waiting += len(polygons.last)
        if waiting < batch:
            continue
        joined = gather(held)
        whole = waiting - waiting % batch
        for start in range(0, whole, batch):
            yield take(joined, slice(start, start + batch)).segments
        held = [take(joined, slice(whole, None))]
        waiting -= whole
    if waiting:
        yield gather(held).segments
