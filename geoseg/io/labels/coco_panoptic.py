"""COCO panoptic: a JSON document that lists segments, and a PNG of their ids for each picture.

Source: https://cocodataset.org/#format-data, panoptic segmentation; an id is ``R + 256 G + 65536 B``.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import rasterio
from scipy import ndimage

from geoseg.core.legend import LegendClass
from geoseg.core.types.json_value import UntypedDict, UntypedMapping
from geoseg.core.window import Window
from geoseg.errors import OutputError, SceneError, UsageError
from geoseg.io.files.gdal_messages import suppress_gdal_messages
from geoseg.io.files.gdal_name import gdal_name
from geoseg.io.files.input_file import read_input
from geoseg.io.files.targets import check_folder, keep_existing, keep_inputs, make_folder
from geoseg.io.files.writing import whole_file, write_json
from geoseg.io.raster.scene import open_scene

MOST_ID: Final = 2**24 - 1
"""Largest id that three bytes hold."""

MOST_CATEGORY: Final = 2**31 - 1
"""Largest id of a category that is read."""

_MOST_NAME_BYTES = 200
_SHOWN = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoSegment:
    """One segment of a picture.

    Attributes:
        id: value of its pixels, above 0.
        category: id of its class.
        crowd: it is a region of many things that are not told apart.
    """

    id: int
    category: int
    crowd: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoPicture:
    """The segments of one picture.

    Attributes:
        image_id: id of the picture, as text.
        path: the PNG of ids.
        segments: its segments.
    """

    image_id: str
    path: Path
    segments: tuple[CocoSegment, ...]

    def ids(self) -> npt.NDArray[np.int64]:
        """Read the ids of its pixels, (y, x) int64, 0 where there is no segment.

        Raises:
            SceneError: it is no picture of ids, or has ids that the document does not list.
        """
        with open_scene(self.path, unplaced=True, alpha="no") as scene:
            if len(scene.bands) < 3 or scene.dtype != np.uint8:
                raise SceneError(str(self.path), "it has not three bands of bytes.", "Give the PNG files of the ids.")
            rows, cols = (int(side) for side in scene.geobox.shape)
            values = scene.read(Window.whole((rows, cols)), bands=[1, 2, 3]).values.astype(np.int64)
        ids = values[0] + 256 * values[1] + 65536 * values[2]
        unknown = set(np.unique(ids).tolist()) - {0} - {segment.id for segment in self.segments}
        if unknown:
            raise SceneError(
                str(self.path),
                f"it has pixels of segment {min(unknown)}, which the JSON document does not list.",
                "Give the document that belongs to the pictures.",
            )
        return np.asarray(ids)


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoPanoptic:
    """A COCO panoptic document.

    Attributes:
        name: the file.
        categories: name of each class, by its id.
        things: ids of the classes of things.
        pictures: by the id of the picture.
    """

    name: str
    categories: Mapping[int, str]
    things: frozenset[int]
    pictures: Mapping[str, CocoPicture]


def picture_folder(path: Path) -> Path:
    """Return the folder of a document's PNG files, where it names no other: the one named as the document."""
    return path.with_suffix("")


def read_coco_panoptic(path: Path, folder: Path | None = None) -> CocoPanoptic:
    """Read a document; the pictures are opened later.

    Args:
        path: the JSON file.
        folder: of the PNG files; None: that of ``picture_folder``.

    Raises:
        SceneError: it is no COCO panoptic document.
    """
    beside = picture_folder(path) if folder is None else folder
    try:
        content = json.loads(read_input(path))
        listed = [(_whole(e["id"], "id of a category", MOST_CATEGORY), e) for e in content["categories"]]
        categories = {number: str(entry["name"]) for number, entry in listed}
        _each_once(len(categories) == len(listed), "two categories have one id")
        things = frozenset(number for number, entry in listed if _whole(entry.get("isthing", 0), "isthing", 1))
        found = [_picture(entry, beside, categories) for entry in content["annotations"]]
        pictures = {one.image_id: one for one in found}
        _each_once(len(pictures) == len(found), "two annotations are of one image_id")
    except OSError as error:
        raise SceneError(str(path), f"it cannot be read ({error.strerror}).", "Check the path.") from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise SceneError(
            str(path),
            f"no COCO panoptic annotations ({type(error).__name__}: {str(error)[:_SHOWN]}).",
            "Give a panoptic_*.json file.",
        ) from error
    return CocoPanoptic(name=str(path), categories=categories, things=things, pictures=pictures)


def _picture(entry: UntypedMapping, folder: Path, categories: Mapping[int, str]) -> CocoPicture:
    segments = tuple(
        CocoSegment(
            id=_whole(one["id"], "id of a segment", MOST_ID),
            category=_whole(one["category_id"], "category_id", MOST_CATEGORY),
            crowd=bool(_whole(one.get("iscrowd", 0), "iscrowd", 1)),
        )
        for one in entry["segments_info"]
    )
    unknown = [one.category for one in segments if one.category not in categories]
    if unknown:
        raise ValueError(f"category {unknown[0]} is not listed")
    if len({one.id for one in segments}) != len(segments) or any(one.id < 1 for one in segments):
        raise ValueError("two segments of a picture have one id, or an id is not above 0")
    image_id = entry["image_id"]
    if not isinstance(image_id, str | int):
        raise TypeError("an image_id is neither a number nor text")
    str(image_id).encode()  # text that is no Unicode cannot be written again
    name = Path(str(entry["file_name"])).name
    return CocoPicture(image_id=str(image_id), path=folder / name, segments=segments)


