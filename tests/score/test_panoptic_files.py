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
    write_coco_panoptic(tmp_path / "x.json", {"7": (ids, segments)}.items(), classes)
    found = read_coco_panoptic(tmp_path / "x.json")
    assert found.things == {2}
    np.testing.assert_array_equal(found.pictures["7"].ids(), ids)
    assert found.pictures["7"].segments == tuple(segments)
    with pytest.raises(UsageError, match="above"):
        write_coco_panoptic(tmp_path / "y.json", {"7": (ids + 1, segments)}.items(), classes)


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


def geoseg(*arguments: object) -> int:
    return run_command(lambda: app(args=[str(a) for a in arguments], standalone_mode=False), debug=False)


def document(**changes: object) -> dict:
    segments = [{"id": 1, "category_id": 3, "iscrowd": 0}, {"id": 2, "category_id": 1, "iscrowd": 0}]
    picture = {"image_id": 7, "file_name": "7.png", "segments_info": segments}
    categories = [{"id": 1, "name": "house", "isthing": 1}, {"id": 3, "name": "road", "isthing": 0}]
    return {"annotations": [picture], "categories": categories} | changes


def write_document(path: Path, content: dict, ids: np.ndarray | None = None) -> Path:
    """Write a document of a picture whose left half is a road and whose right half is a house."""
    if ids is None:
        ids = np.repeat([[1, 2]], 10, axis=0).repeat(10, axis=1)
    path.with_suffix("").mkdir(exist_ok=True)
    Image.fromarray(np.stack([ids & 255, ids >> 8 & 255, ids >> 16], -1).astype(np.uint8)).save(
        path.with_suffix("") / "7.png"
    )
    path.write_text(json.dumps(content))
    return path


def segment(**changes: object) -> list[dict]:
    return [{"image_id": 7, "file_name": "7.png", "segments_info": [{"id": 1, "category_id": 3} | changes]}]


def categories(number: object) -> dict:
    return document(annotations=segment(category_id=number), categories=[{"id": number, "name": "a", "isthing": 1}])


@pytest.mark.parametrize(
    "content",
    [
        *(categories(number) for number in (1000, -1, float("inf"), float("nan"), 1.5, 10**11, "1", None)),
        document(annotations=segment(id=2**24)),
        document(annotations=segment(id=float("inf"))),
        document(annotations=segment(iscrowd=2)),
        document(annotations=document()["annotations"] * 2),
        document(annotations=[*document()["annotations"], document()["annotations"][0] | {"image_id": "7"}]),
        document(annotations=[document()["annotations"][0] | {"image_id": ["7"]}]),
        document(annotations=[document()["annotations"][0] | {"image_id": "\ud800"}]),
        document(categories=document()["categories"] * 2),
        document(categories=[{"id": 1, "name": "a", "isthing": float("inf")}, {"id": 3, "name": "b"}]),
    ],
    ids=lambda content: json.dumps(content)[16:90],
)
def test_documents_with_numbers_that_make_no_sense_are_refused(tmp_path, content, capsys) -> None:
    path = write_document(tmp_path / "odd.json", content)
    assert geoseg("evaluate", "panoptic", "--prediction", path, "--reference", path) == 3
    assert "odd.json" in capsys.readouterr().err


def test_names_that_no_legend_takes_are_replaced_by_numbers(tmp_path) -> None:
    named = [{"id": 1, "name": "h" * 500, "isthing": 1}, {"id": 3, "name": "", "isthing": 0}]
    path = write_document(tmp_path / "odd.json", document(categories=named))
    assert [one["name"] for one in evaluate_panoptic(path, path)["classes"]] == ["class 1", "class 3"]


