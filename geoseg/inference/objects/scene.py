"""SceneInstances: the objects that a run detected in a scene, as labels that writers and the vectoriser read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox

from geoseg.core.layer import CLASSES, NO_PERCENT, RasterLayer
from geoseg.core.legend import Legend
from geoseg.core.spec import InstanceChoice
from geoseg.core.window import Window
from geoseg.inference.match import ReadPlan
from geoseg.inference.objects.join import SCORE_UNIT, JoinedObjects, join_views
from geoseg.inference.objects.overlaps import find_overlaps, layers_of, ranks_of, without_repetitions
from geoseg.inference.objects.planes import draw_by_rank, runs_of
from geoseg.inference.objects.shape import PixelSums, add_pixels, ellipses_of
from geoseg.inference.objects.views import BlockReader, TileViews
from geoseg.inference.tasks.instance_layers import OBJECT_IDS
from geoseg.vector.source import LabelTable

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
Tick = Callable[[int], None]

COLUMNS = np.dtype(
    [
        ("object_id", "i8"),
        ("score", "f8"),
        ("touches_edge", "i8"),
        ("major_axis_m", "f8"),
        ("minor_axis_m", "f8"),
        ("orientation_deg", "f8"),
    ]
)
"""Columns that detected objects have in the attribute table besides those of all segments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRules:
    """Rules for the objects that are kept.

    Attributes:
        legend: classes, background and nodata.
        choice: options for objects.
        min_score: least score.
        min_area_m2: smaller objects are left out, square metres.
    """

    legend: Legend
    choice: InstanceChoice
    min_score: float
    min_area_m2: float = 0.0


