"""``kind: georeferenced``: any rasters with raster or vector labels, split by area with a guard band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from geoseg.core.legend import Legend
from geoseg.data.file_scene import FileScene, ScenePart
from geoseg.data.label_files import PolygonFile
from geoseg.data.sources.area_splits import AreaSplit, ByArea, ByBlocks, ByRows, Ground, divide, training_windows, whole
from geoseg.data.sources.file_splits import (
    ByLists,
    ByNames,
    ByShare,
    ByTable,
    OneSide,
    describe_split,
    has_training,
    sides,
)
from geoseg.data.sources.matching import find_files, name_of, partner
from geoseg.data.sources.model import (
    FileSourceModel,
    Item,
    Range,
    Split,
    block_cache,
    open_items,
    weighted,
)
from geoseg.data.sources.placed_labels import PlacedLabels
from geoseg.errors import ElsewhereError, SceneError, UsageError
from geoseg.io.raster.image_stack import Layer
from geoseg.io.raster.open_options import OpenOptions
from geoseg.io.vectors.names import is_folder

AnySplit = Annotated[
    ByRows | ByBlocks | ByArea | ByShare | ByNames | ByLists | ByTable | OneSide, Field(discriminator="by")
]


class GeoreferencedSource(FileSourceModel, PlacedLabels):
    """Scenes anywhere on Earth, with labels in any CRS.

    Attributes:
        images: a file, a folder, a pattern with one ``*`` for the name, or a list of files.
        labels: one file for all scenes, or a pattern with the same names; a raster, or polygons (``FILE`` or
            ``FILE:LAYER``).
        bands: names or numbers of the images' bands; None: all.
        value_range: values that mean 0 and 1, for all bands or band by band; None: 8-bit values as they are.
        assume_crs: CRS of images that carry none.
        split: by area, or scenes as a whole.
        guard_px: rows or columns between training and validation ground.
    """

    kind: Literal["georeferenced"]
    images: str | tuple[str, ...]
    bands: tuple[str | int, ...] | None = None
    value_range: Range | tuple[Range, ...] | None = None
    assume_crs: str | None = None
    split: AnySplit
    guard_px: Annotated[int, Field(ge=1)] = 128

    def opening(self) -> OpenOptions:
        """Options for opening its images."""
        return replace(super().opening(), assume_crs=self.assume_crs)

    def has_training(self) -> bool:
        """True if any of it is used for training."""
        return isinstance(self.split, AreaSplit) or has_training(self.split)

    def split_words(self) -> str:
        """Describe the training part, for the card."""
        guard = f", {self.guard_px} px away from what is scored"
        if isinstance(self.split, ByRows):
            rows = self.split.validate_on
            scored = (
                f"the last {self.split.validate_share:.3g} of them"
                if rows is None
                else f"rows {rows[0]} to {rows[1] - 1}"
            )
            return f"all rows but {scored}{guard}"
        if isinstance(self.split, ByBlocks):
            share, seed = self.split.validate_share, self.split.seed
            return f"all blocks of {self.split.block_px} px but a share of {share:.3g} drawn with seed {seed}{guard}"
        if isinstance(self.split, ByArea):
            return f"{'all' if self.split.train is None else self.split.train} but {self.split.validate_on}{guard}"
        return f"{describe_split(self.split)}{guard}"

    def scenes(self, split: Split, folder: Path, legend: Legend) -> list[ScenePart]:
        """Open one side; see ``SourceModel``."""
        place = folder / self.folder
        found = self._files(place)
        items = self._items(found, place, legend, split)
        scenes = open_items(self, items, block_cache(self), inside=self._inside(split, place))
        for scene in scenes:
            if scene.geobox.crs is None:
                raise SceneError(
                    str(found[scene.name.removeprefix(f"{self.name} ")]),
                    "it has no CRS.",
                    "Give assume_crs, or use kind: folders.",
                )
        grounds = self._grounds(list(found), scenes, place)
        if split == "validate":
            parts = [(s, window) for s, ground in zip(scenes, grounds, strict=True) for window in ground.scored]
        else:
            parts = training_windows(scenes, grounds, self.guard_px)
            if not parts and self.has_training():
                raise UsageError(
                    f"{self.name}: a guard of {self.guard_px} px leaves no training data. Lower it, score less, "
                    "or cut larger blocks."
                )
        return weighted(self, parts, f"{self.name}, held out")

    def _files(self, folder: Path) -> dict[str, Path]:
        if isinstance(self.images, str):
            return find_files(folder, self.images)
        found = [find_files(folder, pattern) for pattern in self.images]
        names = [name for files in found for name in files]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UsageError(f"{self.name}: two images are called {twice}. Make two sources of them.")
        return {name: path for files in found for name, path in files.items()}

    def _items(self, found: dict[str, Path], folder: Path, legend: Legend, split: Split) -> list[Item]:
        recoding = self.recoding(legend, split)
        shared = len(found) > 1 and "*" not in self.labels and not is_folder(folder / self.labels)
        return [
            Item(
                name=name,
                layers=(Layer(path=path, bands=self.bands, value_range=self.value_range),),
                labels=self.label_file(partner(folder, self.labels, name), legend, split, shared=shared),
                recoding=recoding,
            )
            for name, path in found.items()
        ]

    def _inside(self, split: Split, folder: Path) -> PolygonFile | None:
        if not isinstance(self.split, ByArea):
            return None
        area = self.split.train if split == "train" else self.split.validate_on
        return None if area is None else PolygonFile(path=folder / area, must_meet="nothing", areas=True)

    def _grounds(self, names: Sequence[str], scenes: Sequence[FileScene], folder: Path) -> list[Ground]:
        if isinstance(self.split, AreaSplit):
            grounds = [divide(scene, self.split, folder) for scene in scenes]
            if isinstance(self.split, ByArea) and not any(ground.scored for ground in grounds):
                raise ElsewhereError(
                    str(folder / self.split.validate_on), "no polygon of it lies on an image.", "Check its CRS."
                )
            return grounds
        train, scored = sides(self.split, names, folder, self._name_of)
        return [
            whole(scene, scored=name in scored) if name in train or name in scored else Ground([], [])
            for name, scene in zip(names, scenes, strict=True)
        ]

    def _name_of(self, entry: str) -> str:
        return name_of(self.images, entry) if isinstance(self.images, str) else Path(entry).stem