@pytest.mark.parametrize("image_id", ["../../out", "/etc/x", "a/b", "..", "", "x" * 300, "a\x00b", "a%2Fb"])
def test_pictures_stay_in_their_folder_whatever_their_ids(tmp_path, image_id) -> None:
    content = document(annotations=[document()["annotations"][0] | {"image_id": image_id}])
    path = write_document(tmp_path / "in.json", content)
    report = evaluate_panoptic(path, path, PanopticReading(coco=tmp_path / "deep" / "coco"))
    assert report["all"]["pq"] == 1
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["deep", "in", "in.json"]
    assert sorted(entry.name for entry in (tmp_path / "deep").iterdir()) == ["coco"]
    for name in ("reference", "prediction"):
        written = read_coco_panoptic(tmp_path / "deep" / "coco" / f"{name}.json")
        (picture,) = written.pictures.values()
        assert picture.image_id == image_id
        assert picture.path.parent == tmp_path / "deep" / "coco" / name
        assert (picture.ids() > 0).all()


def test_coco_replaces_nothing_unless_it_is_asked_to(maps, tmp_path, capsys) -> None:
    scores = ("evaluate", "panoptic", "--prediction", maps[0], "--reference", maps[1], "--coco", tmp_path / "coco")
    picture = tmp_path / "coco" / "reference" / "a_panoptic.png"
    picture.parent.mkdir(parents=True)
    picture.write_text("mine")
    assert geoseg(*scores) == 6
    assert picture.read_text() == "mine"
    assert "--overwrite" in capsys.readouterr().err
    assert sorted(entry.name for entry in (tmp_path / "coco").iterdir()) == ["reference"]
    assert geoseg(*scores, "--overwrite") == 0
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert geoseg(*scores) == 6
    assert geoseg(*scores, "--overwrite", "--out", tmp_path / "coco" / "reference.json") == 2


def test_coco_never_replaces_what_is_read(tmp_path, capsys) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    ours, theirs = (write_document(folder / f"{name}.json", document()) for name in ("prediction", "reference"))
    held = {path: path.read_bytes() for path in folder.rglob("*.*")}
    for first, second in ((ours, theirs), (theirs, ours)):
        arguments = ("--prediction", first, "--reference", second, "--coco", folder, "--overwrite")
        assert geoseg("evaluate", "panoptic", *arguments) == 2
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == held
    truth = write(tmp_path / "truth.tif", np.full((10, 20), ROAD, np.int32), **NAMES)
    lone = folder / "reference" / "truth.png"
    Image.fromarray(np.full((10, 20), ROAD, np.uint8)).save(lone)
    before = lone.read_bytes()
    with pytest.raises(UsageError, match="what is read"):
        evaluate_panoptic(truth, lone, PanopticReading(coco=folder, overwrite=True, resample=True))
    assert lone.read_bytes() == before
    file = tmp_path / "file"
    file.touch()
    assert geoseg("evaluate", "panoptic", "--prediction", ours, "--reference", theirs, "--coco", file) == 2


def test_areas_and_boxes_are_those_of_the_pixels(tmp_path) -> None:
    rng = np.random.default_rng(3)
    ids = rng.choice([0, 5, 70_000, 2**24 - 1], (30, 40), p=[0.9, 0.05, 0.03, 0.02]).astype(np.int64)
    segments = [CocoSegment(id=i, category=1) for i in (5, 70_000, 2**24 - 1, 9)]
    classes = [LegendClass(code=1, name="tree", colour="#00ff00", countable=True)]
    write_coco_panoptic(tmp_path / "x.json", {"a": (ids, segments)}.items(), classes)
    for one in json.loads((tmp_path / "x.json").read_text())["annotations"][0]["segments_info"]:
        rows, cols = np.nonzero(ids == one["id"])
        box = [cols.min(), rows.min(), np.ptp(cols) + 1, np.ptp(rows) + 1] if len(rows) else [0, 0, 0, 0]
        assert (one["area"], one["bbox"]) == (len(rows), box)


