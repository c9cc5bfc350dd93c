"""COCO panoptic: a JSON document that lists segments, and a PNG of their ids for each picture.

Source: https://cocodataset.org/#format-data, panoptic segmentation; an id is ``R + 256 G + 65536 B``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import rasterio

from geoseg.core.legend import LegendClass
from geoseg.core.types.json_value import UntypedDict, UntypedMapping
from geoseg.core.window import Window
from geoseg.errors import SceneError, UsageError
from geoseg.io.files.gdal_messages import suppress_gdal_messages
from geoseg.io.files.gdal_name import gdal_name
from geoseg.io.files.input_file import read_input
from geoseg.io.files.writing import whole_file, write_json
from geoseg.io.raster.scene import open_scene

MOST_ID: Final = 2**24 - 1
"""Largest id that three bytes hold."""


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


def read_coco_panoptic(path: Path, folder: Path | None = None) -> CocoPanoptic:
    """Read a document; the pictures are opened later.

    Args:
        path: the JSON file.
        folder: of the PNG files; None: the one named as the file without ``.json``.

    Raises:
        SceneError: it is no COCO panoptic document.
    """
    beside = path.with_suffix("") if folder is None else folder
    try:
        content = json.loads(read_input(path))
        categories = {int(entry["id"]): str(entry["name"]) for entry in content["categories"]}
        things = frozenset(int(e["id"]) for e in content["categories"] if int(e.get("isthing", 0)))
        pictures = [_picture(entry, beside, categories) for entry in content["annotations"]]
    except OSError as error:
        raise SceneError(str(path), f"it cannot be read ({error.strerror}).", "Check the path.") from error
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise SceneError(
            str(path),
            f"no COCO panoptic annotations ({type(error).__name__}: {error}).",
            "Give a panoptic_*.json file.",
        ) from error
    return CocoPanoptic(
        name=str(path), categories=categories, things=things, pictures={one.image_id: one for one in pictures}
    )


def _picture(entry: UntypedMapping, folder: Path, categories: Mapping[int, str]) -> CocoPicture:
    segments = tuple(
        CocoSegment(id=int(one["id"]), category=int(one["category_id"]), crowd=bool(one.get("iscrowd", 0)))
        for one in entry["segments_info"]
    )
    unknown = [one.category for one in segments if one.category not in categories]
    if unknown:
        raise ValueError(f"category {unknown[0]} is not listed")
    if len({one.id for one in segments}) != len(segments) or any(one.id < 1 for one in segments):
        raise ValueError("two segments of a picture have one id, or an id is not above 0")
    name = Path(str(entry["file_name"])).name
    return CocoPicture(image_id=str(entry["image_id"]), path=folder / name, segments=segments)


def write_coco_panoptic(
    path: Path,
    pictures: Mapping[str, tuple[npt.NDArray[np.int64], Sequence[CocoSegment]]],
    classes: Sequence[LegendClass],
) -> None:
    """Write a document and the PNG files of its pictures into the folder named as it.

    Args:
        path: the ``.json`` file.
        pictures: ids (y, x), 0 for none, and segments, by the id of the picture.
        classes: of all segments; the countable ones are things.

    Raises:
        UsageError: ids do not fit three bytes.
        WriteError: the disk is full or fails.
    """
    folder = path.with_suffix("")
    folder.mkdir(parents=True, exist_ok=True)
    annotations, images = [], []
    for image_id, (ids, segments) in pictures.items():
        if ids.size and int(ids.max()) > MOST_ID:
            raise UsageError(f"{path}: {image_id} has ids above {MOST_ID}, which COCO's pictures cannot hold.")
        rgb = np.stack([ids & 255, (ids >> 8) & 255, ids >> 16]).astype(np.uint8)
        file = folder / f"{image_id}.png"
        profile = {"driver": "PNG", "count": 3, "dtype": "uint8", "height": ids.shape[0], "width": ids.shape[1]}
        with (
            whole_file(file) as part,
            suppress_gdal_messages(),
            rasterio.open(gdal_name(part), "w", **profile) as target,
        ):
            target.write(rgb)
        images.append({"id": image_id, "file_name": file.name, "height": ids.shape[0], "width": ids.shape[1]})
        annotations.append(
            {"image_id": image_id, "file_name": file.name, "segments_info": [_info(one, ids) for one in segments]}
        )
    categories = [
        {"id": one.code, "name": one.name, "isthing": int(one.countable), "color": list(one.rgb)} for one in classes
    ]
    write_json(path, {"images": images, "annotations": annotations, "categories": categories})


def _info(segment: CocoSegment, ids: npt.NDArray[np.int64]) -> UntypedDict:
    rows, cols = np.nonzero(ids == segment.id)
    box = [0, 0, 0, 0]
    if len(rows):
        box = [int(cols.min()), int(rows.min()), int(np.ptp(cols)) + 1, int(np.ptp(rows)) + 1]
    facts = {"id": segment.id, "category_id": segment.category, "area": len(rows), "bbox": box}
    return facts | {"iscrowd": int(segment.crowd)}
