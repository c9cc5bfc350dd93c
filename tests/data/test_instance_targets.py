"""Objects of labels become targets whose boxes and masks are true to the chip, however it is turned and scaled."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import torch
from affine import Affine
from PIL import Image
from pydantic import TypeAdapter

from geoseg.core.legend import Legend, LegendClass
from geoseg.data.augment import Augmentation
from geoseg.data.chips import ChipMaker, ChipSpec, cut_objects
from geoseg.data.instance_targets import label_table, targets_of
from geoseg.data.labelled import Source, read_source
from geoseg.data.labelled_scene import UNLABELLED, LabelledImage

LEGEND = Legend(
    classes=[
        LegendClass(code=0, name="background", colour="#000000"),
        LegendClass(code=1, name="roof", colour="#ff0000"),
        LegendClass(code=9, name="tree", colour="#00ff00"),
    ]
)
PLAIN = Augmentation(
    brightness=0, contrast=0, gamma=0, gain=0, saturation=0, hue_deg=0, greyscale=0, blur_px=0, noise=0, jpeg_quality=0,
    blank=0,
)  # fmt: skip


def image(objects: np.ndarray, class_indices: np.ndarray) -> LabelledImage:
    """The value of a pixel is 10 times the number of its object, so that what a chip shows is known."""
    values = np.repeat((objects * 10).astype(np.uint8)[None], 3, axis=0)
    valid = np.ones(objects.shape, bool)
    return LabelledImage(
        name="drawn",
        values=values,
        valid=valid,
        class_indices=class_indices,
        gsd_m=1.0,
        objects=objects.astype(np.int64),
    )


def drawn(side: int = 120) -> LabelledImage:
    objects = np.zeros((side, side), np.int64)
    objects[10:40, 10:50], objects[10:40, 50:90], objects[60:100, 20:45] = 7, 8, 21
    class_indices = np.where(objects > 0, 1, 0).astype(np.uint8)
    class_indices[objects == 21] = 2
    return image(objects, class_indices)


@pytest.mark.parametrize("seed", range(12))
def test_objects_go_with_their_pixels_through_turns_and_scales(seed: int) -> None:
    spec = ChipSpec(size_px=64, turned=1.0, gsd_factor=(0.5, 2.0))
    values, class_indices, _, objects = cut_objects(drawn(), spec, np.random.default_rng(seed))
    for number in objects.unique().tolist():
        here = objects == number
        inside = torch.nn.functional.max_pool2d((~here).float()[None], 9, 1, 4)[0] == 0  # off the blurred edges
        if inside.any():
            shown = values[0][inside] * 25.5
            middle = float(shown.median())
            assert min(abs(middle - n) for n in ((7, 8, 21) if number else (0,))) < 0.01
            assert ((shown - middle).abs() < 0.05).float().mean() > 0.9
        assert len(class_indices[here].unique()) == 1


def test_boxes_are_the_outer_edges_of_masks_and_cut_objects_are_marked() -> None:
    class_indices, objects = torch.zeros(1, 32, 32, dtype=torch.int64), torch.zeros(1, 32, 32, dtype=torch.int64)
    objects[0, 4:14, 6:20], class_indices[0, 4:14, 6:20] = 1, 1
    objects[0, 20:32, 10:18], class_indices[0, 20:32, 10:18] = 2, 2
    class_indices[0, :3, 25:] = UNLABELLED
    (target,) = targets_of(class_indices, objects, label_table(LEGEND))
    assert target["boxes"].tolist() == [[6, 4, 20, 14], [10, 20, 18, 32], [25, 0, 32, 3]]
    assert target["labels"].tolist() == [1, 2, 1]
    assert target["cut"].tolist() == [False, True, False]
    assert target["iscrowd"].tolist() == [0, 0, 1]
    assert target["masks"].sum((1, 2)).tolist() == [140, 96, 21]


def test_an_object_of_which_hardly_a_pixel_is_left_is_no_object_and_no_background() -> None:
    class_indices, objects = torch.zeros(1, 32, 32, dtype=torch.int64), torch.zeros(1, 32, 32, dtype=torch.int64)
    objects[0, :3, :4], class_indices[0, :3, :4] = 1, 1
    (target,) = targets_of(class_indices, objects, label_table(LEGEND))
    assert target["iscrowd"].tolist() == [1]
    assert target["boxes"].tolist() == [[0, 0, 4, 3]]


def test_missing_pixels_belong_to_no_object() -> None:
    chips = ChipMaker(
        [drawn()], ChipSpec(size_px=64, batch=4), PLAIN.model_copy(update={"blank": 1.0}), ([0.5] * 3, [0.25] * 3), 1
    )
    batch = chips.batch(0)
    assert (batch.class_indices == UNLABELLED).any()
    assert (batch.objects[batch.class_indices == UNLABELLED] == 0).all()
    assert (batch.objects > 0).any()


def opened(source: dict, folder: Path) -> np.ndarray:
    model = TypeAdapter(Source).validate_python({"name": "s", "licence": "CC0"} | source)
    (scene,) = read_source(model, "train", folder, LEGEND)
    from geoseg.core.window import Window

    return scene.read(Window.whole(scene.shape))


def write_scene(folder: Path, shape=(40, 60)) -> None:
    with rasterio.open(
        folder / "scene.tif", "w", driver="GTiff", count=3, height=shape[0], width=shape[1], dtype="uint8",
        crs="EPSG:32632", transform=Affine(1, 0, 500000, 0, -1, 4000000),
    ) as file:  # fmt: skip
        file.write(np.full((3, *shape), 9, np.uint8))


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:4326"])
def test_polygons_in_any_crs_are_objects(tmp_path: Path, crs: str) -> None:
    write_scene(tmp_path)
    boxes = [shapely.box(500005, 3999970, 500020, 3999990), shapely.box(500020, 3999970, 500040, 3999990)]
    frame = geopandas.GeoDataFrame({"kind": [1, 9]}, geometry=boxes, crs="EPSG:32632").to_crs(crs)
    frame.to_file(tmp_path / "roofs.gpkg")
    sample = opened(
        {"kind": "files", "image": "scene.tif", "labels": "roofs.gpkg", "attribute": "kind", "train": (0, 40)}, tmp_path
    )
    expected = np.zeros((40, 60), int)
    expected[10:30, 5:20], expected[10:30, 20:40] = 1, 2
    assert len(np.unique(sample.objects)) == 3
    pairs = {tuple(pair) for pair in np.stack([sample.objects.ravel(), expected.ravel()], axis=1).tolist()}
    assert len(pairs) == 3  # the same parts, whatever their numbers
    np.testing.assert_array_equal(sample.class_indices, expected)


def test_a_raster_of_numbers_is_objects_as_it_is(tmp_path: Path) -> None:
    write_scene(tmp_path)
    numbers = np.zeros((40, 60), np.int32)
    numbers[3:9, 4:20], numbers[9:20, 4:20] = 70000, 5
    with rasterio.open(tmp_path / "scene.tif") as file:
        facts = file.profile | {"count": 1, "dtype": "int32"}
    with rasterio.open(tmp_path / "numbers.tif", "w", **facts) as file:
        file.write(numbers, 1)
    sample = opened(
        {"kind": "files", "image": "scene.tif", "labels": "numbers.tif", "codes": "nonzero", "train": (0, 40)}, tmp_path
    )
    np.testing.assert_array_equal(sample.objects, numbers)


@pytest.mark.filterwarnings("ignore:__array__")
def test_coco_outlines_run_lengths_and_crowds_are_read_as_pycocotools_reads_them(tmp_path: Path) -> None:
    masks = pytest.importorskip("pycocotools.mask")
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((30, 50, 3), np.uint8)).save(tmp_path / "images" / "one.png")
    blob = np.zeros((30, 50), np.uint8)
    blob[2:9, 30:45] = 1
    blob[4:6, 33:36] = 0
    packed = masks.encode(np.asfortranarray(blob))
    crowd = np.zeros((30, 50), np.uint8)
    crowd[20:28, 30:40] = 1
    flat = crowd.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    outline = [5, 5, 20, 5, 20, 18, 5, 18]
    notes = [
        {"image_id": 1, "category_id": 1, "segmentation": [outline]},
        {"image_id": 1, "category_id": 2, "segmentation": {"size": [30, 50], "counts": packed["counts"].decode()}},
        {"image_id": 1, "category_id": 2, "iscrowd": 1, "segmentation": {"size": [30, 50], "counts": counts}},
    ]
    document = {
        "images": [{"id": 1, "file_name": "one.png"}],
        "categories": [{"id": 1, "name": "roof"}, {"id": 2, "name": "tree"}],
        "annotations": notes,
    }
    (tmp_path / "notes.json").write_text(json.dumps(document))
    split = {"by": "names", "train": ["one"]}
    sample = opened({"kind": "coco", "annotations": "notes.json", "split": split}, tmp_path)
    roof = masks.decode(masks.frPyObjects([outline], 30, 50))[..., 0]
    expected = roof + 2 * blob
    expected[crowd > 0] = UNLABELLED
    np.testing.assert_array_equal(sample.class_indices, expected)
    np.testing.assert_array_equal(sample.objects > 0, (roof + blob) > 0)
    assert len(np.unique(sample.objects)) == 3


def test_labelme_polygons_and_rectangles_are_objects(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((30, 50, 3), np.uint8)).save(tmp_path / "images" / "one.png")
    shapes = [
        {"label": "roof", "points": [[2, 2], [12, 2], [12, 10], [2, 10]], "shape_type": "polygon"},
        {"label": "tree", "points": [[20, 5], [30, 15]], "shape_type": "rectangle"},
        {"label": "hedge", "points": [[40, 5], [45, 9]], "shape_type": "rectangle"},
    ]
    (tmp_path / "images" / "one.json").write_text(json.dumps({"shapes": shapes}))
    classes = {"roof": 1, "tree": 9, "hedge": "ignore"}
    sample = opened({"kind": "labelme", "classes": classes, "split": {"by": "names", "train": ["one"]}}, tmp_path)
    expected = np.zeros((30, 50), np.uint8)
    expected[2:10, 2:12], expected[5:15, 20:30], expected[5:9, 40:45] = 1, 2, UNLABELLED
    np.testing.assert_array_equal(sample.class_indices, expected)
    np.testing.assert_array_equal(sample.objects > 0, (expected > 0) & (expected < UNLABELLED))
