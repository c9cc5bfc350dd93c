"""``kind: torchgeo``: torchgeo's data sets as sources, in small folders of their own layouts."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pydantic import TypeAdapter
from rasterio.transform import from_origin
from written_sets import legend_of as plain_legend
from written_sets import picture, save, write_tiff

from geoseg.core.deepglobe_legend import DEEPGLOBE
from geoseg.core.isprs_legend import TOWN_LEGEND
from geoseg.core.legend import Legend
from geoseg.core.window import Window
from geoseg.data.labelled import UNLABELLED, read_source
from geoseg.data.labelled_scene import LabelledScene
from geoseg.data.sources.kinds import Source
from geoseg.data.sources.model import SourceModel
from geoseg.data.torchgeo_set import legend_of, set_class
from geoseg.errors import SceneError, UsageError
from geoseg.training.recipe import Recipe

ISPRS = {  # torchgeo's names to the codes of the recipe's legend
    "Clutter/background": "clutter", "Impervious surfaces": "impervious surface", "Building": "building",
    "Low Vegetation": "low vegetation", "Tree": "tree", "Car": "car",
}  # fmt: skip


def source(**keys: Any) -> SourceModel:
    found: SourceModel = TypeAdapter(Source).validate_python({"name": "s", "licence": "CC0", "folder": "."} | keys)
    return found


def coloured(shape: tuple[int, int], legend: Legend, seed: int) -> np.ndarray:
    """An image of all classes' colours in squares of 8 px."""
    cells = np.random.default_rng(seed).integers(0, len(legend), (shape[0] // 8 + 1, shape[1] // 8 + 1))
    colours = np.array([entry.rgb for entry in legend.classes], np.uint8)[cells]
    return np.kron(colours, np.ones((8, 8, 1), np.uint8))[: shape[0], : shape[1]]


def isprs_codes() -> dict[str, int]:
    ours = {entry.name: entry.code for entry in TOWN_LEGEND.classes}
    return {theirs: ours[name] for theirs, name in ISPRS.items()}


def assert_same(ours: list[LabelledScene], theirs: list[LabelledScene], *, off: int = 0) -> None:
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        assert one.values.dtype == other.values.dtype
        assert int(np.abs(one.values.astype(int) - other.values).max()) <= off
        np.testing.assert_array_equal(one.valid, other.valid)
        np.testing.assert_array_equal(one.class_indices, other.class_indices)


def test_vaihingen_is_read_as_by_its_own_kind(tmp_path: Path) -> None:
    for area, shape in (("1", (40, 56)), ("11", (64, 48)), ("2", (48, 48))):  # 2 is held out
        save(tmp_path / f"top/top_mosaic_09cm_area{area}.tif", picture(shape, seed=int(area)))
        save(tmp_path / f"top_mosaic_09cm_area{area}.tif", coloured(shape, TOWN_LEGEND, int(area)))
    ours = source(kind="vaihingen", split={"by": "published", "complete": False})
    theirs = source(kind="torchgeo", dataset="Vaihingen2D", classes=isprs_codes())
    for side, count in (("train", 2), ("validate", 1)):
        found = read_source(theirs, side, tmp_path, TOWN_LEGEND)  # type: ignore[arg-type]
        assert len(found) == count
        assert_same(read_source(ours, side, tmp_path, TOWN_LEGEND), found)  # type: ignore[arg-type]


def test_potsdam_is_read_as_by_its_own_kind(tmp_path: Path) -> None:
    for tile in ("2_10", "2_13"):
        rgbir = np.moveaxis(np.concatenate([picture((40, 56), seed=3), picture((40, 56), seed=4)[..., :1]], -1), -1, 0)
        write_tiff(tmp_path / f"4_Ortho_RGBIR/top_potsdam_{tile}_RGBIR.tif", rgbir, photometric="MINISBLACK")
        label = np.moveaxis(coloured((40, 56), TOWN_LEGEND, len(tile)), -1, 0)
        write_tiff(tmp_path / f"top_potsdam_{tile}_label.tif", label)
    ours = source(kind="potsdam", images="RGBIR", split={"by": "published", "complete": False})
    theirs = source(kind="torchgeo", dataset="Potsdam2D", classes=isprs_codes())
    for side in ("train", "validate"):
        assert_same(*(read_source(each, side, tmp_path, TOWN_LEGEND) for each in (ours, theirs)))  # type: ignore[arg-type]


def test_deepglobe_is_read_as_by_its_own_kind(tmp_path: Path) -> None:
    for folder, numbers in (("training_data", (7, 9)), ("test_data", (8,))):
        for number in numbers:
            save(tmp_path / f"data/{folder}/images/{number}_sat.jpg", picture((48, 64), seed=number), subsampling=0)
            save(tmp_path / f"data/{folder}/masks/{number}_mask.png", coloured((48, 64), DEEPGLOBE, number))
    ours = source(kind="deepglobe", split={"by": "names", "validate_on": ["8"]})
    theirs = source(kind="torchgeo", dataset="DeepGlobeLandCover")  # classes by their names
    for side in ("train", "validate"):
        found = [read_source(each, side, tmp_path, DEEPGLOBE) for each in (ours, theirs)]  # type: ignore[arg-type]
        assert_same(*found, off=1)  # JPEG, decoded by GDAL and by Pillow


def test_classes_and_colours_are_the_data_sets() -> None:
    legend = legend_of("DeepGlobeLandCover")
    assert legend.names[0] == "Urban land"
    assert [entry.rgb for entry in legend.classes] == list(set_class("DeepGlobeLandCover").colormap)
    assert [entry.colour for entry in legend_of("LandCoverAI").classes][1] == "#614a4a"
    with pytest.raises(UsageError, match="does not say"):
        legend_of("InriaAerialImageLabeling")


def ground(folder: Path, *, shift_px: int = 0, name: str = "a") -> tuple[np.ndarray, np.ndarray]:
    """One 16-bit image of four bands and its mask, georeferenced, in folders of their own."""
    rng = np.random.default_rng(shift_px)
    image = rng.integers(1, 9000, (4, 96, 640)).astype(np.uint16)
    mask = rng.integers(0, 3, (1, 96, 640)).astype(np.uint8)
    place = {"crs": "EPSG:32633", "transform": from_origin(500_000 + 10 * shift_px, 5_000_000, 10, 10)}
    write_tiff(folder / f"images/{name}.tif", image, **place)
    write_tiff(folder / f"masks/{name}.tif", mask, **place)
    return image, mask[0]


PLACED = {
    "kind": "torchgeo", "dataset": "NAIP", "labels": "CDL", "folder": "images", "labels_folder": "masks",
    "value_range": [0, 10_000], "bands": [4, 1],
}  # fmt: skip


@pytest.fixture
def raster_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two plain georeferenced sets among torchgeo's, as a user derives them."""
    from torchgeo import datasets

    class Masks(datasets.RasterDataset):  # type: ignore[misc, name-defined]
        is_image = False

    monkeypatch.setattr(datasets, "NAIP", datasets.RasterDataset)
    monkeypatch.setattr(datasets, "CDL", Masks)


@pytest.mark.usefixtures("raster_pair")
def test_georeferenced_sets_are_split_by_ground_with_a_guard(tmp_path: Path) -> None:
    image, mask = ground(tmp_path)
    keys = PLACED | {"split": {"by": "rows", "validate_on": [64, 96]}, "guard_px": 8}
    legend = plain_legend(3)
    (train,) = read_source(source(**keys), "train", tmp_path, legend)
    (held_out,) = read_source(source(**keys), "validate", tmp_path, legend)
    assert train.gsd_m == pytest.approx(10, rel=1e-2)
    assert (train.shape, held_out.shape) == ((56, 640), (32, 640))  # 8 rows between
    np.testing.assert_array_equal(train.class_indices, mask[:56])
    np.testing.assert_array_equal(held_out.class_indices, mask[64:])
    np.testing.assert_allclose(train.values, image[[3, 0], :56] / 10_000, atol=1e-6)
    part = train.read(Window(3, 50, 400, 600))  # over two blocks
    np.testing.assert_array_equal(part.class_indices, mask[3:50, 400:600])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(train)).class_indices, mask[:56])  # noqa: S301


