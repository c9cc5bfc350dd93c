"""Labelled images: pixels and the class of each, read whole into memory for training and scoring."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from geoseg.core.ground import gsd_m
from geoseg.core.legend import Legend
from geoseg.core.window import Window
from geoseg.data.town import draw_town
from geoseg.errors import UsageError
from geoseg.io.label_file import read_labels
from geoseg.io.scene import open_scene

UNLABELLED: Final = 255
"""Channel of pixels without a class: no loss, no score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledImage:
    """One image with its classes.

    Attributes:
        name: where it comes from, for messages and scores.
        values: (band, y, x) uint8.
        valid: (y, x) bool; True where the pixel may be used.
        channels: (y, x) uint8, index into the legend's classes, or ``UNLABELLED``.
        gsd_m: true ground sample distance.
        weight: share of the chips cut from it, relative to the others.
    """

    name: str
    values: npt.NDArray[np.uint8]
    valid: npt.NDArray[np.bool_]
    channels: npt.NDArray[np.uint8]
    gsd_m: float
    weight: float = 1.0


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Rows = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=1)]]


class FileSource(_Config):
    """A scene and its labels, split into training and validation by rows (neighbouring pixels are no independent test).

    Attributes:
        image: scene, relative to the data folder.
        labels: raster of codes on the same grid, or polygons.
        codes: ``values`` when labels are codes of the legend; ``nonzero`` when anything but 0 is class code 1.
        attribute: for polygons, the field that holds the code; without it every polygon is code 1.
        train: rows to learn from, half-open; None for none.
        validate_on: rows to score on.
    """

    kind: Literal["files"] = "files"
    name: str
    licence: str
    image: str
    labels: str
    codes: Literal["values", "nonzero"] = "values"
    attribute: str | None = None
    train: Rows | None = None
    validate_on: Rows | None = None
    weight: Annotated[float, Field(gt=0)] = 1.0

    @model_validator(mode="after")
    def _apart(self) -> FileSource:
        if (
            self.train
            and self.validate_on
            and max(self.train[0], self.validate_on[0]) < min(self.train[1], self.validate_on[1])
        ):
            raise ValueError(f"{self.name}: rows {self.train} and {self.validate_on} overlap; a score would be a lie")
        return self


class TownSource(_Config):
    """Drawn towns: every seed is another town, labelled perfectly.

    Attributes:
        train_seeds: first and last seed to learn from.
        validate_seeds: first and last seed to score on.
        shape: rows and columns of each town.
        gsd_m: ground sample distances, taken in turn.
        recode: town codes and the codes of the model's legend they become, the others 0; None keeps all.
    """

    kind: Literal["towns"]
    name: str
    licence: str
    train_seeds: tuple[int, int] | None = None
    validate_seeds: tuple[int, int] | None = None
    shape: tuple[int, int] = (1024, 1024)
    gsd_m: tuple[Annotated[float, Field(gt=0)], ...] = (0.09,)
    recode: dict[int, int] | None = None
    weight: Annotated[float, Field(gt=0)] = 1.0


Source = Annotated[FileSource | TownSource, Field(discriminator="kind")]
Split = Literal["train", "validate"]


def read_source(source: FileSource | TownSource, split: Split, folder: Path, legend: Legend) -> list[LabelledImage]:
    """Read one side of a source's split.

    Args:
        source: what to read.
        split: which side.
        folder: the data folder that file sources are relative to.
        legend: its codes become channels.

    Raises:
        UsageError: labels and image differ in size, or a label is no code of the legend.
        SceneError: a file cannot be read.
    """
    if isinstance(source, TownSource):
        return _towns(source, split, legend)
    rows = source.train if split == "train" else source.validate_on
    if rows is None:
        return []
    with open_scene(folder / source.image) as scene:
        height, width = scene.geobox.shape
        if rows[1] > height or rows[0] >= rows[1]:
            raise UsageError(f"{folder / source.image}: rows {rows} do not lie inside its {height} rows")
        raster = scene.read(Window(rows[0], rows[1], 0, width))
        if raster.values.dtype != np.uint8:
            raise UsageError(f"{folder / source.image}: {raster.values.dtype} pixels; training reads 8-bit images")
        codes = read_labels(folder / source.labels, raster.geobox, attribute=source.attribute)
        gsd = float(np.sqrt(np.prod(gsd_m(scene.geobox))))
    if source.codes == "nonzero":
        codes = (codes > 0).astype(np.int64)
    name = f"{source.name} rows {rows[0]}-{rows[1] - 1}"
    channels = _channels(codes, legend, str(folder / source.labels))
    channels[~raster.valid] = UNLABELLED
    return [
        LabelledImage(
            name=name, values=raster.values, valid=raster.valid, channels=channels, gsd_m=gsd, weight=source.weight
        )
    ]


def _towns(source: TownSource, split: Split, legend: Legend) -> list[LabelledImage]:
    seeds = source.train_seeds if split == "train" else source.validate_seeds
    if seeds is None:
        return []
    first, last = seeds
    images = []
    for seed in range(first, last + 1):
        gsd = source.gsd_m[(seed - first) % len(source.gsd_m)]
        town = draw_town(seed, source.shape, gsd)
        codes = town.labels
        if source.recode is not None:
            table = np.array([source.recode.get(code, 0) for code in range(256)])
            codes = table[codes]
        channels = _channels(codes, legend, f"town {seed}")
        images.append(
            LabelledImage(
                name=f"{source.name} {seed}",
                values=np.asarray(town.rgb),
                valid=np.ones(source.shape, bool),
                channels=channels,
                gsd_m=gsd,
                weight=source.weight / (last - first + 1),
            )
        )
    return images


def _channels(codes: npt.NDArray[np.integer], legend: Legend, where: str) -> npt.NDArray[np.uint8]:
    channels = np.full(codes.shape, UNLABELLED, np.uint8)
    known = codes == legend.nodata
    for channel, code in enumerate(legend.codes):
        here = codes == code
        channels[here] = channel
        known |= here
    if not known.all():
        strangers = np.unique(codes[~known])[:5].tolist()
        raise UsageError(f"{where}: labels {strangers} are no codes of the legend {legend.codes}")
    return channels
