"""``kind: deepglobe``: DeepGlobe land cover, 803 labelled images of 2448 x 2448 px at 50 cm, as published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from geoseg.core.deepglobe_legend import DEEPGLOBE
from geoseg.core.legend import Legend
from geoseg.data.label_files import RasterFile
from geoseg.data.recoding import Recoding
from geoseg.data.sources.file_splits import ByLists, FileSplit
from geoseg.data.sources.listed import ListedSource
from geoseg.data.sources.matching import find_files
from geoseg.data.sources.model import Item, Split, codes_by_name
from geoseg.errors import SceneError
from geoseg.io.labels.class_raster import ClassRules
from geoseg.io.raster.image_stack import Layer

DEEPGLOBE_FOLDERS: Final[dict[str, tuple[str, ...]]] = {
    "train": ("train", "land-train", "training_data/images", "data/training_data/images"),
    "valid": ("valid", "land-valid", "land-val", "validation_data/images", "data/validation_data/images"),
    "test": ("test", "land-test", "test_data/images", "data/test_data/images"),
}
"""Folders of the images by split, as the set is published and as torchgeo unpacks it (``data.zip``)."""
_LABELLED: Final = tuple((folder, folder.replace("training", "test")) for folder in DEEPGLOBE_FOLDERS["train"])
"""Layouts of the labelled images; that of torchgeo has two folders."""


class DeepGlobeSource(ListedSource):
    """``NNN_sat.jpg`` next to ``NNN_mask.png``, or in a folder ``images`` next to a folder ``masks``.

    Attributes:
        images: folder of the images, relative to ``folder``; None: the known layouts are tried.
        split: lists of file names. The split of the literature (454, 207 and 142 images) is that of the lists published
            with GLNet; lines that name no image are skipped.
    """

    kind: Literal["deepglobe"]
    images: str | None = None
    gsd_m: Annotated[float, Field(gt=0)] | None = 0.5
    split: FileSplit = ByLists(by="lists", train="train.txt", validate_on="crossvali.txt", skip=r"(?!\d+_sat\.jpg).*")

    def files(self, folder: Path) -> Mapping[str, Path]:
        """Find the images by number.

        Raises:
            SceneError: there are no images.
        """
        if self.images is not None:
            return find_files(folder, f"{self.images}/*_sat.jpg")
        there = [place for layout in _LABELLED for place in dict.fromkeys(layout) if any((folder / place).glob(_SAT))]
        if not there:
            cure = f"Known folders: {', '.join(DEEPGLOBE_FOLDERS['train'])}; name another with images."
            raise SceneError(str(folder), "there is no NNN_sat.jpg in any folder that is known.", cure)
        layout = next(layout for layout in _LABELLED if there[0] in layout)
        return {
            name: path for place in layout if place in there for name, path in find_files(folder / place, _SAT).items()
        }

    def name_of(self, entry: str) -> str:
        """Extract the number from an entry of a list."""
        return Path(entry).stem.removesuffix("_sat").removesuffix("_mask")

    def items(self, names: Sequence[str], split: Split, folder: Path, legend: Legend) -> list[Item]:
        """Return the items of images; colours are matched by the nearer end of each channel, as published."""
        images = self.files(folder)
        recoding = Recoding(legend=legend, table=codes_by_name(legend, DEEPGLOBE, optional="unknown"))
        return [
            Item(
                name=name,
                layers=(Layer(path=images[name], bands=(1, 2, 3)),),
                labels=RasterFile(path=_mask(images[name], name), rules=_RULES),
                recoding=recoding,
            )
            for name in names
        ]


def _mask(image: Path, name: str) -> Path:
    """Return the mask path of an image: next to it, or in the folder ``masks`` next to that of the images."""
    folder = image.parent.with_name("masks") if image.parent.name == "images" else image.parent
    return folder / f"{name}_mask.png"


_SAT: Final = "*_sat.jpg"
_RULES: Final = ClassRules(colours=tuple((entry.rgb, entry.code) for entry in DEEPGLOBE.classes))
