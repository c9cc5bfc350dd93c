"""Vector labels of training: the pixels that they cover, or a refusal; nothing is learnt from nothing."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from pydantic import ValidationError
from rasterio.features import rasterize
from written_sets import TWO, UTM, picture, whole, write_tiff

from geoseg.data.labelled import read_source
from geoseg.data.sources.georeferenced import GeoreferencedSource
from geoseg.errors import ElsewhereError, SceneError

ALL = {"by": "none", "all": "train"}
SHAPE = (130, 170)
BOXES = [shapely.box(500005.1 + 15 * k, 5399950.1, 500012.1 + 15 * k, 5399960.1) for k in range(5)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tiff(tmp_path / "scene.tif", picture(SHAPE).transpose(2, 0, 1))
    return tmp_path


def frame_of(shapes: list[Any], crs: Any = "EPSG:32632") -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame({"kind": [1] * len(shapes)}, geometry=shapes, crs=crs)


def _source(**keys: Any) -> GeoreferencedSource:
    facts = {"kind": "georeferenced", "name": "s", "licence": "CC0", "images": "scene.tif", "split": ALL}
    return GeoreferencedSource.model_validate(facts | keys)


def labels(folder: Path, name: str, **keys: Any) -> np.ndarray[Any, Any]:
    return whole(read_source(_source(labels=name, **keys), "train", folder, TWO)[0])


@pytest.mark.parametrize("name", ["nocrs.shp", "zone.geojson", "lines.geojson", "points.gpkg", "empty.gpkg"])
def test_labels_that_are_not_on_the_image_are_refused(folder: Path, name: str) -> None:
    frame = frame_of(BOXES)
    made = {
        "nocrs.shp": frame.to_crs(4326).set_crs(None, allow_override=True),
        "zone.geojson": frame.set_crs(32633, allow_override=True),
        "lines.geojson": frame_of([shapely.LineString(box.exterior) for box in BOXES]),
        "points.gpkg": frame_of([box.centroid for box in BOXES]),
        "empty.gpkg": frame.iloc[:0],
    }[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made.to_file(folder / name)
    with pytest.raises(SceneError, match=name):
        labels(folder, name)


def test_collections_and_layers_are_read(folder: Path) -> None:
    line = shapely.LineString([(500000, 5399950), (500080, 5399999)])
    frame_of([shapely.GeometryCollection([box, line]) for box in BOXES]).to_file(folder / "a.gpkg", layer="roofs")
    frame_of([shapely.box(500000, 5399900, 500090, 5400000)]).to_file(folder / "a.gpkg", layer="area")
    with pytest.raises(SceneError, match="2 layers: roofs, area"):
        labels(folder, "a.gpkg")
    expected = rasterize(BOXES, SHAPE, transform=UTM)
    np.testing.assert_array_equal(labels(folder, "a.gpkg:roofs"), expected)
    np.testing.assert_array_equal(labels(folder, "a.gpkg:roofs", attribute="kind"), expected)


def test_lines_are_widened_by_metres_where_the_recipe_says_so(folder: Path) -> None:
    roads = [shapely.LineString([(500000, 5399940), (500085, 5399990)])]
    frame_of(roads).to_crs(4326).to_file(folder / "roads.geojson")
    with pytest.raises(SceneError, match="buffer_m in the recipe"):
        labels(folder, "roads.geojson")
    expected = rasterize([roads[0].buffer(4)], SHAPE, transform=UTM)
    found = labels(folder, "roads.geojson", buffer_m=4)
    assert (found != expected).sum() <= 5
    assert found.sum() > 2500
    with pytest.raises(ValidationError, match="buffer_m and may_be_empty are for vector files"):
        _source(labels="codes.tif", buffer_m=4)


def test_an_empty_file_is_background_only_where_the_recipe_says_so(folder: Path) -> None:
    frame_of(BOXES).iloc[:0].to_file(folder / "none.gpkg")
    assert set(np.unique(labels(folder, "none.gpkg", may_be_empty=True))) == {0}
    frame_of(BOXES, "EPSG:32633").to_file(folder / "zone.gpkg")
    with pytest.raises(ElsewhereError):
        labels(folder, "zone.gpkg", may_be_empty=True)


def test_one_file_for_many_scenes_has_to_surround_each(folder: Path) -> None:
    """A scene between the polygons is background; one beyond them is refused."""
    write_tiff(folder / "next.tif", picture(SHAPE).transpose(2, 0, 1), transform=UTM * Affine.translation(170, 0))
    source = _source(images=["scene.tif", "next.tif"], labels="a.gpkg")
    frame_of([*BOXES, shapely.affinity.translate(BOXES[0], 400, 0)]).to_file(folder / "a.gpkg")
    first, second = (whole(part) for part in read_source(source, "train", folder, TWO))
    np.testing.assert_array_equal(first, rasterize(BOXES, SHAPE, transform=UTM))
    assert not second.any()
    frame_of(BOXES).to_file(folder / "a.gpkg")
    with pytest.raises(ElsewhereError, match="lies on the image"):
        [whole(part) for part in read_source(source, "train", folder, TWO)]


@pytest.mark.parametrize("key", ["validate_on", "train"])
def test_areas_of_a_split_name_their_layer_and_lie_on_an_image(folder: Path, key: str) -> None:
    write_tiff(folder / "codes.tif", np.zeros((1, *SHAPE), np.uint8))
    frame_of([shapely.box(500000, 5399980, 500085, 5400000)]).to_file(folder / "a.gpkg", layer="top")
    frame_of([shapely.box(500000, 5399935, 500085, 5399950)]).to_file(folder / "a.gpkg", layer="bottom")
    split = {"by": "area", "validate_on": "a.gpkg:top", "train": "a.gpkg:bottom", "cell_px": 16}
    source = _source(labels="codes.tif", split=split, guard_px=4)
    (part,) = read_source(source, "validate", folder, TWO)
    assert (part.window.row_start, part.window.row_stop) == (0, round(3 * 130 / 8))
    with pytest.raises(SceneError, match="2 layers: top, bottom"):
        read_source(_source(labels="codes.tif", split=split | {key: "a.gpkg"}), "validate", folder, TWO)
    frame_of([shapely.box(500000, 5399980, 500085, 5400000)], "EPSG:32633").to_file(folder / "far.gpkg")
    with pytest.raises(ElsewhereError, match=r"far\.gpkg.*on an image"):
        read_source(_source(labels="codes.tif", split=split | {"validate_on": "far.gpkg"}), "validate", folder, TWO)