@pytest.mark.usefixtures("raster_pair")
def test_files_of_a_georeferenced_set_may_be_split_as_a_whole(tmp_path: Path) -> None:
    masks = [ground(tmp_path, shift_px=px, name=name)[1] for px, name in ((0, "a"), (1000, "b"))]
    keys = PLACED | {"split": {"by": "names", "validate_on": ["1"]}}
    (train,) = read_source(source(**keys), "train", tmp_path, plain_legend(3))
    (held_out,) = read_source(source(**keys), "validate", tmp_path, plain_legend(3))
    np.testing.assert_array_equal(train.class_indices, masks[0])
    np.testing.assert_array_equal(held_out.class_indices, masks[1])


@pytest.mark.usefixtures("raster_pair")
def test_missing_pixels_have_no_class(tmp_path: Path) -> None:
    image, mask = ground(tmp_path)
    image[:, :5] = 65535
    with rasterio.open(tmp_path / "images/a.tif", "r+") as file:
        file.write(image)
    keys = PLACED | {"split": {"by": "none", "all": "train"}, "nodata": 65535}
    (train,) = read_source(source(**keys), "train", tmp_path, plain_legend(3))
    assert not train.valid[:5].any()
    assert (train.class_indices[:5] == UNLABELLED).all()
    np.testing.assert_array_equal(train.class_indices[5:], mask[5:])


