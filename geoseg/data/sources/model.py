"""Base models of the sources in a recipe, and the opening of their scenes."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from geoseg.core.legend import Legend
from geoseg.core.window import Window
from geoseg.data.block_cache import BlockCache
from geoseg.data.file_scene import FileScene, ScenePart
from geoseg.data.label_files import LabelFile, PolygonFile
from geoseg.data.labelled_scene import LabelledScene
from geoseg.data.recoding import Others, Recoding
from geoseg.errors import UsageError
from geoseg.io.labels.class_raster import ClassRules
from geoseg.io.labels.label_layer import NO_LABEL, Rgb
from geoseg.io.labels.nodata import Nodata
from geoseg.io.raster.image_stack import ImageStack, Layer
from geoseg.io.raster.open_options import ConfiguredAlpha, OpenOptions

Split = Literal["train", "validate"]
_COLOUR, _NUMBER = re.compile(r"#[0-9a-fA-F]{6}"), re.compile(r"-?\d+")
Meaning = int | Literal["ignore"]
"""A code of the legend, or no class."""
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]


def _apart(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] == ends[1]:
        raise ValueError(f"0 and 1 cannot both be {ends[0]:g}")
    return ends


Range = Annotated[tuple[float, float], AfterValidator(_apart)]
"""Values that are scaled to 0 and 1; the first may be the larger one."""


class Config(BaseModel):
    """Values from a recipe: frozen, and no unknown key."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SourceModel(Config):
    """Base of all sources.

    Attributes:
        name: for messages, scores and the card.
        licence: licence of images and labels.
        weight: share of the chips, relative to the other sources.
    """

    name: str
    licence: str
    weight: Positive = 1.0

    def has_training(self) -> bool:
        """True if any of it is used for training."""
        return True

    @abstractmethod
    def split_words(self) -> str:
        """Describe the training part, for the card."""

    @abstractmethod
    def scenes(self, split: Split, folder: Path, legend: Legend) -> Sequence[LabelledScene]:
        """Open one side of the split.

        Args:
            split: side of the split.
            folder: the data folder.
            legend: classes, in the order of the class indices.

        Raises:
            SceneError: a file cannot be read.
            UsageError: files, split and legend do not fit.
        """


