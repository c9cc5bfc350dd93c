"""``kind: idrid``: lesions and optic disc in fundus photographs (Porwal et al. 2018, IDRiD, part A)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from geoseg.core.legend import Legend
from geoseg.data.label_files import PaintedFiles
from geoseg.data.recoding import Recoding
from geoseg.data.sources.in_sets import SetSource
from geoseg.data.sources.model import Item, Split
from geoseg.io.raster.image_stack import Layer

Lesion = Literal["microaneurysms", "haemorrhages", "hard exudates", "soft exudates", "optic disc"]

_FOLDERS: Final[dict[str, tuple[str, str]]] = {
    "microaneurysms": ("1. Microaneurysms", "MA"),
    "haemorrhages": ("2. Haemorrhages", "HE"),
    "hard exudates": ("3. Hard Exudates", "EX"),
    "soft exudates": ("4. Soft Exudates", "SE"),
    "optic disc": ("5. Optic Disc", "OD"),
}


class IdridSource(SetSource):
    """``1. Original Images`` and ``2. All Segmentation Groundtruths``; an image without a lesion's mask has none of it.

    Attributes:
        lesions: lesions and their codes, 0 being the rest; where they overlap the last one counts, so put small ones
            last.
    """

    kind: Literal["idrid"]
    train_sets: tuple[str, ...] = ("a. Training Set",)
    validate_sets: tuple[str, ...] = ("b. Testing Set",)
    lesions: dict[Lesion, int] = {  # noqa: RUF012 - pydantic copies defaults
        "optic disc": 5,
        "soft exudates": 4,
        "haemorrhages": 2,
        "hard exudates": 3,
        "microaneurysms": 1,
    }

    def pattern(self, of_set: str) -> str:
        """Pattern of the images of a set."""
        return f"1. Original Images/{of_set}/*.jpg"

    def items(self, names: Sequence[str], split: Split, folder: Path, legend: Legend) -> list[Item]:
        """Return the items of images: files, labels and recoding."""
        found = self.in_sets(folder)
        items = []
        for name in names:
            of_set, path = found[name]
            masks = folder / "2. All Segmentation Groundtruths" / of_set
            files = tuple(
                (masks / _FOLDERS[lesion][0] / f"{name}_{_FOLDERS[lesion][1]}.tif", code)
                for lesion, code in self.lesions.items()
            )
            items.append(
                Item(
                    name=name,
                    layers=(Layer(path=path, bands=(1, 2, 3)),),
                    labels=PaintedFiles(name=str(masks / f"*/{name}_*.tif"), files=files),
                    recoding=Recoding(legend=legend),
                )
            )
        return items
