"""Layers of corrected maps of detected objects and of panoptic maps, drawn from the labels of their objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from geoseg.core.layer import NO_PERCENT, OBJECTS, SEGMENTS, RasterLayer
from geoseg.core.segments import Segments
from geoseg.core.spec import InstanceChoice, PredictSpec
from geoseg.core.types.arrays import AnyArray
from geoseg.core.window import Window
from geoseg.edits.edited_objects import EditedObjects
from geoseg.edits.layers import DrawnLayer, LayerTask, tracing, write_layer
from geoseg.errors import ResourceError
from geoseg.inference.objects.join import SCORE_UNIT
from geoseg.inference.objects.polygons import one_each, regular_layer
from geoseg.inference.objects.scene import COLUMNS as INSTANCE_COLUMNS
from geoseg.inference.objects.shape import PixelSums, ellipses_of
from geoseg.inference.panoptic.scene import COLUMNS as PANOPTIC_COLUMNS
from geoseg.inference.panoptic.scene import STUFF, THING
from geoseg.inference.tasks.instance_layers import OBJECT_IDS, instance_schema
from geoseg.inference.tasks.panoptic_layers import panoptic_layer
from geoseg.io.edits.layer_tables import naming_damage, read_rows, shape_key, wkb_of
from geoseg.io.labels.panoptic_raster import MOST_THINGS, NO_PANOPTIC_LABEL, class_tags, classes_in, panoptic_labels
from geoseg.io.polygons.segment_stream import GEOMETRY, to_wkb
from geoseg.io.raster.cog import write_value_cog
from geoseg.vector.source import CODES, LabelTable
from geoseg.vector.spec import VectorSpec
from geoseg.vector.vectorise import vectorise_labels

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
Written = tuple[dict[str, int], dict[str, int]]
_LABEL: Final = "label"
_PLACE = np.dtype([(_LABEL, "i8")])


def write_label_layers(task: LayerTask) -> Written:
    """Write the raster of numbers and the polygons of a map whose objects have labels.

    Returns:
        Counts for the run record, and the next free feature ids by layer.
    """
    with EditedObjects(task.finished, task.planes) as objects:
        drawn = _instances(task, objects) if task.finished.kind == "instances" else _panoptic(task, objects)
        if task.finished.has(task.finished.numbers):
            _write_numbers(task, drawn)
        counts, next_fid = _write_polygons(task, drawn)
        return counts | drawn.counts(), next_fid


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drawn:
    """Labels that the layers of a map are drawn from, with their attributes.

    Attributes:
        task: the layers that are written.
        objects: the objects.
        stuff: True if pixels without an object are drawn too; their labels are their codes plus one, below those of
            objects.
        sums: sums over the pixels of the objects' labels.
        code: (label,) class of each label that is drawn.
        columns: (label,) attributes.
        value: (label,) number in the raster.
    """

    task: LayerTask
    objects: EditedObjects
    stuff: bool
    sums: PixelSums
    code: U8
    columns: npt.NDArray[np.void]
    value: AnyArray

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.objects.shape

    @property
    def first(self) -> int:
        """Labels before those of the objects."""
        return CODES if self.stuff else 0

    def read(self, window: Window) -> tuple[I32, U8]:
        """Read labels and percentages, both (y, x); see ``LabelSource``."""
        edited = self.task.planes.edited(window)
        labels = self.objects.labels(window, edited)
        percent = np.full(window.shape, NO_PERCENT, np.uint8) if edited.confidence is None else edited.confidence
        scored = ~np.isnan(self.objects.score[labels])
        percent = np.where(scored, _percent(self.objects.score[labels]), percent).astype(np.uint8)
        if self.stuff:
            below = np.where(edited.codes == self.objects.code[0], 0, edited.codes.astype(np.int32) + 1)
            labels = np.where(labels > 0, labels + self.first, below).astype(np.int32)
        return labels, percent

    def counts(self) -> dict[str, int]:
        """Count the objects, for the run record."""
        return {"things": int((self.sums.pixels[1:] > 0).sum())} if self.stuff else {}


def _percent(score: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Round scores to percent as a run does, which has them in whole units."""
    units = np.rint(np.nan_to_num(score) * SCORE_UNIT)
    return np.clip(np.rint(units * (100 / SCORE_UNIT)), 0, 100)


def _instances(task: LayerTask, objects: EditedObjects) -> _Drawn:
    sums = objects.sums()
    there = np.flatnonzero(sums.pixels[1:] > 0) + 1
    columns = np.zeros(len(objects), INSTANCE_COLUMNS)
    if len(there):
        shape = ellipses_of(sums.take(there), task.finished.grid.geobox)
        columns["object_id"][there], columns["touches_edge"][there] = sums.last[there], sums.cut[there]
        columns["score"][there] = objects.score[there]
        columns["major_axis_m"][there], columns["minor_axis_m"][there] = shape.major_m, shape.minor_m
        columns["orientation_deg"][there] = shape.orientation_deg
    ids = _number_layer(task)
    value = np.full(len(objects), ids.nodata, np.int64)
    value[there] = sums.last[there]
    return _Drawn(
        task=task,
        objects=objects,
        stuff=False,
        sums=sums,
        code=objects.code,
        columns=columns,
        value=value.astype(ids.dtype),
    )


