"""Objects drawn on pictures, as COCO and labelme keep them in JSON: outlines or run lengths in pixels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from rasterio.features import rasterize

from geoseg.core.types.json_value import UntypedMapping
from geoseg.core.window import Window
from geoseg.errors import SceneError
from geoseg.io.files.input_file import read_input
from geoseg.io.labels.array_labels import ArrayLabels
from geoseg.io.labels.label_layer import NO_LABEL, Labels, Valid

Ring = tuple[tuple[float, float], ...]
Rings = tuple[Ring, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnObject:
    """One object of a picture.

    Attributes:
        name: name of its class.
        rings: outlines of its parts, corners as (x, y); (0, 0) is the outer corner of the first pixel.
        counts: run lengths of its mask instead, of pixels off and on in turn, down the columns first.
        crowd: a region of many objects that are not separated.
    """

    name: str
    rings: Rings = ()
    counts: tuple[int, ...] = ()
    crowd: bool = False


class DrawnLabels(ArrayLabels):
    """Labels of drawn objects, with their numbers; smaller ones lie on top of larger ones.

    Args:
        name: for messages.
        objects: each with its label; None: its pixels have none.
        shape: (rows, columns) of the picture.

    Raises:
        SceneError: a mask does not fit the picture.
    """

    def __init__(self, name: str, objects: Sequence[tuple[DrawnObject, int | None]], shape: tuple[int, int]) -> None:
        labels, numbers = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        masks = [(_mask(name, one, shape), one, label) for one, label in objects]
        masks.sort(key=lambda entry: -int(entry[0].sum()))
        for number, (mask, one, label) in enumerate(masks, start=1):
            unknown = one.crowd or label is None
            labels[mask] = NO_LABEL if unknown or label is None else label
            numbers[mask] = 0 if unknown else number
        super().__init__(name, labels, labels != NO_LABEL)
        self._numbers = numbers

    def read_objects(self, window: Window) -> tuple[Labels, Valid, Labels]:
        """Read labels, their validity mask and the numbers of objects, 0 where there is none; all (y, x)."""
        return *self.read(window), self._numbers[window.slices]


class PictureLabels(ArrayLabels):
    """Labels of a picture of segments, with the numbers of those that are things.

    Args:
        name: for messages.
        ids: (y, x) numbers of segments, 0 for none.
        labels: label of each segment; ``NO_LABEL``: nothing is known of its pixels.
        things: numbers of the segments that are things.
    """

    def __init__(
        self, name: str, ids: npt.NDArray[np.int64], labels: Mapping[int, int], things: frozenset[int]
    ) -> None:
        numbers, place = np.unique(ids, return_inverse=True)
        found = np.array([labels.get(number, NO_LABEL) for number in numbers.tolist()], np.int64)
        values = found[place].reshape(ids.shape)
        super().__init__(name, values, values != NO_LABEL)
        self._numbers = np.where(np.isin(ids, list(things)), ids, 0)

    def read_objects(self, window: Window) -> tuple[Labels, Valid, Labels]:
        """Read labels, their validity mask and the numbers of things, 0 where there is none; all (y, x)."""
        return *self.read(window), self._numbers[window.slices]


def read_coco(path: Path) -> dict[str, list[DrawnObject]]:
    """Read the annotations of a COCO file by the names of the pictures' files.

    Raises:
        SceneError: the file is no COCO file.

    Source:
        https://cocodataset.org/#format-data.
    """
    content = _json(path)
    try:
        files = {int(image["id"]): str(image["file_name"]) for image in content["images"]}
        names = {int(entry["id"]): str(entry["name"]) for entry in content["categories"]}
        found: dict[str, list[DrawnObject]] = {name: [] for name in files.values()}
        for entry in content["annotations"]:
            one = _of_coco(entry, names[int(entry["category_id"])])
            found[files[int(entry["image_id"])]].append(one)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise SceneError(
            str(path), f"no COCO annotations ({type(error).__name__}: {error}).", "Give an instances_*.json file."
        ) from error
    return found


def read_labelme(path: Path) -> list[DrawnObject]:
    """Read the polygons and rectangles of a labelme file; its other shapes are left out.

    Raises:
        SceneError: the file is no labelme file.

    Source:
        https://github.com/wkentaro/labelme, ``labelme/_label_file.py``.
    """
    content = _json(path)
    try:
        return [
            DrawnObject(name=str(shape["label"]), rings=(_outline(shape),))
            for shape in content["shapes"]
            if shape.get("shape_type", "polygon") in {"polygon", "rectangle"}
        ]
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise SceneError(str(path), f"no labelme file ({type(error).__name__}: {error}).", "Save it anew.") from error


def _json(path: Path) -> Any:
    try:
        return json.loads(read_input(path))
    except OSError as error:
        raise SceneError(str(path), f"it cannot be read ({error.strerror}).", "Check the path.") from error
    except (ValueError, RecursionError) as error:
        raise SceneError(str(path), f"it is no JSON ({error}).", "Check the file.") from error


def _of_coco(entry: UntypedMapping, name: str) -> DrawnObject:
    shape, crowd = entry["segmentation"], bool(entry.get("iscrowd", 0))
    if isinstance(shape, Mapping):
        counts = shape["counts"]
        runs = _unpacked(counts) if isinstance(counts, str) else tuple(int(n) for n in counts)
        return DrawnObject(name=name, counts=runs, crowd=crowd)
    rings = tuple(tuple(zip(map(float, ring[::2]), map(float, ring[1::2]), strict=True)) for ring in shape)
    return DrawnObject(name=name, rings=rings, crowd=crowd)


def _outline(shape: UntypedMapping) -> Ring:
    points = [(float(x), float(y)) for x, y in shape["points"]]
    if shape.get("shape_type") == "rectangle":
        (x0, y0), (x1, y1) = points
        points = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    return tuple(points)


_LONGEST_RUN_BITS = 60


def _unpacked(text: str) -> tuple[int, ...]:
    """Unpack COCO's text of run lengths: groups of five bits, each length less the one before the last.

    Source:
        ``rleFrString`` of pycocotools.
    """
    counts: list[int] = []
    place = 0
    while place < len(text):
        value = shift = 0
        more = True
        while more:
            if shift > _LONGEST_RUN_BITS:
                raise ValueError("a run of a mask is longer than any picture")
            bits = ord(text[place]) - 48
            value |= (bits & 0x1F) << shift
            more = bool(bits & 0x20)
            place, shift = place + 1, shift + 5
            if not more and bits & 0x10:
                value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
    return tuple(counts)


def _mask(name: str, one: DrawnObject, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    if one.counts:
        if sum(one.counts) != shape[0] * shape[1] or min(one.counts) < 0:
            raise SceneError(name, f"a mask of {one.name!r} is not of {shape} pixels.", "Give the annotated pictures.")
        on = np.arange(len(one.counts)) % 2 == 1
        return np.repeat(on, one.counts).reshape(shape, order="F")
    polygons = [shapely.Polygon(ring) for ring in one.rings if len(ring) >= 3]
    if not polygons:
        return np.zeros(shape, bool)
    return np.asarray(rasterize(polygons, out_shape=shape, dtype="uint8"), bool)
