"""``geoseg evaluate panoptic``: rasters of labels, class rasters with objects, and COCO in and out."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from PIL import Image
from rasterio.transform import from_origin

from geoseg.cli.main import app
from geoseg.core.legend import LegendClass
from geoseg.errors import SceneError, UsageError
from geoseg.io.labels.coco_panoptic import CocoSegment, read_coco_panoptic, write_coco_panoptic
from geoseg.process.command import run_command
from geoseg.score.panoptic.files import PanopticReading, evaluate_panoptic

ROAD, HOUSE = 3, 1
NAMES = {"class_1": "thing house", "class_3": "stuff road"}


def write(path: Path, values: np.ndarray, nodata: int | None = -1, **tags: str) -> Path:
    rows, cols = values.shape
    profile = {"driver": "GTiff", "height": rows, "width": cols, "count": 1, "dtype": values.dtype, "nodata": nodata}
    with rasterio.open(path, "w", **profile, crs="EPSG:32633", transform=from_origin(5e5, 5e6, 2, 2)) as file:
        file.write(values, 1)
        file.update_tags(**tags)
    return path


@pytest.fixture
def maps(tmp_path: Path) -> tuple[Path, Path]:
    """Two houses on a road; the prediction is off by two columns at one, and has one more."""
    truth = np.full((30, 40), ROAD, np.int32)
    truth[5:15, 5:15], truth[5:15, 15:25] = 256 + HOUSE, 512 + HOUSE
    truth[0, :10] = -1
    answer = np.full((30, 40), ROAD, np.int32)
    answer[5:15, 7:15], answer[5:15, 15:25], answer[20:25, 20:25] = 256 + HOUSE, 768 + HOUSE, 512 + HOUSE
    return write(tmp_path / "a_panoptic.tif", answer, **NAMES), write(tmp_path / "truth.tif", truth)


HOUSES = {"pq": (0.8 + 1.0) / 2.5, "sq": 0.9, "rq": 2 / 2.5, "matched": 2, "extra": 1, "missed": 0}


def test_labels_over_a_whole_mosaic(maps) -> None:
    report = evaluate_panoptic(*maps, PanopticReading(boundary_px=2))
    house, road = report["classes"]
    assert {key: pytest.approx(value) for key, value in HOUSES.items()} == {key: house[key] for key in HOUSES}
    assert (house["name"], house["thing"], road["name"], road["thing"]) == ("house", True, "road", False)
    inter, union = 1200 - 200 - 10 - 25, 1200 - 200 - 10 + 20
    assert road["pq"] == pytest.approx(inter / union)
    assert report["all"]["pq"] == pytest.approx((house["pq"] + road["pq"]) / 2)
    assert report["things"]["classes"] == report["stuff"]["classes"] == 1
    assert report["boundary"]["things"]["pq"] < report["things"]["pq"]


def test_class_rasters_and_objects_are_a_reference(maps, tmp_path) -> None:
    with rasterio.open(maps[1]) as file:
        truth = file.read(1)
    codes = write(tmp_path / "codes.tif", np.where(truth < 0, 255, truth % 256).astype(np.uint8), 255)
    numbers = write(tmp_path / "numbers.tif", np.where(truth >= 256, truth // 256 * 7, 0).astype(np.uint16), 0)
    boxes = [shapely.box(500010, 4999970, 500030, 4999990), shapely.box(500030, 4999970, 500050, 4999990)]
    polygons = tmp_path / "houses.gpkg"
    geopandas.GeoDataFrame(geometry=boxes, crs="EPSG:32633").to_file(polygons)
    expected = evaluate_panoptic(*maps)
    for objects in (numbers, polygons):
        found = evaluate_panoptic(maps[0], codes, PanopticReading(reference_objects=objects))
        assert found["classes"] == expected["classes"]
    alone = evaluate_panoptic(maps[0], None, PanopticReading(reference_objects=numbers))
    assert alone["classes"][0] == expected["classes"][0]


def test_coco_out_and_in_gives_the_same_scores(maps, tmp_path) -> None:
    report = evaluate_panoptic(*maps, PanopticReading(coco=tmp_path / "coco"))
    again = evaluate_panoptic(tmp_path / "coco" / "prediction.json", tmp_path / "coco" / "reference.json")
    for key in ("all", "things", "stuff", "classes"):
        assert again[key] == report[key]
    content = json.loads((tmp_path / "coco" / "reference.json").read_text())
    picture = np.asarray(Image.open(tmp_path / "coco" / "reference" / content["annotations"][0]["file_name"]), np.int64)
    ids = picture[..., 0] + 256 * picture[..., 1] + 65536 * picture[..., 2]
    for one in content["annotations"][0]["segments_info"]:
        rows, cols = np.nonzero(ids == one["id"])
        assert one["area"] == len(rows)
        assert one["bbox"] == [cols.min(), rows.min(), np.ptp(cols) + 1, np.ptp(rows) + 1]
    assert {e["name"]: e["isthing"] for e in content["categories"]} == {"house": 1, "road": 0}


def test_crowds_and_ids_of_three_bytes_survive_coco(tmp_path) -> None:
    ids = np.array([[0, 1, 70_000], [300, 300, 2**24 - 1]])
    segments = [CocoSegment(id=i, category=2, crowd=i == 300) for i in (1, 300, 70_000, 2**24 - 1)]
    classes = [LegendClass(code=2, name="tree", colour="#00ff00", countable=True)]
    write_coco_panoptic(tmp_path / "x.json", {"7": (ids, segments)}, classes)
    found = read_coco_panoptic(tmp_path / "x.json")
    assert found.things == {2}
    np.testing.assert_array_equal(found.pictures["7"].ids(), ids)
    assert found.pictures["7"].segments == tuple(segments)
    with pytest.raises(UsageError, match="above"):
        write_coco_panoptic(tmp_path / "y.json", {"7": (ids + 1, segments)}, classes)


def test_the_command_prints_and_writes(maps, tmp_path, capsys) -> None:
    arguments = ["evaluate", "panoptic", "--prediction", maps[0], "--reference", maps[1], "--out", tmp_path / "r.json"]
    assert run_command(lambda: app(args=[*map(str, arguments)], standalone_mode=False), debug=False) == 0
    shown = capsys.readouterr().out
    assert "1 house" in shown
    assert "0.7200" in shown
    assert json.loads((tmp_path / "r.json").read_text())["classes"][0]["pq"] == pytest.approx(0.72)


def test_what_cannot_be_scored_is_refused(maps, tmp_path) -> None:
    plain = write(tmp_path / "plain.tif", np.full((30, 40), ROAD, np.int32))
    with pytest.raises(UsageError, match="--reference"):
        evaluate_panoptic(maps[0], None)
    with pytest.raises(UsageError, match="--things"):
        evaluate_panoptic(plain, maps[1], PanopticReading(reference_objects=maps[1]))
    with pytest.raises(SceneError, match="no raster of panoptic labels"):
        evaluate_panoptic(empty(tmp_path), maps[1])
    broken = tmp_path / "broken.json"
    broken.write_text("{}")
    with pytest.raises(SceneError, match="no COCO panoptic"):
        evaluate_panoptic(broken, broken)


def empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"
