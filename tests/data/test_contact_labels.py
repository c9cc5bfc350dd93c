"""The pixels between two objects have a code of their own in training, and in training alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from written_sets import TWO, UTM, legend_of, picture, whole, write_tiff

from geoseg.core.window import Window
from geoseg.data.labelled import UNLABELLED, read_source
from geoseg.data.sources.files import FileSource
from geoseg.data.sources.georeferenced import GeoreferencedSource
from geoseg.errors import SceneError, UsageError

SHAPE = (96, 120)
BOXES = [(10, 40, 10, 50), (10, 40, 50, 80), (43, 70, 20, 60), (80, 90, 100, 110)]
"""Rows and columns: the first two touch, the third is three rows below, the last is alone."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene with four objects, as a raster of their numbers and as polygons."""
    place = tmp_path_factory.mktemp("contacts")
    write_tiff(
        place / "scene.tif",
        picture(SHAPE).transpose(2, 0, 1),
        tiled=True,
        blockxsize=32,
        blockysize=32,
        photometric="RGB",
    )
    numbers = np.zeros(SHAPE, np.int32)
    shapes = []
    for number, (top, bottom, left, right) in enumerate(BOXES, start=1):
        numbers[top:bottom, left:right] = 10 * number
        shapes.append(shapely.box(*(UTM * (left, bottom)), *(UTM * (right, top))))
    write_tiff(place / "numbers.tif", numbers[None])
    frame = geopandas.GeoDataFrame({"kind": ["house"] * 3 + ["pond"]}, geometry=shapes, crs="EPSG:32632")
    frame.to_file(place / "houses.gpkg")
    return place


def _source(**keys: Any) -> GeoreferencedSource:
    facts: dict[str, Any] = {"kind": "georeferenced", "name": "s", "licence": "CC0", "images": "scene.tif"}
    facts |= {"split": {"by": "none", "all": "train"}}
    return GeoreferencedSource.model_validate(facts | keys)


def _read(source: GeoreferencedSource, folder: Path, legend: Any = TWO) -> Any:
    (scene,) = read_source(source, "train", folder, legend)
    return scene


def _expected(within: float, code: int) -> np.ndarray:
    """Distances to all four boxes, by their formula."""
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    away = []
    for top, bottom, left, right in BOXES:
        down = np.maximum(0, np.maximum(top - rows, rows - bottom + 1))
        across = np.maximum(0, np.maximum(left - cols, cols - right + 1))
        away.append(np.hypot(down, across))
    nearest = np.sort(np.stack(away), axis=0)
    labels = (nearest[0] == 0).astype(np.uint8)
    labels[nearest[0] + nearest[1] <= within] = code
    return labels


@pytest.mark.parametrize(("within", "code"), [(1, 0), (2, 0), (4, 0), (4, 2), (6.5, "ignore")])
def test_numbers_and_polygons_give_the_same_ground_between_objects(
    folder: Path, within: float, code: int | str
) -> None:
    contact = {"within_px": within, "code": code}
    expected = _expected(within, UNLABELLED if code == "ignore" else int(code))
    for labels in ({"labels": "numbers.tif", "codes": "nonzero"}, {"labels": "houses.gpkg"}):
        found = whole(_read(_source(contact=contact, **labels), folder, legend_of(3)))
        np.testing.assert_array_equal(found, expected)
    assert (expected != _expected(0, 0)).any()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_what_is_read_does_not_depend_on_the_window(folder: Path, data: st.DataObject) -> None:
    labels = data.draw(st.sampled_from([{"labels": "numbers.tif", "codes": "nonzero"}, {"labels": "houses.gpkg"}]))
    scene = _read(_source(contact={"within_px": 5}, cache_mb=0, **labels), folder)
    top, left = data.draw(st.integers(0, 95)), data.draw(st.integers(0, 119))
    window = Window(top, data.draw(st.integers(top + 1, 96)), left, data.draw(st.integers(left + 1, 120)))
    np.testing.assert_array_equal(scene.read(window).class_indices, _expected(5, 0)[window.slices])


def test_a_polygon_that_is_ground_is_no_object(folder: Path) -> None:
    classes = {"house": 1, "pond": 0}
    found = whole(_read(_source(labels="houses.gpkg", attribute="kind", classes=classes, contact={}), folder))
    assert not found[80:90, 100:110].any()
    assert found[20, 20] == 1
    assert not found[20, 49:51].any()


def test_scores_are_computed_with_the_labels_as_they_are(folder: Path) -> None:
    source = FileSource(
        name="s",
        licence="CC0",
        image="scene.tif",
        labels="numbers.tif",
        codes="nonzero",
        train=(0, 42),
        validate_on=(42, 96),
        contact={"within_px": 4},
    )
    learnt, scored = (read_source(source, side, folder, TWO)[0].class_indices for side in ("train", "validate"))
    np.testing.assert_array_equal(learnt, _expected(4, 0)[:42])
    np.testing.assert_array_equal(scored, _expected(0, 0)[42:])
    assert (learnt != _expected(0, 0)[:42]).any()


def test_what_has_no_objects_or_no_such_code_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="codes: nonzero"):
        _source(labels="numbers.tif", contact={})
    with pytest.raises(ValidationError, match="leave codes: nonzero out"):
        _source(labels="houses.gpkg", codes="nonzero", contact={})
    with pytest.raises(UsageError, match="code 7 is none of the legend's"):
        _read(_source(labels="houses.gpkg", contact={"code": 7}), folder)
    with rasterio.open(folder / "numbers.tif") as file:
        numbers = file.read()
    numbers[0, 20, 20] = -3
    write_tiff(tmp_path / "numbers.tif", numbers)
    (tmp_path / "scene.tif").symlink_to(folder / "scene.tif")
    with pytest.raises(SceneError, match="-3 is no number of an object"):
        whole(_read(_source(labels="numbers.tif", codes="nonzero", contact={}), tmp_path))
