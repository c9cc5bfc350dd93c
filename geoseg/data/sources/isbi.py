"""``kind: isbi_membrane``: membranes in electron microscopy, ISBI 2012."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from geoseg.core.legend import Legend
from geoseg.data.label_files import RasterFile
from geoseg.data.recoding import Recoding
from geoseg.data.sources.file_splits import ByShare, FileSplit
from geoseg.data.sources.listed import ListedSource
from geoseg.data.sources.matching import find_files, partner
from geoseg.data.sources.model import Item, Split
from geoseg.io.labels.class_raster import ClassRules
from geoseg.io.raster.image_stack import Layer


class IsbiSource(ListedSource):
    """Sections of a neuropil as single images: grey image, and a label that is white inside cells.

    Attributes:
        images: folder of the images.
        labels: folder of the labels.
        cell: code of the inside of cells; 1 in the challenge's region scores.
        membrane: code of membranes.
    """

    kind: Literal["isbi_membrane"]
    images: str = "train/image"
    labels: str = "train/label"
    cell: int = 1
    membrane: int = 0
    split: FileSplit = ByShare(by="share")

    def files(self, folder: Path) -> Mapping[str, Path]:
        """Find the sections."""
        return find_files(folder, self.images)

    def items(self, names: Sequence[str], split: Split, folder: Path, legend: Legend) -> list[Item]:
        """Return the items of sections: files, labels and recoding."""
        found = self.files(folder)
        recoding = Recoding(legend=legend, table={0: self.membrane, 255: self.cell})
        return [
            Item(
                name=name,
                layers=(Layer(path=found[name], bands=(1,)),),
                labels=RasterFile(path=partner(folder, self.labels, name), rules=ClassRules()),
                recoding=recoding,
            )
            for name in names
        ]
