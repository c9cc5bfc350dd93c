"""``kind: files``: one scene and its labels, read whole into memory, split by rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from geoseg.core.ground import gsd_m
from geoseg.core.legend import Legend
from geoseg.core.window import Window
from geoseg.data.labelled_scene import UNLABELLED, LabelledImage
from geoseg.data.recoding import channels_of
from geoseg.data.sources.model import SourceModel, Split
from geoseg.errors import UsageError
from geoseg.io.label_file import read_labels
from geoseg.io.options import ConfiguredAlpha
from geoseg.io.scene import open_scene

Rows = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=1)]]


class FileSource(SourceModel):
    """A scene and its labels, split into training and validation by rows (neighbouring pixels are no independent test).

    Attributes:
        image: scene, relative to the data folder.
        labels: raster of codes on the same grid, or polygons.
        codes: ``values`` when labels are codes of the legend; ``nonzero`` when anything but 0 is class code 1.
        attribute: for polygons, the field that holds the code; without it every polygon is code 1.
        alpha: whether a band of the scene says which pixels are valid: ``auto``, ``yes`` or ``no``.
        nodata: one more value of the scene that means no measurement, in all bands.
        train: rows to learn from, half-open; None for none.
        validate_on: rows to score on.
    """

    kind: Literal["files"] = "files"
    image: str
    labels: str
    codes: Literal["values", "nonzero"] = "values"
    attribute: str | None = None
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

    def learns(self) -> bool:
        """Whether anything of it is learnt from."""
        return self.train is not None

    def split_words(self) -> str:
        """Say for the card what is learnt from."""
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
            raster = scene.read(Window(rows[0], rows[1], 0, width))
            if raster.values.dtype != np.uint8:
                raise UsageError(f"{folder / self.image}: {raster.values.dtype} pixels; training reads 8-bit images")
            codes = read_labels(folder / self.labels, raster.geobox, attribute=self.attribute)
            gsd = float(np.sqrt(np.prod(gsd_m(scene.geobox))))
        if self.codes == "nonzero":
            codes = (codes > 0).astype(np.int64)
        name = f"{self.name} rows {rows[0]}-{rows[1] - 1}"
        channels = channels_of(codes, legend, str(folder / self.labels))
        channels[~raster.valid] = UNLABELLED
        return [
            LabelledImage(
                name=name, values=raster.values, valid=raster.valid, channels=channels, gsd_m=gsd, weight=self.weight
            )
        ]