def test_what_does_not_fit_is_refused_in_words(tmp_path: Path) -> None:
    def opened(**keys: Any) -> list[LabelledScene]:
        return read_source(source(kind="torchgeo", **keys), "train", tmp_path, DEEPGLOBE)

    with pytest.raises(UsageError, match=r"no data set 'Vaihingen'; near are Vaihingen2D"):
        opened(dataset="Vaihingen")
    with pytest.raises(UsageError, match=r"no argument 'colour'; it has root, split"):
        opened(dataset="DeepGlobeLandCover", arguments={"colour": "red"})
    with pytest.raises(SceneError, match="DeepGlobeLandCover"):
        opened(dataset="DeepGlobeLandCover")
    with pytest.raises(UsageError, match="no class 'Clutter/background'"):
        opened(dataset="Vaihingen2D")
    with pytest.raises(UsageError, match=r"no class 'House'"):
        opened(dataset="Vaihingen2D", classes={"House": 1})
    with pytest.raises(UsageError, match=r"no split of its own.*by: share"):
        opened(dataset="ZueriCrop")
    save(tmp_path / "data/training_data/images/1_sat.jpg", picture((48, 64)))
    save(tmp_path / "data/training_data/masks/1_mask.png", coloured((48, 64), DEEPGLOBE, 1))
    with pytest.raises(SceneError, match="it has 3 bands, not 4"):
        opened(dataset="DeepGlobeLandCover", bands=[1, 2, 4])
    with pytest.raises(SceneError, match=r"it has no picture, only image, mask"):
        opened(dataset="DeepGlobeLandCover", images=["picture"])


def test_a_recipe_may_leave_legend_and_bands_to_the_data_set(tmp_path: Path) -> None:
    facts: dict[str, Any] = {
        "name": "land", "licence": "CC0-1.0", "architecture": {"name": "unet"}, "gsd_m": {"min": 0.4, "max": 0.6},
        "sources": [{"kind": "torchgeo", "name": "dg", "licence": "CC0-1.0", "dataset": "DeepGlobeLandCover"}],
        "schedule": {"steps": 10},
    }  # fmt: skip
    recipe = Recipe.model_validate(facts)
    assert recipe.legend.names == set_class("DeepGlobeLandCover").classes
    assert [band.name for band in recipe.bands] == ["red", "green", "blue"]
    facts["sources"][0] |= {"dataset": "L8Biome", "labels": None, "bands": ["B4", "B3"]}
    with pytest.raises(ValueError, match="does not say what the classes of L8Biome are"):
        Recipe.model_validate(facts)
