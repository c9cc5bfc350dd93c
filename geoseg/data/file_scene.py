"""FileScene: a labelled scene on disk, decoded lazily block by block."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from odc.geo.geobox import GeoBox

from geoseg.core.ground import gsd_m
from geoseg.core.window import Window
from geoseg.data.block_cache import BlockCache
from geoseg.data.label_files import LabelFile, PolygonFile
from geoseg.data.labelled_scene import UNLABELLED, LabelledImage, LabelledScene, Sample
from geoseg.data.read_scene import ReadScene, join_samples
from geoseg.data.recoding import Recoding
from geoseg.errors import SceneError
from geoseg.io.labels.contact_labels import read_objects
from geoseg.io.labels.label_layer import LabelLayer, Labels, Valid
from geoseg.io.raster.image_stack import ImageStack


class FileScene(ReadScene):
    """Image files and label files over the same ground. Thread-safe; pickles without its pixels.

    Args:
        name: for messages and scores.
        stack: the bands.
        labels: the label layer.
        recoding: conversion of labels to class indices.
        cache: decoded blocks, shared among scenes.
        gsd_m: ground sample distance; None: from the image's grid.
        inside: polygons outside of which pixels are unlabelled; None: no limit.

    Attributes:
        geobox: the grid; its CRS is None where the file has none.
        labels_name: name of the labels' file, for messages.

    Raises:
        SceneError: the labels are the image itself.
    """

    weight = 1.0

    def __init__(
        self,
        *,
        name: str,
        stack: ImageStack,
        labels: LabelFile,
        recoding: Recoding,
        cache: BlockCache,
        gsd_m: float | None = None,
        inside: PolygonFile | None = None,
    ) -> None:
        self.name = name
        self.geobox: GeoBox = stack.geobox
        self.shape = stack.shape
        self.gsd_m = ground_sample_distance(stack.geobox) if gsd_m is None else gsd_m
        self.bands = stack.bands
        self._stack, self._labels, self._recoding, self._inside = stack, labels, recoding, inside
        self._cache = cache
        self._kept: dict[LabelFile, LabelLayer] = {}
        self.labels_name = labels.name
        self._key = (stack.name, labels.name)
        if stack.holds(labels.name):
            raise SceneError(labels.name, "it is the image itself, not its labels.", "Name the labels in the recipe.")

    @property
    def scored_as(self) -> str:
        """Its name."""
        return self.name

    def read(self, window: Window) -> Sample:
        """Read a window inside the scene.

        Raises:
            SceneError: a file is damaged there.
            UsageError: a label is not a code of the legend.
        """
        blocks = (
            (block, self._cache.sample((self._key, block), partial(self._decode, block)))
            for block in self._blocks(window)
        )
        return join_samples(window, blocks, bands=self.bands, dtype=self._stack.dtype)

    def _blocks(self, window: Window) -> Iterator[Window]:
        rows, cols = self._stack.block_shape
        whole = Window.whole(self.shape)
        for row in range(window.row_start // rows * rows, window.row_stop, rows):
            for col in range(window.col_start // cols * cols, window.col_stop, cols):
                yield Window(row, row + rows, col, col + cols).intersection(whole)

    def _decode(self, block: Window) -> Sample:
        values, valid = self._stack.read(block)
        labels, labelled, objects = self._read_labels(self._labels, block)
        if self._inside is not None:
            labelled = labelled & (self._read_labels(self._inside, block)[0] > 0)
        class_indices = self._recoding.class_indices(labels, labelled, self._labels.name)
        class_indices[~valid] = UNLABELLED
        numbers = None if objects is None else np.where(class_indices != UNLABELLED, objects, 0).astype(np.int64)
        return Sample(values=values, valid=valid, class_indices=class_indices, objects=numbers)

    def _read_labels(self, file: LabelFile, block: Window) -> tuple[Labels, Valid, Labels | None]:
        if not file.kept:
            with file.open(self.geobox) as layer:
                self._recoding.refuse_hidden(layer.hidden, layer.name)
                return read_objects(layer, block)
        layer = self._kept.get(file) or file.open(self.geobox)
        self._kept[file] = layer
        return read_objects(layer, block)

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_kept": {}}

    def __repr__(self) -> str:
        return f"FileScene({self.name!r}, {self.shape[0]} x {self.shape[1]} px, {self.bands} bands)"


class ScenePart(ReadScene):
    """A rectangle of a labelled scene, itself a labelled scene, through which nothing outside can be read.

    Args:
        scene: the whole scene.
        window: the rectangle.
        name: for messages and scores.
        weight: share of the chips.
        scored_as: name of its score, shared by parts that are scored together.
    """

    def __init__(
        self, scene: LabelledScene, window: Window, *, name: str, weight: float, scored_as: str | None = None
    ) -> None:
        self.scene = scene
        self.window = window
        self.name = name
        self.weight = weight
        self.scored_as = name if scored_as is None else scored_as
        self.gsd_m = scene.gsd_m
        self.shape = window.shape
        self.bands = scene.bands

    def read(self, window: Window) -> Sample:
        """Read a window of the part.

        Raises:
            ValueError: the window leaves the part.
        """
        if not Window.whole(self.shape).contains(window):
            raise ValueError(f"{self.name}: {window} leaves its {self.shape} pixels")
        return self.scene.read(window.shifted(self.window.row_start, self.window.col_start))

    def __repr__(self) -> str:
        return f"ScenePart({self.name!r}, {self.window})"


def labels_of(scene: LabelledScene) -> str:
    """Return the name of a scene's label file, or of the scene if there is none."""
    if isinstance(scene, ScenePart):
        return labels_of(scene.scene)
    known = scene.labels_name if isinstance(scene, FileScene | LabelledImage) else None
    return known or scene.name


def ground_sample_distance(geobox: GeoBox) -> float:
    """Side of a square as large as a pixel on the ground, metres; 1 for a grid without a CRS."""
    return 1.0 if geobox.crs is None else float(np.sqrt(np.prod(gsd_m(geobox))))
