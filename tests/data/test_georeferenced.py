"""Any georeferenced scene with labels of any kind is read as rasterio and the rules of burning would read it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from rasterio.features import rasterize
from rasterio.warp import Resampling, reproject
from written_sets import TWO, UTM, codes_in_blobs, legend_of, picture, whole, write_tiff

from geoseg.core.window import Window
from geoseg.data.labelled import UNLABELLED, read_source
from geoseg.data.sources.georeferenced import GeoreferencedSource
from geoseg.errors import SceneError, UsageError

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
ALL = {"by": "none", "all": "train"}


def _source(**keys: Any) -> GeoreferencedSource:
    facts = {"kind": "georeferenced", "name": "s", "licence": "CC0", "images": "scene.tif", "split": ALL}
    return GeoreferencedSource.model_validate(facts | keys)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiled scene of 130 x 170 px with nodata, its codes, and polygons of two kinds in degrees."""
    pixels = picture((130, 170)).transpose(2, 0, 1).copy()
    pixels[:, 40:50, 60:90] = 0
    write_tiff(tmp_path / "scene.tif", pixels, nodata=0, tiled=True, blockxsize=64, blockysize=64, photometric="RGB")
    write_tiff(tmp_path / "codes.tif", codes_in_blobs((130, 170), 3)[None], compress="deflate")
    polygons = [
        shapely.Polygon([(500003.1, 5399995.3), (500030.2, 5399990.1), (500020.7, 5399950.4)]),
        shapely.Polygon([(500040.3, 5399985.3), (500070.2, 5399980.1), (500060.7, 5399940.4)]),
        shapely.box(500050, 5399990, 500080, 5399998),
    ]
    frame = geopandas.GeoDataFrame(
        {"kind": ["house", "shed", "pond"], "number": [1, 2, 7]}, geometry=polygons, crs="EPSG:32632"
    )
    frame.to_crs("EPSG:4326").to_file(tmp_path / "things.gpkg")
    frame.to_crs("EPSG:3857").to_parquet(tmp_path / "things.parquet")
    frame.to_file(tmp_path / "things_utm.geojson")
    return tmp_path


def _one(source: GeoreferencedSource, folder: Path, legend: Any = TWO) -> Any:
    (scene,) = read_source(source, "train", folder, legend)
    return scene


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_window_is_the_same_part_of_the_whole_file(folder: Path, data: st.DataObject) -> None:
    cache_mb = data.draw(st.sampled_from([0, 1, 64]))
    scene = _one(_source(labels="codes.tif", cache_mb=cache_mb), folder, legend_of(3))
    with rasterio.open(folder / "scene.tif") as file, rasterio.open(folder / "codes.tif") as labels:
        pixels, valid, codes = file.read(), file.read_masks(1) > 0, labels.read(1)
    for _ in range(4):
        top, left = data.draw(st.integers(0, 129)), data.draw(st.integers(0, 169))
        window = Window(top, data.draw(st.integers(top + 1, 130)), left, data.draw(st.integers(left + 1, 170)))
        sample = scene.read(window)
        np.testing.assert_array_equal(sample.valid, valid[window.slices])
        np.testing.assert_array_equal(sample.values, pixels[:, *window.slices])
        np.testing.assert_array_equal(
            sample.class_indices, np.where(valid[window.slices], codes[window.slices], UNLABELLED)
        )


def test_missing_pixels_have_no_class(folder: Path) -> None:
    scene = _one(_source(labels="codes.tif"), folder, legend_of(3))
    assert (whole(scene)[40:50, 60:90] == UNLABELLED).all()
    assert (whole(scene) == UNLABELLED).sum() == 10 * 30
    assert scene.gsd_m == pytest.approx(0.5, rel=1e-3)


