"""``kind: files``: one scene and its labels, read whole into memory, split by rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from geoseg.core.ground import gsd_m
from geoseg.core.legend import Legend
from geoseg.core.window import Window
from geoseg.data.label_files import LabelFile, PolygonFile, RasterFile
from geoseg.data.labelled_scene import UNLABELLED, LabelledImage
from geoseg.data.sources.model import SourceModel, Split
from geoseg.data.sources.placed_labels import PlacedLabels
from geoseg.errors import SceneError, UsageError
from geoseg.io.labels.class_raster import ClassRules
from geoseg.io.labels.contact_labels import read_objects
from geoseg.io.raster.open_options import ConfiguredAlpha
from geoseg.io.raster.scene import open_scene
from geoseg.io.vectors.names import is_vector

Rows = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=1)]]


class FileSource(SourceModel, PlacedLabels):
    """A scene and its labels, split into training and validation by rows, since neighbouring pixels are dependent.

    Attributes:
        image: scene, relative to the data folder.
        labels: a raster on the scene's pixels, possibly with more around, or polygons.
        objects: polygons, or a raster of numbers (0 for none), that tell the things of the labels apart; None: the
            labels do, or nothing does.
        alpha: use of a band of the scene as mask: ``auto``, ``yes`` or ``no``.
        nodata: one more value of the scene that means no measurement, in all bands.
        train: training rows, half-open; None for none.
        validate_on: validation rows.
    """

    kind: Literal["files"] = "files"
    image: str
    objects: str | None = None
    alpha: ConfiguredAlpha = "auto"
    nodata: float | None = None
    train: Rows | None = None
    validate_on: Rows | None = None

    @model_validator(mode="after")
    def _apart(self) -> FileSource:
        if (
            self.train
            and self.validate_on
            and max(self.train[0], self.validate_on[0]) < min(self.train[1], self.validate_on[1])
        ):
            raise ValueError(f"{self.name}: rows {self.train} and {self.validate_on} overlap; a score would be a lie")
        return self

    def has_training(self) -> bool:
        """True if any of it is used for training."""
        return self.train is not None

    def split_words(self) -> str:
        """Describe the training part, for the card."""
        return "" if self.train is None else f"rows {self.train[0]} to {self.train[1] - 1}"

    def scenes(self, split: Split, folder: Path, legend: Legend) -> list[LabelledImage]:
        """Read the rows of one side; see ``SourceModel``."""
        rows = self.train if split == "train" else self.validate_on
        if rows is None:
            return []
        with open_scene(folder / self.image, alpha=self.alpha, nodata=self.nodata) as scene:
            height, width = scene.geobox.shape
            if rows[1] > height or rows[0] >= rows[1]:
                raise UsageError(f"{folder / self.image}: rows {rows} do not lie inside its {height} rows")
            window = Window(rows[0], rows[1], 0, width)
            raster = scene.read(window)
            if raster.values.dtype != np.uint8:
                raise UsageError(f"{folder / self.image}: {raster.values.dtype} pixels; training reads 8-bit images")
            gsd = float(np.sqrt(np.prod(gsd_m(scene.geobox))))
            path = folder / self.labels
            if path.resolve() == (folder / self.image).resolve():
                raise SceneError(str(path), "it is the image itself, not its labels.", "Name the labels in the recipe.")
            recoding = self.recoding(legend, split)
            with self.label_file(path, legend, split).open(scene.geobox) as layer:
                recoding.refuse_hidden(layer.hidden, layer.name)
                labels, labelled, objects = read_objects(layer, window)
            if self.objects is not None:
                with _object_file(folder / self.objects).open(scene.geobox) as layer:
                    _, _, objects = read_objects(layer, window)
        class_indices = recoding.class_indices(labels, labelled, str(path))
        class_indices[~raster.valid] = UNLABELLED
        numbers = None if objects is None else np.where(class_indices != UNLABELLED, objects, 0).astype(np.int64)
        name = f"{self.name} rows {rows[0]}-{rows[1] - 1}"
        return [
            LabelledImage(
                name=name,
                values=raster.values,
                valid=raster.valid,
                class_indices=class_indices,
                gsd_m=gsd,
                weight=self.weight,
                labels_name=str(path),
                objects=numbers,
            )
        ]


def _object_file(path: Path) -> LabelFile:
    """Read polygons, or a raster whose pixels are numbers of objects; everywhere else there is none."""
    if is_vector(path):
        return PolygonFile(path=path, may_be_empty=True)
    return RasterFile(path=path, rules=ClassRules(nodata="none"), numbered=True)
