"""``kind: folders``: images and masks of the same name in folders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from geoseg.core.legend import Legend
from geoseg.data.label_files import RasterFile
from geoseg.data.sources.listed import ListedSource
from geoseg.data.sources.matching import find_files, name_of, partner
from geoseg.data.sources.model import Item, LabelMeanings, Range, Split
from geoseg.io.raster.image_stack import Layer


class FolderSource(ListedSource, LabelMeanings):
    """Images and masks.

    Attributes:
        images: pattern of the images; one ``*`` stands for the name. A folder is all its files.
        masks: pattern of the masks, with the same names.
        masks_hold: ``codes``: numbers or palette indices; ``colours``: those of ``classes`` or of the legend.
        bands: names or numbers of the image's bands; None: all.
        value_range: values that mean 0 and 1, for all bands or band by band; None: 8-bit values as they are.
    """

    kind: Literal["folders"]
    images: str = "images"
    masks: str = "masks"
    masks_hold: Literal["codes", "colours"] = "codes"
    bands: tuple[str | int, ...] | None = None
    value_range: Range | tuple[Range, ...] | None = None

    def files(self, folder: Path) -> Mapping[str, Path]:
        """Find the images by name."""
        return find_files(folder, self.images)

    def name_of(self, entry: str) -> str:
        """Extract the name from an entry of a list."""
        return name_of(self.images, entry)

    def items(self, names: Sequence[str], split: Split, folder: Path, legend: Legend) -> list[Item]:
        """Return the items of images: files, labels and recoding."""
        found = self.files(folder)
        recoding, rules = self.of_raster(legend, coloured=self.masks_hold == "colours")
        return [
            Item(
                name=name,
                layers=(Layer(path=found[name], bands=self.bands, value_range=self.value_range),),
                labels=RasterFile(path=partner(folder, self.masks, name), rules=rules),
                recoding=recoding,
            )
            for name in names
        ]
