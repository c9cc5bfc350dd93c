"""Labels of panoptic trainings: COCO panoptic, and class rasters with objects besides."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from PIL import Image
from pydantic import TypeAdapter
from rasterio.transform import from_origin

from geoseg.core.legend import Legend, LegendClass
from geoseg.core.window import Window
from geoseg.data.labelled_scene import UNLABELLED
from geoseg.data.sources.kinds import Source
from geoseg.errors import UsageError
from geoseg.io.labels.coco_panoptic import CocoSegment, write_coco_panoptic

LEGEND = Legend(
    classes=[
        LegendClass(code=3, name="road", colour="#ffffff"),
        LegendClass(code=5, name="house", colour="#ff0000", countable=True),
    ]
)
WHOLE = Window(0, 20, 0, 30)


def ids() -> np.ndarray:
    values = np.full((20, 30), 7, np.int64)
    values[2:8, 2:8], values[2:8, 8:14], values[12:18, 4:10], values[19] = 300, 70_000, 9, 0
    return values


def opened(source: dict, folder: Path):
    model = TypeAdapter(Source).validate_python({"name": "drawn", "licence": "CC0-1.0", **source})
    (scene,) = model.scenes("train", folder, LEGEND)
    return scene.read(WHOLE)


def test_segments_of_coco_are_classes_and_numbers_of_things(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "images" / "7.png")
    segments = [CocoSegment(id=i, category=c, crowd=i == 9) for i, c in ((7, 3), (300, 5), (70_000, 5), (9, 5))]
    write_coco_panoptic(tmp_path / "notes.json", {"7": (ids(), segments)}.items(), LEGEND.classes)
    source = {"kind": "coco_panoptic", "annotations": "notes.json", "split": {"by": "names", "validate_on": []}}
    sample = opened(source, tmp_path)
    values = ids()
    unknown = np.isin(values, (0, 9))
    np.testing.assert_array_equal(sample.class_indices == UNLABELLED, unknown)
    np.testing.assert_array_equal(sample.class_indices[~unknown], np.where(values == 7, 0, 1)[~unknown])
    np.testing.assert_array_equal(sample.objects, np.where(np.isin(values, (300, 70_000)), values, 0))
    with pytest.raises(UsageError, match="'road' is none of house"):
        opened({**source, "classes": {"house": 5}}, tmp_path)
    (tmp_path / "images" / "7.png").rename(tmp_path / "images" / "8.png")
    with pytest.raises(UsageError, match="no segments of 8"):
        opened(source, tmp_path)


@pytest.mark.parametrize("kind", ["numbers", "polygons"])
def test_a_class_raster_gets_things_from_another_file(tmp_path: Path, kind: str) -> None:
    values = ids()
    house = np.isin(values, (300, 70_000))

    def write(name: str, pixels: np.ndarray, nodata: int | None) -> None:
        profile = {"driver": "GTiff", "height": 20, "width": 30, "count": len(pixels), "dtype": pixels.dtype}
        place = {"crs": "EPSG:32633", "transform": from_origin(0, 20, 1, 1), "nodata": nodata}
        with rasterio.open(tmp_path / name, "w", **profile, **place) as file:
            file.write(pixels)

    write("image.tif", np.ones((3, 20, 30), np.uint8), None)
    write("codes.tif", np.where(values == 0, 255, np.where(house, 5, 3)).astype(np.uint8)[None], 255)
    write("numbers.tif", np.where(house, values, 0).astype(np.int32)[None], 0)
    boxes = [shapely.box(2, 12, 8, 18), shapely.box(8, 12, 14, 18)]
    geopandas.GeoDataFrame(geometry=boxes, crs="EPSG:32633").to_file(tmp_path / "houses.gpkg")
    objects = "numbers.tif" if kind == "numbers" else "houses.gpkg"
    source = {"kind": "files", "image": "image.tif", "labels": "codes.tif", "train": [0, 20], "objects": objects}
    sample = opened(source, tmp_path)
    np.testing.assert_array_equal(sample.class_indices, np.where(values == 0, UNLABELLED, np.where(house, 1, 0)))
    np.testing.assert_array_equal(sample.objects > 0, house)
    pairs = set(zip(values[house].tolist(), sample.objects[house].tolist(), strict=True))
    assert len(pairs) == 2
