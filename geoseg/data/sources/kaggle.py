"""``kind: clouds`` and ``kind: tgs_salt``: two Kaggle competitions, masks run-length coded in csv files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from geoseg.core.legend import Legend
from geoseg.data.label_files import RunLengthFile
from geoseg.data.recoding import Recoding
from geoseg.data.sources.file_splits import ByShare, FileSplit
from geoseg.data.sources.listed import ListedSource
from geoseg.data.sources.matching import find_files
from geoseg.data.sources.model import Item, Range, Split
from geoseg.errors import SceneError
from geoseg.io.labels.run_lengths import read_table
from geoseg.io.raster.image_stack import Layer

Formation = Literal["Fish", "Flower", "Gravel", "Sugar"]


class CloudSource(ListedSource):
    """Understanding Clouds from Satellite Images: ``train.csv`` (``Image_Label``, ``EncodedPixels``), ``train_images``.

    Attributes:
        images: folder of the images.
        table: the csv file.
        formations: formations and their codes, 0 being the rest. The masks overlap; the competition has one map per
            formation, so train one model for each, or let ``overlap`` decide.
        overlap: where masks overlap, the pixel has the class of the later one in ``formations``, or none.
    """

    kind: Literal["clouds"]
    images: str = "train_images"
    table: str = "train.csv"
    formations: dict[Formation, int] = {"Fish": 1, "Flower": 2, "Gravel": 3, "Sugar": 4}  # noqa: RUF012
    overlap: Literal["last", "ignore"] = "ignore"
    split: FileSplit = ByShare(by="share")

    def files(self, folder: Path) -> Mapping[str, Path]:
        """Find the images."""
        return find_files(folder, f"{self.images}/*.jpg")

    def items(self, names: Sequence[str], split: Split, folder: Path, legend: Legend) -> list[Item]:
        """Return the items of images: files, labels and recoding."""
        found = self.files(folder)
        path = folder / self.table
        masks: dict[str, dict[str, str]] = {}
        for entry, runs in read_table(path, ("Image_Label", "EncodedPixels")):
            file, _, formation = entry.rpartition("_")
            masks.setdefault(Path(file).stem, {})[formation] = runs
        missing = [name for name in names if name not in masks]
        if missing:
            raise SceneError(str(path), f"it has no row for image {missing[0]}.", "Give the images of this csv file.")
        return [
            Item(
                name=name,
                layers=(Layer(path=found[name], bands=(1, 2, 3)),),
                labels=RunLengthFile(
                    name=f"{path} {name}",
                    runs=tuple((masks[name].get(kind, ""), code) for kind, code in self.formations.items()),
                    overlap_counts=self.overlap == "last",
                ),
                recoding=Recoding(legend=legend),
            )
            for name in names
        ]


class SaltSource(ListedSource):
    """TGS Salt Identification: ``train.csv`` (``id``, ``rle_mask``), ``depths.csv`` (``id``, ``z``), ``train/images``.

    Attributes:
        images: folder of the images, 101 x 101 px.
        table: csv file of the masks; salt is code 1, the rest 0.
        depths: csv file of depths in feet.
        depth_range: depths that mean 0 and 1 in a second band; None: no such band.
    """

    kind: Literal["tgs_salt"]
    images: str = "train/images"
    table: str = "train.csv"
    depths: str = "depths.csv"
    depth_range: Range | None = None
    split: FileSplit = ByShare(by="share")

    def files(self, folder: Path) -> Mapping[str, Path]:
        """Find the images."""
        return find_files(folder, f"{self.images}/*.png")

    def items(self, names: Sequence[str], split: Split, folder: Path, legend: Legend) -> list[Item]:
        """Return the items of images: files, labels and recoding."""
        found = self.files(folder)
        runs = _pairs(folder / self.table, "rle_mask")
        depths = {} if self.depth_range is None else _pairs(folder / self.depths, "z")
        for path, rows in ((folder / self.table, runs), (folder / self.depths, depths)):
            missing = [name for name in names if name not in rows]
            if missing and (rows is runs or self.depth_range is not None):
                raise SceneError(
                    str(path), f"it has no row for image {missing[0]}.", "Give the images of this csv file."
                )
        return [
            Item(
                name=name,
                layers=(Layer(path=found[name], bands=(1,)),),
                labels=RunLengthFile(name=f"{folder / self.table} {name}", runs=((runs[name], 1),)),
                recoding=Recoding(legend=legend),
                constants=() if self.depth_range is None else (self._share(depths[name], folder),),
            )
            for name in names
        ]

    def _share(self, depth: str, folder: Path) -> float:
        assert self.depth_range is not None  # noqa: S101 - asked only where there is one
        low, high = self.depth_range
        try:
            return min(1.0, max(0.0, (float(depth) - low) / (high - low)))
        except ValueError as error:
            raise SceneError(
                str(folder / self.depths), f"{depth!r} is no depth.", "Give the file as published."
            ) from error


def _pairs(path: Path, column: str) -> dict[str, str]:
    """Read a column by the images' ids."""
    return {row[0]: row[1] for row in read_table(path, ("id", column))}
