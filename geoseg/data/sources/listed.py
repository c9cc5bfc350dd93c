"""Base of the sources that are split by file: items by name, sides, scenes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from geoseg.core.legend import Legend
from geoseg.core.window import Window
from geoseg.data.labelled_scene import LabelledScene
from geoseg.data.sources.file_splits import FileSplit, Published, Sides, describe_split, has_training, sides
from geoseg.data.sources.model import FileSourceModel, Item, Split, block_cache, open_items, weighted


class ListedSource(FileSourceModel):
    """Images by name, each on one side of a split as a whole.

    Attributes:
        split: assignment of the images to training and validation.
    """

    split: FileSplit | Published

    @abstractmethod
    def files(self, folder: Path) -> Mapping[str, Path]:
        """Find the images by name.

        Args:
            folder: folder of the source.
        """

    @abstractmethod
    def items(self, names: Sequence[str], split: Split, folder: Path, legend: Legend) -> list[Item]:
        """Return the items of images: files, labels and recoding.

        Args:
            names: names of the images.
            split: side of the split.
            folder: folder of the source.
            legend: legend of the recipe.
        """

    def name_of(self, entry: str) -> str:
        """Extract the name from an entry of a list."""
        return Path(entry).stem

    def sides(self, folder: Path) -> Sides:
        """Assign every image to a side."""
        return sides(self.split, list(self.files(folder)), folder, self.name_of)

    def has_training(self) -> bool:
        """True if any image is used for training."""
        return has_training(self.split)

    def split_words(self) -> str:
        """Describe the training images, for the card."""
        return describe_split(self.split)

    def scenes(self, split: Split, folder: Path, legend: Legend) -> list[LabelledScene]:
        """Open the images of one side; see ``SourceModel``."""
        place = folder / self.folder
        train, validate_on = self.sides(place)
        names = train if split == "train" else validate_on
        opened = open_items(self, self.items(names, split, place, legend), block_cache(self))
        scored_as = f"{self.name}, {len(names)} file{'s' if len(names) != 1 else ''} held out"
        return list(weighted(self, [(scene, Window.whole(scene.shape)) for scene in opened], scored_as))