class SceneInstances:
    """Objects of a scene; in memory are one row for each object, two for each view, and a few blocks. Thread-safe.

    Attributes:
        shape: (rows, columns).
        table: classes and columns of the labels; label ``k`` is object ``k - 1``.
        pixels: (label,) pixels of each label.
        layers: number of layers, of which each holds objects that share no pixel; 1 where overlaps are resolved.
    """

    def __init__(self, views: TileViews, geobox: GeoBox, rules: ObjectRules, tick: Tick | None = None) -> None:
        self.shape = views.shape
        self._views, self._rules = views, rules
        joined = join_views(views)
        joined = joined.keep(joined.score >= round(rules.min_score * SCORE_UNIT))
        overlaps = find_overlaps(views, joined)
        kept = without_repetitions(joined, overlaps, rules.choice)
        keeps = rules.choice.overlaps == "keep"
        layer = layers_of(joined, overlaps)[kept] if keeps else np.zeros(int(kept.sum()), np.int32)
        joined = joined.keep(kept)
        self._place(joined, layer)
        sums = self._sums(tick)
        large = sums.pixels[1:] > 0
        if rules.min_area_m2 > 0 and large.any():
            area = np.zeros(len(large))
            area[large] = ellipses_of(sums.take(np.flatnonzero(large) + 1), geobox).area_m2
            large &= area >= rules.min_area_m2 * (1 - 1e-9)
        if not large.all():  # pixels that better but smaller objects had taken go back to those below them
            joined, layer = joined.keep(large), layer[large]
            self._place(joined, layer)
            sums = self._sums(tick)
        self.pixels = sums.pixels
        self.table = self._table(joined, sums, geobox)

    @classmethod
    def of_run(
        cls, blocks: BlockReader, read: ReadPlan, geobox: GeoBox, rules: ObjectRules, tick: Tick | None = None
    ) -> SceneInstances:
        """Put the objects of a run together.

        Args:
            blocks: finished blocks of the run.
            read: plan for reading the scene.
            geobox: the grid.
            rules: which objects are kept.
            tick: called now and then with 0; may raise, to stop.
        """
        return cls(TileViews(blocks, read), geobox, rules, tick)

    def __len__(self) -> int:
        return len(self._joined)

    @property
    def ids(self) -> I64:
        """Ids of the objects, (object,)."""
        return np.asarray(self.table.columns["object_id"][1:], np.int64)

    def labels(self, window: Window, layer: int | None = None) -> I32:
        """Draw labels, (y, x) int32 over a window of the scene, 0 for none.

        Args:
            window: the window.
            layer: only objects of this layer; None: all, and pixels of several are those of the highest score.
        """
        out = np.zeros(window.shape, np.int32)
        joined = self._joined
        for tile in self._views.over(window):
            label = joined.of_tile(tile)
            if layer is not None:
                label = np.where(self._layer[label] == layer, label, 0).astype(np.int32)
            if not label.any():
                continue
            table, whole = self._views.table(tile), self._whole[label]
            draw_by_rank(
                out, runs_of(table), np.where(whole, label, 0), self._rank, (window.row_start, window.col_start)
            )
            part = self._views.tiles[tile].core.intersection(window)
            if part.pixels and (label[~whole] > 0).any():
                own = np.ascontiguousarray(out[part.within(window)])
                clipped = np.where(whole, 0, label)
                draw_by_rank(own, runs_of(table), clipped, self._rank, (part.row_start, part.col_start))
                out[part.within(window)] = own
        out[~self._views.valid(window)] = 0
        return out

    def plane(self, layer: RasterLayer, window: Window) -> npt.NDArray[np.generic]:
        """Draw a raster layer made from the objects, (y, x) over a window."""
        labels = self.labels(window)
        if layer.name == OBJECT_IDS:
            ids = np.concatenate([[int(layer.nodata)], self.ids])
            return ids[labels].astype(layer.dtype)
        if layer.name == CLASSES:
            out = self.table.code[labels]
            background = self._rules.legend.background
            if background is not None:
                out[(labels == 0) & self._views.valid(window)] = background
            return out
        return self._percent[labels]

    def of_layer(self, layer: int) -> LayerOfInstances:
        """Return the objects of one layer as a source for the vectoriser."""
        return LayerOfInstances(self, layer)

    def percent(self, labels: I32) -> U8:
        """Return the score of labels in percent; 255 without an object."""
        return self._percent[labels]

    def _place(self, joined: JoinedObjects, layer: I32) -> None:
        self._joined = joined
        self._rank = ranks_of(joined)
        self._whole = np.concatenate([[True], joined.whole])
        self._layer = np.concatenate([[-1], layer]).astype(np.int32)
        self.layers = int(layer.max(initial=0)) + 1
        percent = np.clip(np.rint(joined.score * (100 / SCORE_UNIT)), 0, 100)
        self._percent = np.concatenate([[NO_PERCENT], percent]).astype(np.uint8)

    def _sums(self, tick: Tick | None) -> PixelSums:
        sums = PixelSums.empty(len(self._joined) + 1)
        scene = Window.whole(self.shape)
        for window in self._views.block_windows():
            if tick is not None:
                tick(0)
            around = window.expanded(1)
            valid = np.zeros(around.shape, np.bool_)
            near = around.intersection(scene)
            valid[near.within(around)] = self._views.valid(near)
            for layer in range(self.layers):
                add_pixels(sums, self.labels(window, layer), window, valid, self.shape[1])
        return sums

    def _table(self, joined: JoinedObjects, sums: PixelSums, geobox: GeoBox) -> LabelTable:
        columns = np.zeros(len(joined) + 1, COLUMNS)
        if len(joined):
            shape = ellipses_of(sums.take(np.arange(1, len(joined) + 1)), geobox)
            columns["object_id"][1:] = self._unique(sums.last[1:])
            columns["score"][1:] = joined.score / SCORE_UNIT
            columns["touches_edge"][1:] = sums.cut[1:]
            columns["major_axis_m"][1:], columns["minor_axis_m"][1:] = shape.major_m, shape.minor_m
            columns["orientation_deg"][1:] = shape.orientation_deg
        code = np.concatenate([[self._rules.legend.nodata], joined.code]).astype(np.uint8)
        return LabelTable(code=code, none=0, columns=columns)

    def _unique(self, last: I64) -> I64:
        """Make ids: the last pixel, or, where a better object has that, the last one that is no other's id."""
        ids = last.copy()
        if self.layers == 1:
            return ids
        taken: set[int] = set()
        for index in np.argsort(-self._rank[1:], kind="stable").tolist():
            if int(ids[index]) in taken:
                ids[index] = next((n for n in self._numbers(index + 1) if n not in taken), -1 - index)
            taken.add(int(ids[index]))
        return ids

    def _numbers(self, label: int) -> list[int]:
        """List the numbers of the pixels of an object, from the last to the first."""
        numbers: list[int] = []
        for view in np.flatnonzero(self._joined.label == label):
            tile = int(np.searchsorted(self._joined.starts, view, "right")) - 1
            table = self._views.table(tile).take(np.array([view - self._joined.starts[tile]]))
            if not self._whole[label]:
                table = table.clipped(self._views.tiles[tile].core)[1]
            for row, col, length in zip(table.run_row, table.run_col, table.run_length, strict=True):
                numbers += range(int(row) * self.shape[1] + int(col), int(row) * self.shape[1] + int(col + length))
        return sorted(numbers, reverse=True)


class LayerOfInstances:
    """Labels of the objects of one layer; a source for ``vectorise_labels``, with scores as confidence.

    Args:
        objects: all objects.
        layer: number of the layer.
    """

    def __init__(self, objects: SceneInstances, layer: int) -> None:
        self.shape = objects.shape
        self._objects, self._layer = objects, layer

    def read(self, window: Window) -> tuple[I32, U8 | None]:
        """Read labels and scores in percent, both (y, x)."""
        labels = self._objects.labels(window, self._layer)
        return labels, self._objects.percent(labels)
