"""Vaihingen, Potsdam and DeepGlobe in their published folders, on the drawn samples in the same layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from pydantic import TypeAdapter, ValidationError
from written_sets import by_name, codes_in_blobs, picture, save, whole

from geoseg.core.deepglobe_legend import DEEPGLOBE
from geoseg.core.isprs_legend import TOWN_LEGEND
from geoseg.core.legend import Legend
from geoseg.data.labelled import UNLABELLED, read_source
from geoseg.data.sources.isprs import POTSDAM_TEST, POTSDAM_TRAIN, VAIHINGEN_TEST, VAIHINGEN_TRAIN
from geoseg.data.sources.kinds import Source
from geoseg.data.sources.model import SourceModel
from geoseg.errors import SceneError, UsageError

SAMPLES = Path(__file__).resolve().parents[2] / "sample_tiles"
SOME = {"by": "published", "complete": False}
SIX = Legend(classes=DEEPGLOBE.classes[:6])


def _source(kind: str, **keys: Any) -> SourceModel:
    facts = {"kind": kind, "name": "s", "licence": "CC0", "folder": kind}
    found: SourceModel = TypeAdapter(Source).validate_python(facts | keys)
    return found


def _codes(path: Path) -> np.ndarray:
    """Decode colours one by one; black is no class."""
    with rasterio.open(path) as file:
        rgb = file.read()
    codes = np.full(rgb.shape[1:], UNLABELLED, np.uint8)
    for entry in TOWN_LEGEND.classes:
        codes[(rgb == np.array(entry.rgb)[:, None, None]).all(0)] = entry.code
    return codes


def test_the_published_splits_have_the_published_sizes() -> None:
    for train, test, sizes in ((VAIHINGEN_TRAIN, VAIHINGEN_TEST, (16, 17)), (POTSDAM_TRAIN, POTSDAM_TEST, (24, 14))):
        assert (len(set(train)), len(set(test))) == sizes
        assert not set(train) & set(test)


@pytest.mark.parametrize("reference", ["full", "eroded"])
def test_vaihingen(reference: str) -> None:
    source = _source("vaihingen", split=SOME, reference=reference)
    train, held_out = (by_name(read_source(source, side, SAMPLES, TOWN_LEGEND)) for side in ("train", "validate"))
    assert (set(train), set(held_out)) == ({"1"}, {"2"})
    ending = ("gts_for_participants", "") if reference == "full" else ("gts_eroded_for_participants", "_noBoundary")
    for name, scene in (train | held_out).items():
        path = SAMPLES / f"vaihingen/{ending[0]}/top_mosaic_09cm_area{name}{ending[1]}.tif"
        np.testing.assert_array_equal(whole(scene), _codes(path))
        assert (whole(scene) == UNLABELLED).any() == (reference == "eroded")
        with rasterio.open(SAMPLES / f"vaihingen/top/top_mosaic_09cm_area{name}.tif") as file:
            np.testing.assert_array_equal(scene.values, file.read())
        assert scene.gsd_m == 0.09


def test_training_and_scoring_may_use_different_references() -> None:
    source = _source("vaihingen", split=SOME, validate_reference="eroded")
    (train,), (held_out,) = (read_source(source, side, SAMPLES, TOWN_LEGEND) for side in ("train", "validate"))
    assert (whole(train) != UNLABELLED).all()
    assert 0.02 < (whole(held_out) == UNLABELLED).mean() < 0.6


@pytest.mark.parametrize(
    ("kind", "keys", "files"),
    [
        (
            "vaihingen",
            {"bands": ["red", "nir", "dsm"], "dsm_range_m": [-100, 300]},
            [("top/top_mosaic_09cm_area1.tif", (2, 1)), ("dsm/dsm_09cm_matching_area1.tif", (1,))],
        ),
        ("potsdam", {"images": "IRRG"}, [("3_Ortho_IRRG/top_potsdam_2_10_IRRG.tif", (1, 2, 3))]),
        (
            "potsdam",
            {"images": "RGBIR", "bands": ["nir", "red", "green", "dsm"], "dsm_range_m": [-100, 300]},
            [("4_Ortho_RGBIR/top_potsdam_2_10_RGBIR.tif", (4, 1, 2)), ("1_DSM/dsm_potsdam_02_10.tif", (1,))],
        ),
    ],
)
def test_bands_come_in_the_order_asked_for(kind: str, keys: dict[str, Any], files: list[Any]) -> None:
    (scene,) = read_source(_source(kind, split=SOME, **keys), "train", SAMPLES, TOWN_LEGEND)
    low, high = keys.get("dsm_range_m", (0, 1))
    planes = []
    for name, bands in files:
        with rasterio.open(SAMPLES / kind / name) as file:
            values = file.read(list(bands)).astype(float)
        planes.append((values - low) / (high - low) if "dsm" in name.lower() else values / 255)
    values = scene.values / 255 if scene.values.dtype == np.uint8 else scene.values
    np.testing.assert_allclose(values, np.concatenate(planes), atol=1e-5)


def test_potsdam_reads_rgb_and_both_references() -> None:
    for reference, ending in (
        ("full", "all/top_potsdam_2_10_label"),
        ("eroded", "all_noBoundary/top_potsdam_2_10_label_noBoundary"),
    ):
        source = _source("potsdam", split=SOME, reference=reference)
        (scene,) = read_source(source, "train", SAMPLES, TOWN_LEGEND)
        np.testing.assert_array_equal(whole(scene), _codes(SAMPLES / f"potsdam/5_Labels_{ending}.tif"))
        assert scene.gsd_m == 0.05


def test_a_published_split_must_be_complete_unless_it_need_not() -> None:
    with pytest.raises(UsageError, match=r"image 3 of the published split is missing \(31 in all\)"):
        read_source(_source("vaihingen"), "train", SAMPLES, TOWN_LEGEND)
    with pytest.raises(SceneError, match=r"elsewhere/.*there is no full reference. Name its folder with labels"):
        read_source(_source("vaihingen", split=SOME, labels="elsewhere"), "train", SAMPLES, TOWN_LEGEND)


def test_clutter_may_be_left_out_and_no_other_class() -> None:
    five = Legend(classes=TOWN_LEGEND.classes[:5])
    (scene,) = read_source(_source("vaihingen", split=SOME), "train", SAMPLES, five)
    full = _codes(SAMPLES / "vaihingen/gts_for_participants/top_mosaic_09cm_area1.tif")
    np.testing.assert_array_equal(whole(scene), np.where(full == 5, UNLABELLED, full))
    with pytest.raises(UsageError, match="the legend has no class 'impervious surface'"):
        read_source(_source("vaihingen", split=SOME), "train", SAMPLES, Legend(classes=TOWN_LEGEND.classes[1:]))


@pytest.mark.parametrize(
    ("kind", "keys", "words"),
    [
        ("vaihingen", {"bands": ["nir", "dsm"]}, "dsm_range_m"),
        ("potsdam", {"bands": ["nir"]}, "images RGB have no band nir"),
        ("potsdam", {"bands": ["blue", "dsm"]}, "dsm_range_m"),
        ("vaihingen", {"split": {"by": "rows", "validate_share": 0.2}}, "by"),
    ],
)
def test_keys_that_do_not_fit_are_refused(kind: str, keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        _source(kind, **keys)


@pytest.mark.parametrize(
    ("images", "masks", "held_out_in"),
    [
        ("train", "train", ("train", "train")),
        ("land-train", "land-train", ("land-train", "land-train")),
        ("data/training_data/images", "data/training_data/masks", ("data/test_data/images", "data/test_data/masks")),
        ("training_data/images", "training_data/masks", ("training_data/images", "training_data/masks")),
    ],
)
def test_deepglobe(images: str, masks: str, held_out_in: tuple[str, str], tmp_path: Path) -> None:
    """Colours are read by the nearer end of each channel; unknown has no class; lists hold a stray line."""
    codes = codes_in_blobs((50, 60), 7)
    colours = np.array([entry.rgb for entry in DEEPGLOBE.classes], np.int64)[codes]
    off = np.random.default_rng(0).integers(0, 100, colours.shape)
    for number in (1, 22, 333):
        picture_in, mask_in = held_out_in if number == 333 else (images, masks)
        save(tmp_path / picture_in / f"{number}_sat.jpg", picture((50, 60)))
        save(tmp_path / mask_in / f"{number}_mask.png", np.where(colours == 255, 255 - off, off).astype(np.uint8))
    (tmp_path / "train.txt").write_text("1_sat.jpg\n22_sat.jpg\nsat.h\n")
    (tmp_path / "crossvali.txt").write_text("333_sat.jpg\n")
    source = _source("deepglobe", folder=".")
    train, held_out = (by_name(read_source(source, side, tmp_path, SIX)) for side in ("train", "validate"))
    assert (set(train), set(held_out)) == ({"1", "22"}, {"333"})
    np.testing.assert_array_equal(whole(train["22"]), np.where(codes == 6, UNLABELLED, codes))
    (scene, *_) = read_source(source, "train", tmp_path, DEEPGLOBE)
    np.testing.assert_array_equal(whole(scene), codes)


def test_deepglobe_without_images_names_the_known_folders(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(SceneError, match=r"land-train, training_data/images, data/training_data/images"):
        read_source(_source("deepglobe", folder="."), "train", tmp_path, SIX)


def test_isprs_references_beside_the_images_folder_as_torchgeo_unpacks_them(tmp_path: Path) -> None:
    red = np.zeros((40, 50, 3), np.uint8)
    red[..., 0] = 255
    for image, label in (
        ("top/top_mosaic_09cm_area1.tif", "top_mosaic_09cm_area1.tif"),
        ("2_Ortho_RGB/top_potsdam_2_10_RGB.tif", "top_potsdam_2_10_label.tif"),
    ):
        save(tmp_path / image, picture((40, 50)))
        save(tmp_path / label, red)
    for kind in ("vaihingen", "potsdam"):
        source = _source(kind, folder=".", split=SOME)
        (scene,) = read_source(source, "train", tmp_path, TOWN_LEGEND)
        clutter = next(entry.code for entry in TOWN_LEGEND.classes if entry.name == "clutter")
        assert (whole(scene) == clutter).all()


def test_deepglobe_samples() -> None:
    split = {"by": "names", "validate_on": ["855"]}
    (scene,) = read_source(_source("deepglobe", split=split), "train", SAMPLES, DEEPGLOBE)
    mask = np.asarray(Image.open(SAMPLES / "deepglobe/train/119_mask.png"))
    for entry in DEEPGLOBE.classes:
        np.testing.assert_array_equal(whole(scene) == entry.code, (mask == np.array(entry.rgb)).all(-1))
    assert scene.gsd_m == 0.5
