"""ScenePanoptic: every pixel of a scene a class, every thing an identity, read by window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

from geoseg.core.layer import CLASSES, NO_PERCENT, PANOPTIC, RasterLayer
from geoseg.core.legend import Legend
from geoseg.core.window import Window
from geoseg.errors import ResourceError
from geoseg.inference.objects.views import BlockReader
from geoseg.inference.panoptic.stuff_regions import SmallRegions, find_small_regions
from geoseg.inference.tasks.panoptic_layers import stuff_layers
from geoseg.io.labels.panoptic_raster import MOST_THINGS, NO_PANOPTIC_LABEL, panoptic_labels
from geoseg.vector.source import LabelTable

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
Tick = Callable[[int], None]

THING, STUFF = "thing", "stuff"
COLUMNS = np.dtype([("kind", "U5"), ("segment_id", "i8"), ("score", "f8"), ("touches_edge", "i8")])
"""Columns that panoptic segments have in the attribute table besides those of all segments."""


class Things(Protocol):
    """Protocol of the things of a scene, which share no pixel.

    Attributes:
        shape: (rows, columns).
        ids: (thing,) number of the last pixel of each.
        pixels: (label,) pixels of each label; None: each thing is of one piece.
        table: code of each label, and the columns ``score`` and ``touches_edge``.
    """

    shape: tuple[int, int]
    table: LabelTable

    @property
    def ids(self) -> I64:
        """Number of the last pixel of each thing."""
        ...

    @property
    def pixels(self) -> I64 | None:
        """Pixels of each label."""
        ...

    def __len__(self) -> int: ...

    def labels(self, window: Window) -> I32:
        """Draw labels, (y, x) over a window, 0 for none."""
        ...

    def percent(self, labels: I32) -> U8 | None:
        """Return the score of labels in percent; None: that of its pixel's class counts."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PanopticRules:
    """Rules for the merge of things and stuff.

    Attributes:
        legend: classes; the countable ones are things.
        stuff_area_m2: smaller regions of stuff join the stuff that they touch most, square metres; 0: none does.
        planes: of the class of each pixel that no thing has, and of its probability; None: those of the task panoptic.
    """

    legend: Legend
    stuff_area_m2: float = 0.0
    planes: tuple[RasterLayer, RasterLayer] | None = None


class ScenePanoptic:
    """Things and stuff of a scene. A pixel belongs to its thing, else to its best class of stuff. Thread-safe.

    A label of ``labels`` is 0 where there is no result, ``k`` for the thing ``k`` of ``things``, and beyond these one
    for each class of stuff.

    Attributes:
        shape: (rows, columns).
        things: the things, which share no pixel.
        table: class and columns of the labels.
        pixels: pixels of each thing by its ``segment_id``.
    """

    def __init__(
        self,
        things: Things,
        blocks: BlockReader,
        geobox: GeoBox,
        rules: PanopticRules,
        tick: Tick | None = None,
    ) -> None:
        self.shape, self.things = things.shape, things
        self._blocks, self._rules = blocks, rules
        self._planes = rules.planes or stuff_layers(rules.legend.nodata)
        count = len(things)
        if count > MOST_THINGS:
            raise ResourceError(f"{count} things are more than labels of 32 bits can number. Cut the scene.")
        self._number = np.zeros(count + 1, np.int64)
        self._number[1:][np.argsort(things.ids)] = np.arange(1, count + 1)
        # a pixel of a class of things that is no thing, being too small, is taken for stuff
        self._codes = tuple(e.code for e in sorted(rules.legend.classes, key=lambda entry: entry.countable))
        self._label_of = np.zeros(256, np.int32)
        self._label_of[list(self._codes)] = np.arange(count + 1, count + 1 + len(self._codes))
        self.table = self._table()
        numbers = self.table.columns["segment_id"][1 : count + 1].tolist()
        self.pixels = {} if things.pixels is None else dict(zip(numbers, things.pixels[1:].tolist(), strict=True))
        self._small: SmallRegions | None = None
        if rules.stuff_area_m2 > 0:
            windows = [block.window for block in blocks.blocks]
            self._small = find_small_regions(self._read, windows, geobox, (count, rules.stuff_area_m2), tick)

    def __len__(self) -> int:
        return len(self.things)

    def labels(self, window: Window) -> I32:
        """Draw labels, (y, x) int32 over a window of the scene."""
        return self._read(window) if self._small is None else self._small.read(window)

    def read(self, window: Window) -> tuple[I32, U8]:
        """Read labels and percentages, as the vectoriser does; see ``LabelSource``."""
        labels = self.labels(window)
        return labels, self._percent(labels, window)

    def plane(self, layer: RasterLayer, window: Window) -> npt.NDArray[np.generic]:
        """Draw a raster layer, (y, x) over a window."""
        labels = self.labels(window)
        if layer.name == CLASSES:
            return self.table.code[labels]
        if layer.name == PANOPTIC:
            return self._raster_value[labels]
        return self._percent(labels, window)

    def _read(self, window: Window) -> I32:
        labels = self.things.labels(window)
        code = self._blocks.read_window(window, self._planes[:1])[0]
        return np.where(labels > 0, labels, self._label_of[code]).astype(np.int32)

    def _percent(self, labels: I32, window: Window) -> U8:
        """Score of things; probability of stuff, where no other class took the pixel."""
        code, sure = self._blocks.read_window(window, self._planes)
        percent = np.where(labels == self._label_of[code], sure, np.uint8(NO_PERCENT))
        thing = (labels > 0) & (labels <= len(self))
        scores = self.things.percent(labels[thing])
        percent[thing] = sure[thing] if scores is None else scores
        return np.asarray(percent, np.uint8)

    def _table(self) -> LabelTable:
        count, kinds = len(self), len(self._codes)
        code = np.concatenate([[self._rules.legend.nodata], self.things.table.code[1:], self._codes]).astype(np.uint8)
        columns = np.zeros(1 + count + kinds, COLUMNS)
        thing, stuff = slice(1, count + 1), slice(count + 1, None)
        columns["kind"][thing], columns["kind"][stuff] = THING, STUFF
        columns["segment_id"][1:] = panoptic_labels(code[1:], np.append(self._number[1:], np.zeros(kinds, np.int64)))
        columns["score"][thing] = self.things.table.columns["score"][1:]
        columns["touches_edge"][thing] = self.things.table.columns["touches_edge"][1:]
        columns["score"][stuff] = np.nan
        self._raster_value = columns["segment_id"].astype(np.int32)
        self._raster_value[0] = NO_PANOPTIC_LABEL
        return LabelTable(code=code, none=0, columns=columns)
