"""``kind: torchgeo``: any segmentation data set of torchgeo, by the name of its class and its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from geoseg.core.legend import Legend
from geoseg.core.types.json_value import UntypedDict
from geoseg.core.window import Window
from geoseg.data.block_cache import BlockCache
from geoseg.data.labelled_scene import LabelledScene
from geoseg.data.recoding import Others, Recoding
from geoseg.data.sources.area_splits import AreaSplit, ByArea, ByBlocks, ByRows, divide, training_windows
from geoseg.data.sources.file_splits import ByNames, ByShare, OneSide, describe_split, has_training, sides
from geoseg.data.sources.model import Config, Meaning, Positive, Range, SourceModel, Split, weighted
from geoseg.data.torchgeo_scene import GroundScene, Reading, SampleScene
from geoseg.data.torchgeo_set import OpenSet, SetReference, class_names, held_out, is_placed, set_class, split_argument
from geoseg.data.torchgeo_set import takes_bands as set_takes_bands
from geoseg.errors import SceneError, UsageError


class OwnSplit(Config):
    """The split of the data set itself: values of its argument ``split``.

    Attributes:
        train: split for training; None: no training.
        validate_on: split for validation; None: ``val``, else ``test``, whichever it has.
    """

    by: Literal["published"] = "published"
    train: str | None = "train"
    validate_on: str | None = None


class TorchgeoSource(SourceModel):
    """A data set of torchgeo.

    Attributes:
        dataset: its class in ``torchgeo.datasets``.
        folder: folder of its files, relative to the data folder.
        arguments: further arguments of the class.
        labels: class of a second georeferenced data set, of the labels, where the first has images alone.
        labels_folder: folder of the second; None: that of the first.
        labels_arguments: arguments of the second.
        images: keys of the images in a sample, stacked in this order.
        mask: key of the mask.
        bands: names that the data set knows, or numbers from 1, in the network's order; None: all.
        value_range: values that mean 0 and 1, for all bands or band by band; None: 8-bit values as they are.
        nodata: value of missing pixels, in all bands.
        classes: from a value of the mask or a class name of the data set to a code of the legend, or ``ignore``; None:
            by class names, and values are codes where the data set has no names.
        others: meaning of values that ``classes`` does not list: a code, ``ignore`` or ``refuse``.
        gsd_m: ground sample distance; None: that of the grid, else 1.
        cache_mb: size limit of the cache of decoded pixels, MB.
        split: its own split, a split of its samples, or of georeferenced ground by rows, blocks or polygons.
        guard_px: rows or columns between training and validation ground, in a split of ground.
    """

    kind: Literal["torchgeo"]
    dataset: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]*$")]
    folder: str = "."
    arguments: UntypedDict = Field(default_factory=dict)
    labels: str | None = None
    labels_folder: str | None = None
    labels_arguments: UntypedDict = Field(default_factory=dict)
    images: Annotated[tuple[str, ...], Field(min_length=1)] = ("image",)
    mask: str = "mask"
    bands: Annotated[tuple[int | str, ...], Field(min_length=1)] | None = None
    value_range: Range | tuple[Range, ...] | None = None
    nodata: float | None = None
    classes: dict[str | int, Meaning] | None = None
    others: Others = "refuse"
    gsd_m: Positive | None = None
    cache_mb: Annotated[int, Field(ge=0)] = 1024
    split: Annotated[OwnSplit | ByShare | ByNames | OneSide | ByRows | ByBlocks | ByArea, Field(discriminator="by")] = (
        OwnSplit()
    )
    guard_px: Annotated[int, Field(ge=1)] = 128

    @model_validator(mode="after")
    def _one_kind_of_bands(self) -> Self:
        numbers = [isinstance(band, int) for band in self.bands or ()]
        if any(numbers) and not all(numbers):
            raise ValueError("bands: give names or numbers, not both")
        if any(isinstance(band, int) and band < 1 for band in self.bands or ()):
            raise ValueError("bands: numbers begin at 1")
        return self

    def has_training(self) -> bool:
        """True if any of it is used for training."""
        if isinstance(self.split, OwnSplit):
            return self.split.train is not None
        return isinstance(self.split, AreaSplit) or has_training(self.split)

    def split_words(self) -> str:
        """Describe the training part, for the card."""
        if isinstance(self.split, OwnSplit):
            return "" if self.split.train is None else f"split {self.split.train} of torchgeo's {self.dataset}"
        if isinstance(self.split, AreaSplit):
            return f"ground {self.guard_px} px away from what is scored, split by {self.split.by}"
        return describe_split(self.split)

    def scenes(self, split: Split, folder: Path, legend: Legend) -> Sequence[LabelledScene]:
        """Open one side; see ``SourceModel``."""
        side = None
        if isinstance(self.split, OwnSplit):
            side = self.split.train if split == "train" else self.split.validate_on or held_out(self.dataset)
            if side is None:
                return []
            if split_argument(set_class(self.dataset)) is None:
                cures = "by: share, names or none" + (", rows, blocks or area" if is_placed(self.dataset) else "")
                raise UsageError(
                    f"{self.name}: torchgeo's {self.dataset} has no split of its own. Give split: {cures}."
                )
        reading = self._reading(legend)
        opened = OpenSet(self._reference(side, folder))
        count = len(opened.dataset)
        if not count:
            raise SceneError(f"{folder / self.folder}: torchgeo's {self.dataset}", "it is empty.", "Check its files.")
        cache = BlockCache(self.cache_mb * 2**20)
        names = [f"{number:0{len(str(count - 1))}d}" for number in range(count)]
        chosen = names
        if not isinstance(self.split, OwnSplit | AreaSplit):
            train, scored = sides(self.split, names, folder, str)
            chosen = train if split == "train" else scored
        if is_placed(self.dataset):
            return self._ground(split, [int(name) for name in chosen], (opened, reading, cache), folder)
        scenes: list[LabelledScene] = [
            SampleScene(
                f"{self.name} {side or self.dataset} {name}", opened, int(name), reading=reading, cache=cache,
                gsd_m=self.gsd_m or 1.0,
            )
            for name in chosen
        ]  # fmt: skip
        return weighted(self, [(scene, Window.whole(scene.shape)) for scene in scenes], f"{self.name}, held out")

    def _ground(
        self, split: Split, chosen: Sequence[int], source: tuple[OpenSet, Reading, BlockCache], folder: Path
    ) -> Sequence[LabelledScene]:
        opened, reading, cache = source
        scenes = [
            GroundScene(f"{self.name} {index}", opened, index, reading=reading, cache=cache, gsd_m=self.gsd_m)
            for index in chosen
        ]
        parts: list[tuple[LabelledScene, Window]] = [(scene, Window.whole(scene.shape)) for scene in scenes]
        if isinstance(self.split, AreaSplit):
            area = self.split
            grounds = [divide(scene, area, folder / self.folder) for scene in scenes]
            if split == "validate":
                parts = [(s, window) for s, ground in zip(scenes, grounds, strict=True) for window in ground.scored]
            else:
                parts = list(training_windows(scenes, grounds, self.guard_px))
            if not parts:
                raise UsageError(f"{self.name}: a guard of {self.guard_px} px and its split leave nothing to {split}.")
        return weighted(self, parts, f"{self.name}, held out")

    def _reference(self, side: str | None, folder: Path) -> SetReference:
        labels = None
        if self.labels is not None:
            for name in (self.dataset, self.labels):
                if not is_placed(name):
                    raise UsageError(f"{self.name}: labels of their own are for georeferenced sets; {name} is none.")
            place = folder / (self.folder if self.labels_folder is None else self.labels_folder)
            labels = SetReference(name=self.labels, root=place, arguments=self.labels_arguments)
        return SetReference(
            name=self.dataset,
            root=folder / self.folder,
            arguments=self.arguments,
            side=side,
            bands=self._asked_bands(),
            labels=labels,
        )

    def _asked_bands(self) -> tuple[str, ...] | None:
        if self.bands is None or isinstance(self.bands[0], int):
            return None
        if not set_takes_bands(self.dataset):
            raise UsageError(f"{self.name}: torchgeo's {self.dataset} has no argument bands. Give numbers, from 1.")
        return tuple(str(band) for band in self.bands)

    def _reading(self, legend: Legend) -> Reading:
        numbers = None
        if self.bands is not None and isinstance(self.bands[0], int):
            numbers = tuple(int(band) - 1 for band in self.bands)
        return Reading(
            images=self.images,
            mask=self.mask,
            bands=numbers,
            value_range=self.value_range,
            nodata=self.nodata,
            recoding=self._recoding(legend),
        )

    def _recoding(self, legend: Legend) -> Recoding:
        """Map values of the mask to codes: as ``classes`` says, else by class names."""
        names = class_names(self.labels or self.dataset)
        if self.classes is not None:
            values = {name.lower(): value for value, name in names.items()}
            table: dict[int, int | None] = {}
            for key, meaning in self.classes.items():
                value = values.get(str(key).lower())
                if value is None:
                    try:
                        value = int(key)
                    except ValueError as error:
                        raise UsageError(
                            f"{self.name}: {self.dataset} has no class {key!r}; it has {', '.join(names.values())}."
                        ) from error
                table[value] = None if meaning == "ignore" else meaning
            return Recoding(legend=legend, table=table, others=self.others)
        if not names:
            return Recoding(legend=legend)
        ours = {entry.name.lower(): entry.code for entry in legend.classes}
        missing = [name for name in names.values() if name.lower() not in ours]
        if missing and self.others == "refuse":
            raise UsageError(
                f"{self.name}: the legend has no class {missing[0]!r}. The classes of {self.dataset} are "
                f"{', '.join(names.values())}. Say what they mean with classes, or what others are."
            )
        found = {value: ours[name.lower()] for value, name in names.items() if name.lower() in ours}
        return Recoding(legend=legend, table=dict(found), others=self.others)
