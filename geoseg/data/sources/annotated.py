"""``kind: coco``, ``coco_panoptic`` and ``labelme``: pictures whose objects or segments lie in files of their own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from geoseg.core.legend import Legend
from geoseg.data.label_files import DrawnFile, LabelFile, SegmentFile
from geoseg.data.recoding import Recoding
from geoseg.data.sources.listed import ListedSource
from geoseg.data.sources.matching import find_files, name_of, partner
from geoseg.data.sources.model import Item, Meaning, Range, Split
from geoseg.errors import UsageError
from geoseg.io.labels.coco_panoptic import read_coco_panoptic
from geoseg.io.labels.drawn_objects import DrawnObject, read_coco, read_labelme
from geoseg.io.raster.image_stack import Layer


class AnnotatedSource(ListedSource):
    """Base of sources of pictures with drawn objects.

    Attributes:
        images: pattern of the images; one ``*`` stands for the name. A folder is all its files.
        classes: map from a class name of the annotations to a code of the legend, or ``ignore``: nothing is trained
            there; None: the legend's own names.
        bands: names or numbers of the image's bands; None: all.
        value_range: values that mean 0 and 1, for all bands or band by band; None: 8-bit values as they are.
    """

    images: str = "images"
    classes: dict[str, Meaning] | None = None
    bands: tuple[str | int, ...] | None = None
    value_range: Range | tuple[Range, ...] | None = None

    def files(self, folder: Path) -> Mapping[str, Path]:
        """Find the images by name."""
        return find_files(folder, self.images)

    def name_of(self, entry: str) -> str:
        """Extract the name from an entry of a list."""
        return name_of(self.images, entry)

    @abstractmethod
    def labels(self, names: Sequence[str], folder: Path, legend: Legend) -> Mapping[str, LabelFile]:
        """Read the labels of images, by name."""

    def items(self, names: Sequence[str], split: Split, folder: Path, legend: Legend) -> list[Item]:
        """Return the items of images: files, labels and recoding."""
        del split
        found, labels = self.files(folder), self.labels(names, folder, legend)
        return [
            Item(
                name=name,
                layers=(Layer(path=found[name], bands=self.bands, value_range=self.value_range),),
                labels=labels[name],
                recoding=Recoding(legend=legend),
            )
            for name in names
        ]

    def _code(self, name: str, legend: Legend, where: str) -> int | None:
        table: dict[str, Meaning] = self.classes or dict(zip(legend.names, legend.codes, strict=True))
        if name not in table:
            raise UsageError(f"{where}: class {name!r} is none of {', '.join(table)}. Add it to classes.")
        code = table[name]
        return None if code == "ignore" else code


class DrawnSource(AnnotatedSource):
    """Base of sources whose objects are outlines."""

    @abstractmethod
    def drawn(self, names: Sequence[str], folder: Path) -> Mapping[str, tuple[str, list[DrawnObject]]]:
        """Read the objects of images: the file that holds them, and the objects, by name."""

    def labels(self, names: Sequence[str], folder: Path, legend: Legend) -> Mapping[str, LabelFile]:
        """See ``AnnotatedSource``."""
        return {
            name: DrawnFile(name=file, objects=tuple((one, self._code(one.name, legend, file)) for one in objects))
            for name, (file, objects) in self.drawn(names, folder).items()
        }


class CocoSource(DrawnSource):
    """Images with one COCO file.

    Attributes:
        annotations: the JSON file, relative to the source's folder. Crowds are not objects: nothing is trained there.
    """

    kind: Literal["coco"]
    annotations: str

    def drawn(self, names: Sequence[str], folder: Path) -> Mapping[str, tuple[str, list[DrawnObject]]]:
        """See ``DrawnSource``; images that the file does not list have no objects."""
        path = folder / self.annotations
        by_name = {Path(file).stem: objects for file, objects in read_coco(path).items()}
        files = self.files(folder)
        return {name: (str(path), by_name.get(files[name].stem, [])) for name in names}


class CocoPanopticSource(AnnotatedSource):
    """Images with one COCO panoptic file and its PNG files of segments.

    Attributes:
        annotations: the JSON file, relative to the source's folder. Of crowds and of void nothing is learnt.
        segments: folder of the PNG files; None: the one named as the JSON file.
    """

    kind: Literal["coco_panoptic"]
    annotations: str
    segments: str | None = None

    def labels(self, names: Sequence[str], folder: Path, legend: Legend) -> Mapping[str, LabelFile]:
        """See ``AnnotatedSource``."""
        path = folder / self.annotations
        content = read_coco_panoptic(path, None if self.segments is None else folder / self.segments)
        codes = tuple((key, self._code(name, legend, str(path))) for key, name in content.categories.items())
        pictures = {one.path.stem: one for one in content.pictures.values()}
        found = self.files(folder)
        missing = [name for name in names if found[name].stem not in pictures]
        if missing:
            raise UsageError(f"{path}: it has no segments of {found[missing[0]].name}.")
        return {
            name: SegmentFile(picture=pictures[found[name].stem], codes=codes, things=content.things) for name in names
        }


class LabelmeSource(DrawnSource):
    """Images with one labelme file each.

    Attributes:
        annotations: pattern of the JSON files, with the same names.
    """

    kind: Literal["labelme"]
    annotations: str = "images/*.json"
    images: str = "images/*.png"

    def drawn(self, names: Sequence[str], folder: Path) -> Mapping[str, tuple[str, list[DrawnObject]]]:
        """See ``DrawnSource``."""
        paths = {name: partner(folder, self.annotations, name) for name in names}
        return {name: (str(path), read_labelme(path)) for name, path in paths.items()}
