"""SceneObjects: the objects of a scene, found block by block, as labels that the vectoriser traces."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

from geoseg.core.closing import Closing
from geoseg.core.window import Window
from geoseg.errors import UsageError
from geoseg.vector.ground import PixelGround
from geoseg.vector.objects.blocks import BlockParts, find_parts
from geoseg.vector.objects.masks import paint
from geoseg.vector.objects.masks_file import MaskFile
from geoseg.vector.objects.spec import ObjectSpec
from geoseg.vector.objects.stitch import Objects, Stitcher
from geoseg.vector.source import CodeSource, LabelTable
from geoseg.vector.vectorise import processors

I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]

COLUMNS = np.dtype([("object_id", "i8"), ("touches_edge", "i8")])
"""Columns that objects have in the attribute table before those of all segments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRun:
    """How a scene is gone through.

    Attributes:
        block_px: side of the blocks; the objects do not depend on it.
        threads: how many blocks at once; None: one on each processor.
        nodata: code of the pixels without a class.
        folder: where a scratch file without a name is kept; None: where the system keeps such files.
    """

    block_px: int = 2048
    threads: int | None = None
    nodata: int = 255
    folder: Path | None = None

    def __post_init__(self) -> None:
        if self.block_px < 1 or (self.threads is not None and self.threads < 1):
            raise UsageError(f"block_px {self.block_px} and threads {self.threads} must be at least 1")


def least_pixels(spec: ObjectSpec, geobox: GeoBox) -> int:
    """Return the fewest pixels of an object, at least 1; smaller regions are left out."""
    return max(1, int(np.ceil(spec.min_area_m2 / PixelGround.of(geobox).unit_m2 * (1 - 1e-9))))


class SceneObjects(Closing):
    """Labels of the objects of a scene; a source for ``vectorise_labels``.

    Objects, ids and labels depend neither on the size of the blocks nor on their order. In memory are the blocks at
    work, what is open in one row of blocks, 12 bytes for each part that a block sees of an object, and one row for each
    object; masks are on disk.

    Attributes:
        objects: ids and classes; label ``k`` is object ``k - 1``.
        table: classes of the labels.
        shape: (rows, columns).

    Raises:
        UsageError: the grid has another size than the codes, or cuts shall follow a confidence that there is not.

    Examples:
        >>> spec = ObjectSpec(codes=(1,), split="distance")
        >>> with SceneObjects.find(source, geobox, spec) as found:  # doctest: +SKIP
        ...     batches = list(vectorise_labels(found, geobox, found.table))
    """

    def __init__(self, source: CodeSource, objects: Objects, masks: MaskFile, starts: list[int], nodata: int) -> None:
        self.shape: tuple[int, int] = source.shape[0], source.shape[1]
        self.objects = objects
        columns = np.zeros(len(objects.id) + 1, COLUMNS)
        columns["object_id"][1:], columns["touches_edge"][1:] = objects.id, objects.cut
        code = np.concatenate([[nodata], objects.code]).astype(np.uint8)
        self.table = LabelTable(code=code, none=0, columns=columns)
        self._source, self._masks, self._starts = source, masks, starts

    @classmethod
    def find(cls, source: CodeSource, geobox: GeoBox, spec: ObjectSpec, how: BlockRun | None = None) -> Self:
        """Find the objects of a scene.

        Args:
            source: of class codes, and of confidence where cuts follow it; read from several threads.
            geobox: the grid.
            spec: which classes, and how touching objects are parted.
            how: block by block.
        """
        run = how or BlockRun()
        if tuple(geobox.shape) != tuple(source.shape):
            raise UsageError(f"the codes are {source.shape} pixels but the grid is {tuple(geobox.shape)}")
        if not all(source.shape):
            raise UsageError("a scene without pixels has no objects")
        ground = PixelGround.of(geobox)
        stitcher = Stitcher(source.shape[0], spec.least_passage, least_pixels(spec, geobox))
        masks = MaskFile(run.folder)
        starts: list[int] = []
        try:
            for blocks in _rows(source, spec, ground, run):
                starts += stitcher.add_row(blocks)
                for block in blocks:
                    masks.add(block.window, block.table)
            return cls(source, stitcher.finish(), masks, starts, run.nodata)
        except BaseException:
            masks.close()
            raise

    def read(self, window: Window) -> tuple[I32, U8 | None]:
        """Read labels, 0 = no object, and the confidence of the source, both (y, x)."""
        return self.labels(window), self._source.read(window)[1]

    def labels(self, window: Window) -> I32:
        """Read labels, (y, x) int32, 0 = no object."""
        out = np.zeros(window.shape, np.int32)
        for block, part in self._masks.blocks(window):
            table = self._masks.read(block)
            paint(out[part.within(window)], part, table, self.objects.label[table.label + self._starts[block]])
        return out

    def ids(self, window: Window, none: int) -> npt.NDArray[np.int64]:
        """Read ids, (y, x) int64, ``none`` where there is no object."""
        return np.concatenate([[none], self.objects.id])[self.labels(window)]

    def blocks(self, block_px: int) -> Iterator[Window]:
        """Cut the scene into blocks."""
        height, width = self.shape
        for top in range(0, height, block_px):
            for left in range(0, width, block_px):
                yield Window(top, min(top + block_px, height), left, min(left + block_px, width))

    def close(self) -> None:
        """Forget the masks."""
        self._masks.close()


def _rows(source: CodeSource, spec: ObjectSpec, ground: PixelGround, run: BlockRun) -> Iterator[list[BlockParts]]:
    """Find the parts of one row of blocks after the other, the next row while the caller looks at one."""
    height, width = source.shape
    size = run.block_px
    with ThreadPoolExecutor(run.threads or processors(), thread_name_prefix="objects") as pool:

        def submit(top: int) -> list[Future[BlockParts]]:
            rows = top, min(top + size, height)
            windows = [Window(*rows, left, min(left + size, width)) for left in range(0, width, size)]
            return [pool.submit(find_parts, source, window, spec, ground, run.nodata) for window in windows]

        ahead = submit(0)
        try:
            for top in range(size, height + size, size):
                here, ahead = ahead, submit(top) if top < height else []
                yield [future.result() for future in here]
        finally:
            for future in ahead:
                future.cancel()