def _each_once(holds: bool, cause: str) -> None:
    if not holds:
        raise ValueError(cause)


def _whole(value: object, meaning: str, most: int) -> int:
    """Return a number of the document, a whole one from 0 to ``most``.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, int | float) or not 0 <= value <= most or value != int(value):
        raise ValueError(f"{meaning}: {value!r} is no whole number from 0 to {most}")
    return int(value)


def keep_coco_panoptic(path: Path, inputs: Iterable[Path | None], *, overwrite: bool) -> None:
    """Refuse a document before the work is done, if it or its pictures would replace what must stay.

    Args:
        path: the ``.json`` file that will be written.
        inputs: files and folders that are read.
        overwrite: whether the document and its pictures may be replaced.

    Raises:
        UsageError: an input would be replaced, or a folder or a file stands in the way.
        OutputError: the document, or anything in the folder of its pictures, exists already.
    """
    folder, cure = picture_folder(path), "Pass --overwrite, or another --coco."
    keep_inputs(inputs, path, folders=(folder,))
    keep_existing(path, overwrite=overwrite, cure=cure)
    check_folder(folder)
    if not overwrite and folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"{folder} exists already and is not empty. {cure}")


def write_coco_panoptic(
    path: Path,
    pictures: Iterable[tuple[str, tuple[npt.NDArray[np.int64], Sequence[CocoSegment]]]],
    classes: Sequence[LegendClass],
) -> None:
    """Write a document and the PNG files of its pictures into the folder named as it; those there are replaced.

    Args:
        path: the ``.json`` file.
        pictures: id of each picture, with the ids of its pixels (y, x), 0 for none, and its segments.
        classes: of all segments; the countable ones are things.

    Raises:
        UsageError: ids do not fit three bytes, or the folder is a file.
        WriteError: the disk is full or fails.
    """
    folder = picture_folder(path)
    make_folder(folder)
    annotations, images = [], []
    for image_id, (ids, segments) in pictures:
        if ids.size and int(ids.max()) > MOST_ID:
            raise UsageError(f"{path}: {image_id} has ids above {MOST_ID}, which COCO's pictures cannot hold.")
        rgb = np.stack([ids & 255, (ids >> 8) & 255, ids >> 16]).astype(np.uint8)
        file = folder / _file_name(image_id)
        profile = {"driver": "PNG", "count": 3, "dtype": "uint8", "height": ids.shape[0], "width": ids.shape[1]}
        with (
            whole_file(file) as part,
            suppress_gdal_messages(),
            rasterio.open(gdal_name(part), "w", **profile) as target,
        ):
            target.write(rgb)
        images.append({"id": image_id, "file_name": file.name, "height": ids.shape[0], "width": ids.shape[1]})
        annotations.append({"image_id": image_id, "file_name": file.name, "segments_info": _infos(segments, ids)})
    categories = [
        {"id": one.code, "name": one.name, "isthing": int(one.countable), "color": list(one.rgb)} for one in classes
    ]
    write_json(path, {"images": images, "annotations": annotations, "categories": categories})


def _file_name(image_id: str) -> str:
    """Return the name of a picture's file: its id, with escapes for what is no part of a name in a folder.

    Example:
        >>> _file_name("7"), _file_name("../a")
        ('7.png', '..%2Fa.png')
    """
    name = "".join(c if c.isprintable() and c not in "%/\\:" else _escaped(c) for c in image_id) + ".png"
    if len(os.fsencode(name)) > _MOST_NAME_BYTES:
        return hashlib.sha256(os.fsencode(name)).hexdigest() + ".png"
    return name


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="surrogateescape"))


def _infos(segments: Sequence[CocoSegment], ids: npt.NDArray[np.int64]) -> list[UntypedDict]:
    """List segments with the area and the box of their pixels."""
    numbers, place = np.unique(ids, return_inverse=True)
    place = place.reshape(ids.shape)
    area = np.bincount(place.ravel(), minlength=len(numbers)).tolist()
    boxes = {
        number: (pixels, [cols.start, rows.start, cols.stop - cols.start, rows.stop - rows.start])
        for number, pixels, (rows, cols) in zip(numbers.tolist(), area, ndimage.find_objects(place + 1), strict=True)
    }
    infos = []
    for one in segments:
        pixels, box = boxes.get(one.id, (0, [0, 0, 0, 0]))
        facts = {"id": one.id, "category_id": one.category, "area": pixels, "bbox": box, "iscrowd": int(one.crowd)}
        infos.append(facts)
    return infos