@pytest.mark.parametrize("factor", [1, 8_388_608, 10**9, 2**33])
def test_objects_of_any_numbers_give_the_same_scores(maps, tmp_path, factor) -> None:
    with rasterio.open(maps[1]) as file:
        truth = file.read(1).astype(np.int64)
    codes = write(tmp_path / "codes.tif", np.where(truth < 0, 255, truth % 256).astype(np.uint8), 255)
    numbers = write(tmp_path / "numbers.tif", np.where(truth >= 256, truth // 256 * factor, 0), 0)
    found = evaluate_panoptic(maps[0], codes, PanopticReading(reference_objects=numbers, boundary_px=2))
    expected = evaluate_panoptic(*maps, PanopticReading(boundary_px=2))
    assert found["classes"] == expected["classes"]
    assert found["boundary"] == expected["boundary"]


def test_class_codes_above_255_are_refused(maps, tmp_path) -> None:
    """256 * 1 + 44 is no code, and would be a thing."""
    codes = write(tmp_path / "codes.tif", np.full((30, 40), 300, np.uint16), None)
    numbers = write(tmp_path / "numbers.tif", np.ones((30, 40), np.uint8), 0)
    with pytest.raises(SceneError, match="300 is no class code"):
        evaluate_panoptic(maps[0], codes, PanopticReading(reference_objects=numbers))
    with pytest.raises(SceneError, match="class 44"):
        evaluate_panoptic(maps[0], codes)


@pytest.mark.parametrize("things", ["²", "300", "-1", "tower", "house,"])
def test_things_that_are_no_class_are_a_usage_error(maps, things, capsys) -> None:
    assert geoseg("evaluate", "panoptic", "--prediction", maps[0], "--reference", maps[1], "--things", things) == 2
    assert "known are house, road" in capsys.readouterr().err


def test_things_hold_for_all_scenes_whichever_comes_first(maps, tmp_path) -> None:
    """Names are in the metadata of one scene alone; codes and objects are the same in both."""
    with rasterio.open(maps[0]) as file:
        answer = file.read(1)
    with rasterio.open(maps[1]) as file:
        truth = file.read(1)
    found = []
    for number, tagged in enumerate(("a", "b")):
        folder = tmp_path / str(number)
        for kind in ("maps", "truth"):
            (folder / kind).mkdir(parents=True)
        for name in ("a", "b"):
            write(folder / "maps" / f"{name}_panoptic.tif", answer, **(NAMES if name == tagged else {}))
            write(folder / "truth" / f"{name}.tif", np.where(truth < 0, 255, truth % 256).astype(np.uint8), 255)
        numbers = write(folder / "numbers.tif", np.where(truth >= 256, truth // 256, 0).astype(np.uint16), 0)
        reading = PanopticReading(reference_objects=numbers, things=("house",))
        report = evaluate_panoptic(folder / "maps", folder / "truth", reading)
        found.append(report["classes"])
        assert [one["thing"] for one in report["classes"]] == [True, False]
    assert found[0] == found[1]


def test_things_of_documents_can_be_named_too(tmp_path) -> None:
    path = write_document(tmp_path / "one.json", document())
    report = evaluate_panoptic(path, path, PanopticReading(things=("road",)))
    assert [(one["name"], one["thing"]) for one in report["classes"]] == [("house", False), ("road", True)]


def test_names_come_from_the_class_map_beside_labels_without_metadata(tmp_path) -> None:
    labels = write(tmp_path / "a_panoptic.tif", np.full((30, 40), ROAD, np.int32))
    classes = write(tmp_path / "a_classes.tif", np.full((30, 40), ROAD, np.uint8), 255)
    names = "".join(f"<Category>{name}</Category>" for name in ("", "house", "", "road"))
    Path(f"{classes}.aux.xml").write_text(
        f'<PAMDataset><PAMRasterBand band="1"><CategoryNames>{names}</CategoryNames></PAMRasterBand></PAMDataset>'
    )
    assert [one["name"] for one in evaluate_panoptic(labels, labels)["classes"]] == ["road"]