@pytest.mark.parametrize("file", ["things.gpkg", "things.parquet", "things_utm.geojson"])
@pytest.mark.parametrize("all_touched", [False, True])
def test_polygons_of_any_crs_are_burnt_by_the_rule_asked_for(folder: Path, file: str, *, all_touched: bool) -> None:
    classes = {"house": 1, "shed": 2, "pond": "ignore"}
    source = _source(labels=file, attribute="kind", classes=classes, all_touched=all_touched)
    found = whole(_one(source, folder, legend_of(3)))
    frame = geopandas.read_file(folder / "things_utm.geojson")
    shapes = zip(frame.geometry, (1, 2, UNLABELLED), strict=True)
    expected = rasterize(shapes, (130, 170), transform=UTM, all_touched=all_touched, dtype="uint8")
    expected[40:50, 60:90] = UNLABELLED
    # coordinates went through degrees and back: pixel centres on an edge may fall to either side
    assert (found != expected).mean() < 2e-3
    assert {1, 2, UNLABELLED, 0} == set(np.unique(found))


def test_touched_pixels_are_more_than_those_whose_centre_lies_inside(folder: Path) -> None:
    few, many = (
        whole(_one(_source(labels="things_utm.geojson", all_touched=touched), folder)) == 1 for touched in (False, True)
    )
    assert (few & ~many).sum() == 0
    assert many.sum() > few.sum() + 50


def test_numbers_in_an_attribute_are_classes_too_and_others_are_named(folder: Path) -> None:
    found = whole(_one(_source(labels="things.gpkg", attribute="number", classes={1: 1, 2: 1, 7: 0}), folder))
    assert set(np.unique(found)) == {0, 1, UNLABELLED}
    listed = {"labels": "things.gpkg", "attribute": "number", "classes": {1: 1, 2: 1}}
    with pytest.raises(UsageError, match=r"things.gpkg: number '7' is none of 1, 2"):
        whole(_one(_source(**listed), folder))
    ignored = whole(_one(_source(**listed, others="ignore"), folder))
    outside = whole(_one(_source(**listed, others=0, outside="ignore"), folder))
    pond = (slice(4, 20), slice(100, 160))
    assert (ignored[pond] == UNLABELLED).all()
    assert (outside[pond] == 0).all()
    assert outside[-1, -1] == UNLABELLED


def test_polygons_without_an_attribute_are_code_1(folder: Path) -> None:
    assert set(np.unique(whole(_one(_source(labels="things.gpkg"), folder)))) == {0, 1, UNLABELLED}


def test_raster_labels_in_another_crs_are_resampled_only_when_asked(folder: Path) -> None:
    codes = codes_in_blobs((130, 170), 3)
    degrees = Affine(3.4e-6, 0, 8.99995, 0, -2.2e-6, 48.75306)
    other = np.zeros((400, 500), np.uint8)
    reproject(
        codes,
        other,
        src_transform=UTM,
        src_crs="EPSG:32632",
        dst_transform=degrees,
        dst_crs="EPSG:4326",
        resampling=Resampling.nearest,
        dst_nodata=255,
    )
    write_tiff(folder / "degrees.tif", other[None], crs="EPSG:4326", transform=degrees, nodata=255)
    with pytest.raises(
        SceneError,
        match=r"degrees.tif: it is not on the grid of the image: its CRS is EPSG:4326, not EPSG:32632.*resample: true",
    ):
        whole(_one(_source(labels="degrees.tif"), folder, legend_of(3)))
    found = whole(_one(_source(labels="degrees.tif", resample=True), folder, legend_of(3)))
    known = found != UNLABELLED
    assert known.mean() > 0.9
    assert (found == codes)[known].mean() > 0.9


def test_labels_are_mapped_and_what_is_ignored_has_no_class(folder: Path) -> None:
    codes = codes_in_blobs((130, 170), 3)
    found = whole(_one(_source(labels="codes.tif", classes={0: 1, 1: "ignore", 2: 0}), folder))
    expected = np.array([1, UNLABELLED, 0], np.uint8)[codes]
    expected[40:50, 60:90] = UNLABELLED
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(UsageError, match=r"codes.tif: label 2 is none of 0, 1"):
        whole(_one(_source(labels="codes.tif", classes={0: 1, 1: 0}), folder))
    with pytest.raises(UsageError, match=r"codes.tif: labels \[2\] are no codes of the legend"):
        whole(_one(_source(labels="codes.tif"), folder))


