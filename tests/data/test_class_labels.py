"""Raster labels mean the same to every kind of source: nodata has no class, and what cannot be meant is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from pydantic import TypeAdapter
from written_sets import TWO, UTM, codes_in_blobs, legend_of, picture, whole, write_tiff

from geoseg.core.legend import Legend
from geoseg.data.labelled import UNLABELLED, read_source
from geoseg.data.sources.kinds import Source
from geoseg.errors import GeosegError, SceneError, UsageError

SHAPE = (45, 63)
KINDS = ("files", "georeferenced", "folders")
SOUTH_UP = Affine(0.5, 0, 500000, 0, 0.5, 5400000 - 0.5 * SHAPE[0])


def class_indices(kind: str, folder: Path, legend: Legend = TWO, **keys: Any) -> np.ndarray:
    """Read the class_indices of the scene ``image.tif`` with the labels ``labels.tif`` by one kind of source."""
    facts: dict[str, Any] = {"kind": kind, "name": "s", "licence": "CC0"}
    if kind == "files":
        facts |= {"image": "image.tif", "labels": "labels.tif", "train": [0, SHAPE[0]]}
    elif kind == "georeferenced":
        facts |= {"images": "image.tif", "labels": "labels.tif", "split": {"by": "none", "all": "train"}}
    else:
        facts |= {"images": "image.tif", "masks": "labels.tif", "split": {"by": "none", "all": "train"}}
    source = TypeAdapter(Source).validate_python(facts | keys)
    (scene,) = read_source(source, "train", folder, legend)
    return whole(scene)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tiff(tmp_path / "image.tif", picture(SHAPE).transpose(2, 0, 1), photometric="RGB")
    return tmp_path


def blobs(classes: int = 2, seed: int = 0) -> np.ndarray:
    return codes_in_blobs(SHAPE, classes, seed)


@pytest.mark.parametrize("codes", ["values", "nonzero"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_nodata_value_of_labels_has_no_class(kind: str, codes: str, folder: Path) -> None:
    labels = blobs()
    labels[:, 30:] = 255
    write_tiff(folder / "labels.tif", labels[None], nodata=255)
    np.testing.assert_array_equal(class_indices(kind, folder, codes=codes), np.where(labels == 255, UNLABELLED, labels))


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_of_objects_may_be_any_but_negative(kind: str, folder: Path) -> None:
    numbers = blobs(5).astype(np.int32) * 7000
    write_tiff(folder / "labels.tif", numbers[None])
    np.testing.assert_array_equal(class_indices(kind, folder, codes="nonzero"), numbers > 0)
    numbers[:9] = -1
    write_tiff(folder / "labels.tif", numbers[None])
    with pytest.raises(SceneError, match=r"labels\.tif: -1 is no number of an object.*labels_nodata: -1"):
        class_indices(kind, folder, codes="nonzero")
    expected = np.where(numbers < 0, UNLABELLED, numbers > 0)
    np.testing.assert_array_equal(class_indices(kind, folder, codes="nonzero", labels_nodata=-1), expected)


@pytest.mark.parametrize("codes", ["values", "nonzero"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_nodata_value_that_is_a_class_is_refused_until_the_recipe_says_what_it_means(
    kind: str, codes: str, folder: Path
) -> None:
    labels = blobs()
    write_tiff(folder / "labels.tif", labels[None], nodata=0)
    with pytest.raises(SceneError, match=r"labels\.tif: its nodata value is 0, which .* labels_nodata: none"):
        class_indices(kind, folder, codes=codes)
    np.testing.assert_array_equal(class_indices(kind, folder, codes=codes, labels_nodata="none"), labels)
    np.testing.assert_array_equal(
        class_indices(kind, folder, codes=codes, labels_nodata=0), np.where(labels == 0, UNLABELLED, 1)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_nodata_value_that_is_no_class_of_the_recipe_needs_no_word(kind: str, folder: Path) -> None:
    labels = blobs(3) * 10
    write_tiff(folder / "labels.tif", labels[None], nodata=0)
    found = class_indices(kind, folder, classes={10: 0, 20: 1})
    np.testing.assert_array_equal(found, np.select([labels == 10, labels == 20], [0, 1], UNLABELLED))


@pytest.mark.parametrize("kind", KINDS)
def test_a_colour_that_the_nodata_value_takes_away_is_a_class_too(kind: str, folder: Path) -> None:
    labels = blobs()
    colours = np.array([[255, 255, 255], [255, 0, 0]], np.uint8)[labels].transpose(2, 0, 1)
    write_tiff(folder / "labels.tif", colours, nodata=255, photometric="RGB")
    keys: dict[str, Any] = {"classes": {"#ffffff": 0, "#ff0000": 1}}
    keys |= {"masks_hold": "colours"} if kind == "folders" else {"labels_hold": "colours"}
    with pytest.raises(SceneError, match="its nodata value is 0, which is also a class"):
        class_indices(kind, folder, **keys)
    np.testing.assert_array_equal(class_indices(kind, folder, **keys, labels_nodata="none"), labels)


@pytest.mark.parametrize("kind", KINDS)
def test_values_of_corine_become_classes(kind: str, folder: Path) -> None:
    labels = np.array([111, 312, 523], np.uint16)[blobs(3)]
    write_tiff(folder / "labels.tif", labels[None], nodata=65535)
    found = class_indices(kind, folder, legend_of(2), classes={111: 0, 312: 1, 523: 1})
    np.testing.assert_array_equal(found, labels > 111)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ({"crs": "EPSG:32633"}, "its CRS is EPSG:32633, not EPSG:32632"),
        ({"transform": Affine(0.5, 0, 500000.2, 0, -0.5, 5400000)}, "its corner lies 0 rows and 0.4 columns off"),
        ({"transform": Affine(0.6, 0, 500000, 0, -0.6, 5400000)}, "its pixels are 0.6 x 0.6, not 0.5 x 0.5"),
        ({"transform": Affine(0.5, 0.1, 500000, 0, -0.5, 5400000)}, "its pixels are"),
    ],
)
def test_labels_on_another_grid_are_refused(kind: str, profile: dict[str, Any], words: str, folder: Path) -> None:
    write_tiff(folder / "labels.tif", blobs()[None], **profile)
    with pytest.raises(SceneError, match=rf"labels\.tif: it is not on the grid of the image: {words}"):
        class_indices(kind, folder)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_whose_rows_run_northwards_are_read_in_order(kind: str, folder: Path) -> None:
    labels = blobs()
    write_tiff(folder / "labels.tif", labels[None, ::-1], transform=SOUTH_UP)
    np.testing.assert_array_equal(class_indices(kind, folder), labels)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_of_a_larger_ground_are_cut(kind: str, folder: Path) -> None:
    larger = codes_in_blobs((60, 80), 2, 3)
    write_tiff(folder / "labels.tif", larger[None], transform=UTM * Affine.translation(-7, -4))
    np.testing.assert_array_equal(class_indices(kind, folder), larger[4 : 4 + SHAPE[0], 7 : 7 + SHAPE[1]])
    smaller = blobs()[:, :-1]
    write_tiff(folder / "labels.tif", smaller[None])
    with pytest.raises(SceneError, match="it has 45 x 62 pixels, not 45 x 63"):
        class_indices(kind, folder)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_that_give_no_class_are_refused(kind: str, folder: Path) -> None:
    write_tiff(folder / "labels.tif", np.full((1, *SHAPE), 255, np.uint8), nodata=255)
    with pytest.raises(SceneError, match=r"labels\.tif: it gives no pixel of .* a class"):
        class_indices(kind, folder)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("codes", ["values", "nonzero"])
def test_fractions_are_no_classes(kind: str, codes: str, folder: Path) -> None:
    write_tiff(folder / "labels.tif", blobs().astype(np.float32)[None])
    np.testing.assert_array_equal(class_indices(kind, folder, codes=codes), blobs())
    write_tiff(folder / "labels.tif", blobs().astype(np.float32)[None] * 0.7)
    with pytest.raises(SceneError, match=r"labels\.tif: it holds the value 0\.7.*whole numbers"):
        class_indices(kind, folder, codes=codes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_no_labels(kind: str, folder: Path) -> None:
    key = "masks" if kind == "folders" else "labels"
    write_tiff(folder / "labels.tif", picture(SHAPE, 3).transpose(2, 0, 1), photometric="RGB")
    with pytest.raises(SceneError, match=r"labels\.tif: it has 3 bands \(red, green, blue\) and no class codes"):
        class_indices(kind, folder, codes="nonzero")
    write_tiff(folder / "image.tif", picture(SHAPE)[None, ..., 0])
    with pytest.raises(SceneError, match=r"image\.tif: it is the image itself"):
        class_indices(kind, folder, codes="nonzero", **{key: "image.tif"})


@pytest.mark.parametrize("kind", ["files", "georeferenced"])
@pytest.mark.parametrize(("name", "crs"), [("labels.gpkg", 32632), ("labels.gpkg", 4326), ("labels.geojson", 4326)])
def test_polygons_cover_the_pixels_whose_centres_they_hold(kind: str, name: str, crs: int, folder: Path) -> None:
    boxes = [shapely.box(500005, 5399990, 500010, 5399995), shapely.box(500020, 5399985, 500025, 5399999)]
    frame = geopandas.GeoDataFrame({"kind": [1, 2]}, geometry=boxes, crs=32632)
    frame.to_crs(crs).to_file(folder / name)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    east, north = 500000.25 + 0.5 * x, 5399999.75 - 0.5 * y
    expected = np.zeros(SHAPE, int)
    expected[(east > 500005) & (east < 500010) & (north > 5399990) & (north < 5399995)] = 1
    expected[(east > 500020) & (east < 500025) & (north > 5399985) & (north < 5399999)] = 2
    found = class_indices(kind, folder, legend_of(3), labels=name, attribute="kind")
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(class_indices(kind, folder, labels=name), expected > 0)
    with pytest.raises(SceneError, match="no field 'colour'"):
        class_indices(kind, folder, labels=name, attribute="colour")


@pytest.mark.parametrize("kind", ["files", "georeferenced"])
@pytest.mark.parametrize("name", ["absent.gpkg", "absent.tif"])
def test_labels_that_are_not_there_are_named(kind: str, name: str, folder: Path) -> None:
    with pytest.raises(SceneError, match=name):
        class_indices(kind, folder, labels=name)


def test_rows_of_a_file_are_those_rows(folder: Path) -> None:
    labels = blobs(3)
    write_tiff(folder / "labels.tif", labels[None])
    found = class_indices("files", folder, legend_of(3), train=[7, 31])
    np.testing.assert_array_equal(found, labels[7:31])


@pytest.mark.parametrize(
    "keys", [{"attribute": "kind"}, {"outside": "ignore"}, {"labels": "labels.gpkg", "labels_nodata": 0}]
)
def test_keys_of_the_other_kind_of_labels_are_refused(keys: dict[str, Any], folder: Path) -> None:
    with pytest.raises((GeosegError, ValueError), match="for (polygons|rasters)"):
        class_indices("files", folder, **keys)


def test_a_label_that_is_no_code_is_named(folder: Path) -> None:
    write_tiff(folder / "labels.tif", blobs(3)[None])
    with pytest.raises(UsageError, match=r"labels\.tif: labels \[2\] are no codes of the legend \(0, 1\)"):
        class_indices("files", folder)
