"""``kind: vaihingen`` and ``kind: potsdam``: the ISPRS 2D semantic labelling benchmark in its published folders."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from geoseg.core.isprs_legend import TOWN_LEGEND
from geoseg.core.legend import Legend
from geoseg.data.label_files import RasterFile
from geoseg.data.recoding import Recoding
from geoseg.data.sources.file_splits import FileOrPublishedSplit, Published
from geoseg.data.sources.listed import ListedSource
from geoseg.data.sources.matching import find_files
from geoseg.data.sources.model import Item, Range, Split, codes_by_name
from geoseg.errors import SceneError, UsageError
from geoseg.io.labels.class_raster import ClassRules
from geoseg.io.labels.label_layer import NO_LABEL
from geoseg.io.raster.image_stack import Layer

Reference = Literal["full", "eroded"]

VAIHINGEN_TRAIN: Final = tuple(str(n) for n in (1, 3, 5, 7, 11, 13, 15, 17, 21, 23, 26, 28, 30, 32, 34, 37))
VAIHINGEN_TEST: Final = tuple(str(n) for n in (2, 4, 6, 8, 10, 12, 14, 16, 20, 22, 24, 27, 29, 31, 33, 35, 38))
POTSDAM_TRAIN: Final = (
    *("2_10", "2_11", "2_12", "3_10", "3_11", "3_12", "4_10", "4_11", "4_12", "5_10", "5_11", "5_12"),
    *("6_7", "6_8", "6_9", "6_10", "6_11", "6_12", "7_7", "7_8", "7_9", "7_10", "7_11", "7_12"),
)
POTSDAM_TEST: Final = (
    *("2_13", "2_14", "3_13", "3_14", "4_13", "4_14", "4_15", "5_13", "5_14", "5_15", "6_13", "6_14", "6_15", "7_13"),
)


class _Isprs(ListedSource):
    """Base of the sources of both cities.

    Attributes:
        split: ``by: published`` unless another is given.
        reference: ``eroded`` leaves out pixels within three pixels of another class.
        validate_reference: the same for scoring; None: as ``reference``.
        labels: folder of the full reference; None: the published names are tried.
        eroded_labels: folder of the eroded reference; None: the published names are tried.
        dsm_range_m: heights that mean 0 and 1; needed with the band ``dsm``.
    """

    split: FileOrPublishedSplit = Published()
    reference: Reference = "full"
    validate_reference: Reference | None = None
    labels: str | None = None
    eroded_labels: str | None = None
    dsm_range_m: Range | None = None

    @model_validator(mode="after")
    def _heights(self) -> _Isprs:
        if "dsm" in self.band_list() and self.dsm_range_m is None:
            raise ValueError("the band dsm needs dsm_range_m: the heights that mean 0 and 1, in metres")
        return self

    @abstractmethod
    def band_list(self) -> tuple[str, ...]:
        """Bands in the network's order."""

    @abstractmethod
    def published(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names of the published split."""

    def sides(self, folder: Path) -> tuple[list[str], list[str]]:
        """Assign every image to a side."""
        if not isinstance(self.split, Published):
            return super().sides(folder)
        found = self.files(folder)
        missing = [name for side in self.published() for name in side if name not in found]
        if missing and self.split.complete:
            raise UsageError(
                f"{folder}: image {missing[0]} of the published split is missing ({len(missing)} in all). Complete the "
                "folder, or say split: {by: published, complete: false}."
            )
        train, test = ([name for name in side if name in found] for side in self.published())
        return train, test

    def label_file(self, name: str, reference: Reference, folder: Path) -> RasterFile:
        """Find the reference of an image."""
        given = self.labels if reference == "full" else self.eroded_labels
        tried = (given,) if given is not None else self.label_folders()[reference]
        file = self.label_name(name, reference)
        path = next((folder / place / file for place in tried if (folder / place / file).exists()), None)
        if path is None:
            key = "labels" if reference == "full" else "eroded_labels"
            raise SceneError(
                str(folder / tried[0] / file), f"there is no {reference} reference.", f"Name its folder with {key}."
            )
        return RasterFile(path=path, rules=_RULES)

    @abstractmethod
    def label_folders(self) -> Mapping[Reference, tuple[str, ...]]:
        """Published folders of the references."""

    @abstractmethod
    def label_name(self, name: str, reference: Reference) -> str:
        """Published file of a reference."""

    @abstractmethod
    def layers(self, name: str, folder: Path) -> tuple[Layer, ...]:
        """Files of the bands, in the network's order."""

    def items(self, names: Sequence[str], split: Split, folder: Path, legend: Legend) -> list[Item]:
        """Return the items of images: files, labels and recoding."""
        reference = self.reference if split == "train" else self.validate_reference or self.reference
        recoding = Recoding(
            legend=legend, table=codes_by_name(legend, TOWN_LEGEND, optional="clutter"), others="refuse"
        )
        return [
            Item(
                name=name,
                layers=self.layers(name, folder),
                labels=self.label_file(name, reference, folder),
                recoding=recoding,
            )
            for name in names
        ]


class VaihingenSource(_Isprs):
    """ISPRS Vaihingen: 33 areas at 9 cm; near infrared, red, green and a surface model.

    Attributes:
        bands: in the network's order; ``dsm`` comes last.
    """

    kind: Literal["vaihingen"]
    gsd_m: Annotated[float, Field(gt=0)] | None = 0.09
    bands: tuple[Literal["nir", "red", "green", "dsm"], ...] = ("nir", "red", "green")

    def band_list(self) -> tuple[str, ...]:
        """Bands in the network's order."""
        return self.bands

    def published(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """16 training areas and 17 validation areas."""
        return VAIHINGEN_TRAIN, VAIHINGEN_TEST

    def files(self, folder: Path) -> Mapping[str, Path]:
        """Find the areas."""
        return find_files(folder, "top/top_mosaic_09cm_area*.tif")

    def name_of(self, entry: str) -> str:
        """Extract the area's number from an entry of a list."""
        return Path(entry).stem.removesuffix("_noBoundary").rpartition("area")[2]

    def label_folders(self) -> Mapping[Reference, tuple[str, ...]]:
        """Published folders of the references."""
        start = "ISPRS_semantic_labeling_Vaihingen_ground_truth"
        return {
            "full": ("gts_for_participants", f"{start}_COMPLETE", "."),
            "eroded": ("gts_eroded_for_participants", f"{start}_eroded_COMPLETE", f"{start}_eroded_for_participants"),
        }

    def label_name(self, name: str, reference: Reference) -> str:
        """Published file of a reference."""
        return f"top_mosaic_09cm_area{name}{'_noBoundary' if reference == 'eroded' else ''}.tif"

    def layers(self, name: str, folder: Path) -> tuple[Layer, ...]:
        """Files of the bands."""
        top = folder / f"top/top_mosaic_09cm_area{name}.tif"
        dsm = folder / f"dsm/dsm_09cm_matching_area{name}.tif"
        return _layers(self.bands, ("nir", "red", "green"), top, dsm, self.dsm_range_m)


class PotsdamSource(_Isprs):
    """ISPRS Potsdam: 38 tiles at 5 cm; red, green, blue, near infrared and a surface model.

    Attributes:
        images: which of the published band sets is read.
        bands: in the network's order; None: all of the set. ``dsm`` comes last.
    """

    kind: Literal["potsdam"]
    gsd_m: Annotated[float, Field(gt=0)] | None = 0.05
    images: Literal["RGB", "IRRG", "RGBIR"] = "RGB"
    bands: tuple[Literal["red", "green", "blue", "nir", "dsm"], ...] | None = None

    @model_validator(mode="after")
    def _there(self) -> PotsdamSource:
        missing = [name for name in self.bands or () if name != "dsm" and name not in _POTSDAM[self.images][1]]
        if missing:
            raise ValueError(
                f"images {self.images} have no band {missing[0]}, only {', '.join(_POTSDAM[self.images][1])}"
            )
        return self

    def band_list(self) -> tuple[str, ...]:
        """Bands in the network's order."""
        return _POTSDAM[self.images][1] if self.bands is None else self.bands

    def published(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """24 training tiles and 14 validation tiles."""
        return POTSDAM_TRAIN, POTSDAM_TEST

    def files(self, folder: Path) -> Mapping[str, Path]:
        """Find the tiles."""
        return find_files(folder, f"{_POTSDAM[self.images][0]}/top_potsdam_*_{self.images}.tif")

    def name_of(self, entry: str) -> str:
        """Extract the tile's row and column from an entry of a list."""
        parts = Path(entry).stem.removeprefix("top_potsdam_").split("_")
        return "_".join(parts[:2])

    def label_folders(self) -> Mapping[Reference, tuple[str, ...]]:
        """Published folders of the references."""
        return {"full": ("5_Labels_all", "5_Labels_for_participants", "."), "eroded": _ERODED}

    def label_name(self, name: str, reference: Reference) -> str:
        """Published file of a reference."""
        return f"top_potsdam_{name}_label{'_noBoundary' if reference == 'eroded' else ''}.tif"

    def layers(self, name: str, folder: Path) -> tuple[Layer, ...]:
        """Files of the bands. Surface models write row and column with two digits."""
        place, known = _POTSDAM[self.images]
        row, col = name.split("_")
        dsm = folder / f"1_DSM/dsm_potsdam_{int(row):02d}_{int(col):02d}.tif"
        top = folder / f"{place}/top_potsdam_{name}_{self.images}.tif"
        return _layers(self.band_list(), known, top, dsm, self.dsm_range_m)


_ERODED: Final = ("5_Labels_all_noBoundary", "5_Labels_for_participants_no_Boundary")
_POTSDAM: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "RGB": ("2_Ortho_RGB", ("red", "green", "blue")),
    "IRRG": ("3_Ortho_IRRG", ("nir", "red", "green")),
    "RGBIR": ("4_Ortho_RGBIR", ("red", "green", "blue", "nir")),
}
_RULES: Final = ClassRules(colours=(*((entry.rgb, entry.code) for entry in TOWN_LEGEND.classes), ((0, 0, 0), NO_LABEL)))
"""Official colours; black is no class."""


def _layers(
    requested: Sequence[str], known: Sequence[str], top: Path, dsm: Path, heights_m: Range | None
) -> tuple[Layer, ...]:
    if "dsm" in requested[:-1]:
        raise UsageError("the band dsm comes last")
    bands = tuple(known.index(name) + 1 for name in requested if name != "dsm")
    if "dsm" not in requested:
        return (Layer(path=top, bands=bands),)
    image = Layer(path=top, bands=bands, value_range=(0.0, 255.0))
    return image, Layer(path=dsm, bands=(1,), value_range=heights_m)
