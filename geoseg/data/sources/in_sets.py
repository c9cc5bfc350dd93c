"""Base of the data sets whose folders are their published split: ``train``, ``val``, ``test``."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path

from geoseg.data.sources.file_splits import FileOrPublishedSplit, Published, Sides
from geoseg.data.sources.listed import ListedSource
from geoseg.data.sources.matching import find_files
from geoseg.errors import SceneError


class SetSource(ListedSource):
    """Images in one folder per published set.

    Attributes:
        split: ``by: published`` trains on ``train_sets`` and validates on ``validate_sets``.
        train_sets: training folders.
        validate_sets: validation folders.
    """

    split: FileOrPublishedSplit = Published()
    train_sets: tuple[str, ...] = ("train",)
    validate_sets: tuple[str, ...] = ("val",)

    @abstractmethod
    def pattern(self, of_set: str) -> str:
        """Pattern of the images of a set, relative to the source's folder."""

    def in_sets(self, folder: Path) -> dict[str, tuple[str, Path]]:
        """Find the images by name, with the set of each. A set that the split does not need may be missing."""
        found: dict[str, tuple[str, Path]] = {}
        needed = isinstance(self.split, Published) and self.split.complete
        for of_set in dict.fromkeys((*self.train_sets, *self.validate_sets)):
            try:
                files = find_files(folder, self.pattern(of_set))
            except SceneError:
                if needed:
                    raise
                continue
            found |= {name: (of_set, path) for name, path in files.items()}
        if not found:
            raise SceneError(str(folder / self.pattern(self.train_sets[0])), "there is no such file.", "Check --data.")
        return found

    def files(self, folder: Path) -> Mapping[str, Path]:
        """Find the images by name."""
        return {name: path for name, (_, path) in self.in_sets(folder).items()}

    def sides(self, folder: Path) -> Sides:
        """Assign every image to a side."""
        if not isinstance(self.split, Published):
            return super().sides(folder)
        found = self.in_sets(folder)
        train = [name for name, (of_set, _) in found.items() if of_set in self.train_sets]
        return train, [name for name, (of_set, _) in found.items() if of_set in self.validate_sets]
