"""``kind: deepglobe``: DeepGlobe land cover, 803 labelled images of 2448 x 2448 px at 50 cm, as published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from geoseg.core.legend import Legend
from geoseg.data.deepglobe_legend import DEEPGLOBE
from geoseg.data.label_files import RasterFile
from geoseg.data.recoding import Recoding
from geoseg.data.sources.file_splits import ByLists, FileSplit
from geoseg.data.sources.listed import ListedSource
from geoseg.data.sources.matching import find_files
from geoseg.data.sources.model import Item, Split, codes_by_name
from geoseg.io.image_stack import Layer
from geoseg.io.label_layer import Rgb


class DeepGlobeSource(ListedSource):
    """``NNN_sat.jpg`` beside ``NNN_mask.png``.

    Attributes:
        images: folder of both, relative to ``folder``.
        split: lists of file names. The split of the literature (454, 207 and 142 images) is that of the lists published
            with GLNet; lines that name no image are passed over.
    """

    kind: Literal["deepglobe"]
    images: str = "train"
    gsd_m: Annotated[float, Field(gt=0)] | None = 0.5
    split: FileSplit = ByLists(by="lists", train="train.txt", validate_on="crossvali.txt", skip=r"(?!\d+_sat\.jpg).*")

    def files(self, folder: Path) -> Mapping[str, Path]:
        """Find the images by number."""
        return find_files(folder, f"{self.images}/*_sat.jpg")

    def name_of(self, entry: str) -> str:
        """Take the number out of an entry of a list."""
        return Path(entry).stem.removesuffix("_sat").removesuffix("_mask")

    def items(self, names: Sequence[str], split: Split, folder: Path, legend: Legend) -> list[Item]:
        """Say what some images are made of; colours are read by the nearer end of each channel, as published."""
        place = folder / self.images
        recoding = Recoding(legend=legend, table=codes_by_name(legend, DEEPGLOBE, optional="unknown"))
        return [
            Item(
                name=name,
                layers=(Layer(path=place / f"{name}_sat.jpg", bands=(1, 2, 3)),),
                labels=RasterFile(path=place / f"{name}_mask.png", colours=_COLOURS),
                recoding=recoding,
            )
            for name in names
        ]


_COLOURS: Final[tuple[tuple[Rgb, int], ...]] = tuple((entry.rgb, entry.code) for entry in DEEPGLOBE.classes)