def _panoptic(task: LayerTask, objects: EditedObjects) -> _Drawn:
    sums, nodata = objects.sums(), task.finished.legend.nodata
    there = np.flatnonzero(sums.pixels[1:] > 0) + 1
    if len(there) > MOST_THINGS:
        raise ResourceError(f"{len(there)} things are more than labels of 32 bits can number.")
    number = np.zeros(len(objects), np.int64)
    number[there[np.argsort(sums.last[there])]] = np.arange(1, len(there) + 1)
    # labels: none, the codes of stuff plus one, objects
    code = np.concatenate([[nodata], np.arange(CODES), objects.code[1:]]).astype(np.uint8)
    columns = np.zeros(len(code), PANOPTIC_COLUMNS)
    stuff, thing = slice(1, CODES + 1), slice(CODES + 1, None)
    columns["kind"][stuff], columns["kind"][thing] = STUFF, THING
    columns["segment_id"][1:] = panoptic_labels(code[1:], np.concatenate([np.zeros(CODES, np.int64), number[1:]]))
    columns["score"][stuff], columns["score"][thing] = np.nan, objects.score[1:]
    columns["touches_edge"][thing] = sums.cut[1:]
    value = columns["segment_id"].astype(np.int32)
    value[0] = NO_PANOPTIC_LABEL
    return _Drawn(task=task, objects=objects, stuff=True, sums=sums, code=code, columns=columns, value=value)


def _number_layer(task: LayerTask) -> RasterLayer:
    if task.finished.kind == "panoptic":
        return panoptic_layer()
    spec = PredictSpec(instances=InstanceChoice(object_ids=True))
    return instance_schema(spec, task.finished.legend).raster(OBJECT_IDS)


def _write_numbers(task: LayerTask, drawn: _Drawn) -> None:
    path = task.finished.numbers
    kinds = class_tags(classes_in(task.finished.original(path))) if drawn.stuff else {}

    def blocks() -> Iterator[tuple[Window, AnyArray]]:
        for window in task.planes.blocks():
            yield window, drawn.value[drawn.read(window)[0]]

    tags = task.tags(path) | kinds
    write_value_cog(task.target(path), task.finished.grid, blocks(), _number_layer(task), tags=tags)


def _write_polygons(task: LayerTask, drawn: _Drawn) -> Written:
    finished = task.finished
    name, path = (SEGMENTS, finished.bundle.segments) if drawn.stuff else (OBJECTS, finished.objects)
    if not finished.has(path):
        return {}, {}
    spec = VectorSpec(simplify_m=finished.options["simplify_m"])
    places = np.zeros(len(drawn.code), _PLACE)
    places[_LABEL] = np.arange(len(drawn.code))
    table = LabelTable(code=drawn.code, none=0, columns=places)
    traced = vectorise_labels(drawn, finished.grid.geobox, table, tracing(finished, name, spec))
    pixels = dict(enumerate(drawn.sums.pixels[1:].tolist(), start=drawn.first + 1))
    batches = _described(one_each(traced, pixels, column=_LABEL), drawn.columns)
    if drawn.stuff and not finished.has(finished.bundle.confidence):
        batches = _with_confidence(batches, finished.original(path), name)
    regularise = (finished.options.get("instances") or {}).get("regularise")
    second = None if regularise is None else regular_layer(name, regularise, finished.grid, finished.legend)
    layer = DrawnLayer(path=path, name=name, batches=batches, columns=drawn.columns.dtype, multi=True, second=second)
    count, next_fid = write_layer(task, layer)
    return {name: count}, next_fid


def _described(batches: Iterator[Segments], columns: npt.NDArray[np.void]) -> Iterator[Segments]:
    """Give polygons the attributes of their labels."""
    for batch in batches:
        yield replace(batch, extra=columns[batch.extra[_LABEL]])


def _with_confidence(batches: Iterator[Segments], original: Path, layer: str) -> Iterator[Segments]:
    """Let polygons that did not change keep their confidence, which the run wrote nowhere else."""
    rows = read_rows(original, layer, ("class_code", GEOMETRY, "confidence", "confidence_min"))
    with naming_damage(original):
        known = {shape_key(int(code), wkb_of(blob)): sure for code, blob, *sure in rows}
    for batch in batches:
        keys = [shape_key(int(c), bytes(w)) for c, w in zip(batch.class_code, to_wkb(batch.geometry), strict=True)]
        drawn = np.stack([batch.confidence, batch.confidence_min], axis=1)
        sure = np.array([known.get(key, own) for key, own in zip(keys, drawn.tolist(), strict=True)], np.float32)
        yield replace(batch, confidence=sure[:, 0], confidence_min=sure[:, 1])