class FileSourceModel(SourceModel):
    """Base of all sources of files that are read block by block.

    Attributes:
        folder: folder of its files, relative to the data folder.
        gsd_m: ground sample distance; None: that of the images, else 1.
        cache_mb: size limit of the cache of decoded pixels, MB.
        alpha: use of a band of the images as mask: ``auto``, ``yes`` or ``no``.
        nodata: one more value of the images that means no measurement, in all bands.
    """

    folder: str = "."
    gsd_m: Positive | None = None
    cache_mb: Annotated[int, Field(ge=0)] = 1024
    alpha: ConfiguredAlpha = "auto"
    nodata: float | None = None

    def opening(self) -> OpenOptions:
        """Options for opening its images."""
        return OpenOptions(unplaced=True, alpha=self.alpha, nodata=self.nodata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One image of a source.

    Attributes:
        name: name in splits.
        layers: files of its bands.
        labels: its label file.
        recoding: conversion of labels to class indices.
        constants: values of further, constant bands.
    """

    name: str
    layers: tuple[Layer, ...]
    labels: LabelFile
    recoding: Recoding
    constants: tuple[float, ...] = ()


def open_items(
    source: FileSourceModel,
    items: Iterable[Item],
    cache: BlockCache,
    *,
    inside: PolygonFile | None = None,
) -> list[FileScene]:
    """Open the images of a source.

    Args:
        source: the source with its options.
        items: the images.
        cache: cache of decoded blocks.
        inside: polygons outside of which pixels are unlabelled.

    Raises:
        SceneError: an image cannot be read.
    """
    return [
        FileScene(
            name=f"{source.name} {item.name}",
            stack=ImageStack(item.layers, opening=source.opening(), constants=item.constants),
            labels=item.labels,
            recoding=item.recoding,
            cache=cache,
            gsd_m=source.gsd_m,
            inside=inside,
        )
        for item in items
    ]


def weighted(source: SourceModel, parts: Sequence[tuple[LabelledScene, Window]], scored_as: str) -> list[ScenePart]:
    """Divide a source's weight among parts of scenes, by pixels.

    Args:
        source: source with the weight.
        parts: scenes and their used windows.
        scored_as: common name of their score.
    """
    total = sum(window.pixels for _, window in parts)
    return [
        ScenePart(
            scene,
            window,
            name=scene.name if window == Window.whole(scene.shape) else f"{scene.name} {_words(window)}",
            weight=source.weight * window.pixels / total,
            scored_as=scored_as,
        )
        for scene, window in parts
    ]


def _words(window: Window) -> str:
    return f"rows {window.row_start}-{window.row_stop - 1} columns {window.col_start}-{window.col_stop - 1}"


def block_cache(source: FileSourceModel) -> BlockCache:
    """Make the cache of a source."""
    return BlockCache(source.cache_mb * 2**20)


class LabelMeanings(Config):
    """Base of sources that define the meaning of labels.

    Attributes:
        codes: ``values``: labels are mapped by ``classes``, or are legend codes; ``nonzero``: all but 0 are code 1.
        classes: map from label (an index, a value of the attribute, or a colour ``#rrggbb``) to a code of the legend or
            ``ignore``.
        others: meaning of labels that ``classes`` does not list: a code, ``ignore`` or ``refuse``.
        labels_nodata: of rasters: one more label that means no class; ``none``: their own nodata value is a class. A
            nodata value that is a class of the recipe is refused unless this defines its meaning.
    """

    codes: Literal["values", "nonzero"] = "values"
    classes: dict[str | int, Meaning] | None = None
    others: Others = "refuse"
    labels_nodata: Nodata = None

    @field_validator("classes")
    @classmethod
    def _one_kind(cls, classes: dict[str | int, Meaning] | None) -> dict[str | int, Meaning] | None:
        if classes is None:
            return None
        if not classes:
            raise ValueError("classes lists nothing; leave it out when labels are codes of the legend")
        coloured = [str(key).startswith("#") for key in classes]
        if any(coloured) and not all(coloured):
            raise ValueError("classes lists colours and other labels; give one kind")
        for key in classes:
            if str(key).startswith("#"):
                rgb_of(str(key))
        return classes

    @model_validator(mode="after")
    def _codes_or_classes(self) -> Self:
        if self.codes == "nonzero" and self.classes is not None:
            raise ValueError("codes: nonzero makes all labels but 0 code 1; leave it or classes out")
        return self

    def table(self) -> tuple[tuple[str, int | None], ...] | None:
        """Map labels as text to codes, None for no class; None if labels are codes."""
        if self.classes is None:
            return None
        return tuple((str(key), None if code == "ignore" else code) for key, code in self.classes.items())

    def of_raster(self, legend: Legend, *, coloured: bool) -> tuple[Recoding, ClassRules]:
        """Make the rules for converting the values of a raster to class indices.

        Args:
            legend: classes, in the order of the class indices.
            coloured: True if the files hold colours.

        Returns:
            Conversion of labels to class indices, and of pixels to labels.

        Raises:
            UsageError: files of codes have classes by colour or by name, or files of colours by something else.
        """
        table = self.table()
        odd = next(
            (text for text, _ in table or () if (_COLOUR if coloured else _NUMBER).fullmatch(text) is None), None
        )
        if odd is not None:
            expected = "colours, and it is no #rrggbb" if coloured else "codes, and it is no whole number"
            raise UsageError(f"classes: {odd!r}: the labels hold {expected}. Say what the files hold, or list that.")
        if coloured:
            # the legend's own colours where none are given
            meanings = table or tuple((entry.colour, entry.code) for entry in legend.classes)
            colours = tuple((rgb_of(text), _label(code)) for text, code in meanings)
            others = None if self.others == "refuse" else _label(None if self.others == "ignore" else self.others)
            return Recoding(legend=legend), ClassRules(colours=colours, other_colours=others, nodata=self.labels_nodata)
        rules = ClassRules(nodata=self.labels_nodata)
        if self.codes == "nonzero" or table is None:
            return Recoding(legend=legend, nonzero=self.codes == "nonzero"), rules
        numbers = {int(text): code for text, code in table}
        return Recoding(legend=legend, table=numbers, others=self.others), rules


def codes_by_name(legend: Legend, official: Legend, *, optional: str) -> dict[int, int | None]:
    """Map a benchmark's codes to those of a recipe's legend, by class names.

    Args:
        legend: legend of the recipe.
        official: legend of the benchmark.
        optional: class that the recipe's legend may leave out; its pixels then have no class.

    Raises:
        UsageError: another class of the benchmark is missing.
    """
    ours = {entry.name: entry.code for entry in legend.classes}
    missing = [name for name in official.names if name not in ours and name != optional]
    if missing:
        raise UsageError(
            f"the legend has no class {missing[0]!r}. The benchmark's classes are {', '.join(official.names)}; only "
            f"{optional} may be left out."
        )
    return {entry.code: ours.get(entry.name) for entry in official.classes}


def _label(code: int | None) -> int:
    return NO_LABEL if code is None else code


def rgb_of(text: str) -> Rgb:
    """Parse ``#rrggbb``.

    Raises:
        ValueError: the text is something else.
    """
    if len(text) != 7 or not text.startswith("#"):
        raise ValueError(f"{text!r} is no colour #rrggbb")
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


__all__ = [
    "Config",
    "FileSourceModel",
    "Item",
    "LabelMeanings",
    "Meaning",
    "Positive",
    "Range",
    "Share",
    "SourceModel",
    "Split",
    "block_cache",
    "codes_by_name",
    "open_items",
    "rgb_of",
    "weighted",
]