def test_numbers_of_objects_become_one_class(tmp_path: Path) -> None:
    write_tiff(tmp_path / "scene.tif", picture((40, 40)).transpose(2, 0, 1))
    objects = (codes_in_blobs((40, 40), 5).astype(np.uint16) * 300)[None]
    write_tiff(tmp_path / "objects.tif", objects)
    found = whole(_one(_source(labels="objects.tif", codes="nonzero"), tmp_path))
    np.testing.assert_array_equal(found, objects[0] > 0)


def test_bands_are_chosen_by_name_or_number_and_scaled(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 12000, (4, 30, 50)).astype(np.uint16)
    path = write_tiff(tmp_path / "scene.tif", values, nodata=0)
    with rasterio.open(path, "r+") as file:
        for band, name in enumerate(("blue", "green", "red", "nir"), start=1):
            file.set_band_description(band, name)
    write_tiff(tmp_path / "codes.tif", codes_in_blobs((30, 50), 2)[None])
    with pytest.raises(SceneError, match=r"uint16 pixels, .*value_range: \[LOW, HIGH\]"):
        _one(_source(labels="codes.tif"), tmp_path)
    scene = _one(_source(labels="codes.tif", bands=["nir", 3], value_range=[500, 10000]), tmp_path)
    found = scene.read(Window.whole(scene.shape))
    expected = np.clip((values[[3, 2]].astype(float) - 500) / 9500, 0, 1)
    np.testing.assert_allclose(found.values, expected * found.valid, atol=1e-6)
    each = _one(_source(labels="codes.tif", bands=["nir", "red"], value_range=[[0, 1e4], [500, 1e4]]), tmp_path)
    np.testing.assert_allclose(each.values[0], np.clip(values[3] / 1e4, 0, 1) * each.valid, atol=1e-6)
    with pytest.raises(SceneError, match=r"it has no band swir16. Its bands are 1 \(blue\)"):
        _one(_source(labels="codes.tif", bands=["swir16"], value_range=[0, 1]), tmp_path)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"labels": "a.tif", "attribute": "kind"}, "a.tif is a raster"),
        ({"labels": "a.gpkg", "resample": True}, "a.gpkg holds polygons"),
        ({"labels": "a.gpkg", "classes": {"house": 1}}, "need attribute"),
        ({"labels": "a.tif", "classes": {"#ff0000": 1, "2": 1}}, "colours and other labels"),
        ({"labels": "a.tif", "classes": {"#ff00": 1}}, "no colour #rrggbb"),
        ({"labels": "a.tif", "classes": {}}, "lists nothing"),
        ({"labels": "a.tif", "split": {"by": "rows"}}, "one of the two"),
        ({"labels": "a.tif", "split": {"by": "names", "train": ["a"], "validate_on": ["a"]}}, "both sides"),
        ({"labels": "a.tif", "guard_px": 0}, "greater than or equal to 1"),
        ({"labels": "a.tif", "split": {"by": "colour"}}, "by"),
    ],
)
def test_keys_that_do_not_fit_are_refused(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        _source(**keys)


def test_files_that_are_not_there_and_scenes_that_lie_nowhere_are_named(folder: Path) -> None:
    with pytest.raises(SceneError, match=r"absent.tif: there is no such file"):
        _one(_source(images="absent.tif", labels="codes.tif"), folder)
    write_tiff(folder / "lost.tif", picture((130, 170)).transpose(2, 0, 1), crs=None, transform=None)
    with pytest.raises(SceneError, match=r"lost.tif: it has no CRS. Give assume_crs"):
        _one(_source(images="lost.tif", labels="codes.tif"), folder)
    with pytest.raises(UsageError, match="one \\* in the last part"):
        _one(_source(images="*/*.tif", labels="codes.tif"), folder)


def test_a_scene_travels_without_its_pixels(folder: Path) -> None:
    scene = _one(_source(labels="things.gpkg"), folder)
    class_indices = whole(scene)
    packed = pickle.dumps(scene)
    assert len(packed) < 20_000
    np.testing.assert_array_equal(whole(pickle.loads(packed)), class_indices)  # noqa: S301 - our own


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
@pytest.mark.parametrize(
    ("image", "keys", "share"),
    [
        ("banepa/banepa_train_rgb.tif", {"labels": "banepa/banepa_train_buildings.gpkg"}, (0.05, 0.6)),
        (
            "geotiffs/spacenet_atlanta_pan_u16_utm16n.tif",
            {"labels": "geotiffs/spacenet_atlanta_buildings.gpkg", "value_range": [0, 2000]},
            (0.001, 0.5),
        ),
        (
            "geotiffs/s2_denmark_rgb_u16_utm32n.tif",
            {"labels": "geotiffs/s2_denmark_fields.gpkg", "value_range": [0, 4000]},
            (0.3, 1.0),
        ),
        (
            "geotiffs/s2_rachel_carson_8band_u8_4326.tif",
            {
                "labels": "geotiffs/s2_rachel_carson_landcover_polygons.gpkg",
                "attribute": "Classvalue",
                "classes": {"2253": 0, "2360": 1, "2260": 1},
                "others": "ignore",
                "outside": "ignore",
                # its labels lie in the first quarter of the rows, and a side without any is refused
                "split": {"by": "rows", "validate_share": 0.8},
            },
            (0.05, 1.0),
        ),
    ],
    ids=lambda value: Path(value).stem if isinstance(value, str) else "",
)
def test_real_scenes_with_polygons(image: str, keys: dict[str, Any], share: tuple[float, float]) -> None:
    split = {"by": "rows", "validate_share": 0.25}
    source = _source(**{"images": image, "split": split, "guard_px": 8} | keys)
    sides = [read_source(source, side, DATA, TWO) for side in ("train", "validate")]
    (train,), (held_out,) = sides
    assert held_out.window.row_start - train.window.row_stop == 8
    counted = np.bincount(whole(train).ravel(), minlength=256)
    assert counted[1]
    assert share[0] <= counted[1] / counted[:2].sum() <= share[1]


@pytest.mark.parametrize("described", [True, False])
def test_four_bands_are_learnt_from_though_writers_tag_the_fourth_as_alpha(folder: Path, described: bool) -> None:
    pixels = np.concatenate([picture((130, 170)).transpose(2, 0, 1), np.zeros((1, 130, 170), np.uint8)])
    pixels[3, 30:] = 90
    write_tiff(folder / "scene.tif", pixels)
    if described:
        with rasterio.open(folder / "scene.tif", "r+") as file:
            file.descriptions = ("red", "green", "blue", "nir")
    else:
        with pytest.raises(SceneError, match="alpha: no"):
            _one(_source(labels="codes.tif", bands=[1, 2, 3, 4]), folder, legend_of(3))
        assert not _one(_source(labels="codes.tif"), folder, legend_of(3)).valid[:30].any()
    alpha = {} if described else {"alpha": False}  # as YAML reads "no"
    scene = _one(_source(labels="codes.tif", bands=[1, 2, 3, 4], **alpha), folder, legend_of(3))
    np.testing.assert_array_equal(scene.values, pixels)
    assert scene.valid.all()


def test_a_collar_without_a_tag_has_no_class_when_told(folder: Path) -> None:
    pixels = picture((130, 170)).transpose(2, 0, 1).copy()
    pixels[:, :, :20] = 255
    write_tiff(folder / "scene.tif", pixels, photometric="RGB")
    assert (_one(_source(labels="codes.tif"), folder, legend_of(3)).class_indices[:, :20] != UNLABELLED).all()
    scene = _one(_source(labels="codes.tif", nodata=255), folder, legend_of(3))
    assert (scene.class_indices[:, :20] == UNLABELLED).all()
    assert scene.valid[:, 20:].mean() > 0.99
