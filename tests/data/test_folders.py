"""Folders of images and masks: pairs by name, splits by file, codes and colours, what has no class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from written_sets import TWO, by_name, codes_in_blobs, legend_of, picture, save, whole, write_csv

from geoseg.data.labelled import UNLABELLED, read_source
from geoseg.data.sources.file_splits import ByShare, sides
from geoseg.data.sources.folders import FolderSource
from geoseg.data.sources.matching import find_files, name_of
from geoseg.errors import SceneError, UsageError

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
NAMES = ("7", "12", "a_b", "c.d", "east")


def _source(**keys: Any) -> FolderSource:
    facts = {"kind": "folders", "name": "s", "licence": "CC0", "split": {"by": "none", "all": "train"}}
    return FolderSource.model_validate(facts | keys)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        save(tmp_path / f"images/{name}.png", picture((40, 56), number))
        save(tmp_path / f"masks/{name}.png", codes_in_blobs((40, 56), 3, number))
    return tmp_path


def _read(source: FolderSource, folder: Path, classes: int = 3) -> tuple[dict[str, Any], dict[str, Any]]:
    legend = legend_of(classes)
    return tuple(by_name(read_source(source, side, folder, legend)) for side in ("train", "validate"))  # type: ignore[return-value,arg-type]


def test_images_and_masks_of_one_name_belong_together(folder: Path) -> None:
    train, _ = _read(_source(), folder)
    assert set(train) == set(NAMES)
    for number, name in enumerate(NAMES):
        np.testing.assert_array_equal(whole(train[name]), codes_in_blobs((40, 56), 3, number))
        np.testing.assert_array_equal(train[name].values, picture((40, 56), number).transpose(2, 0, 1))
    (folder / "masks/7.png").unlink()
    with pytest.raises(SceneError, match=r"masks: 0 files are called 7"):
        _read(_source(), folder)


@given(st.lists(st.text("abc123", min_size=1, max_size=4), min_size=2, max_size=30, unique=True), st.integers(0, 9))
def test_shares_part_the_files_and_hold_when_others_come(names: list[str], seed: int) -> None:
    split = ByShare(by="share", validate_share=0.3, seed=seed)
    train, held_out = sides(split, names, Path(), str)
    assert sorted(train + held_out) == sorted(names)
    assert len(held_out) == max(1, round(0.3 * len(names)))
    assert sides(split, names[::-1], Path(), str)[1] == held_out[::-1]
    more = sides(split, [*names, "newcomer"], Path(), str)
    assert len(set(more[0]) ^ set(train)) <= 3


def test_lists_and_tables_name_the_sides(folder: Path) -> None:
    (folder / "train.txt").write_text("images/7.png\n12\n\na_b.png\nnot an image\n")
    (folder / "val.txt").write_text("c.d\n")
    split = {"by": "lists", "train": "train.txt", "validate_on": "val.txt", "skip": "not.*"}
    train, held_out = _read(_source(images="images/*.png", masks="masks/*.png", split=split), folder)
    assert (set(train), set(held_out)) == ({"7", "12", "a_b"}, {"c.d"})
    with pytest.raises(UsageError, match=r"train.txt: no image is called 'not an image'"):
        _read(_source(images="images/*.png", masks="masks/*.png", split=split | {"skip": ""}), folder)
    rest = {"by": "lists", "validate_on": "val.txt"}
    assert set(_read(_source(split=rest), folder)[0]) == set(NAMES) - {"c.d"}
    write_csv(folder / "split.csv", ["file", "part"], [["7", "a"], ["12", "b"], ["east", "c"]])
    table = {"by": "table", "table": "split.csv", "name": "file", "side": "part", "train": ["a"], "validate_on": ["b"]}
    assert [set(side) for side in _read(_source(split=table), folder)] == [{"7"}, {"12"}]
    (folder / "val.txt").write_text("7\n")
    with pytest.raises(UsageError, match="7 stands on both sides"):
        _read(_source(images="images/*.png", masks="masks/*.png", split=split), folder)


def test_names_list_the_sides(folder: Path) -> None:
    train, held_out = _read(_source(split={"by": "names", "validate_on": ["7", "east"]}), folder)
    assert (set(train), set(held_out)) == ({"12", "a_b", "c.d"}, {"7", "east"})
    few = {"by": "names", "train": ["12"], "validate_on": ["7"]}
    assert [set(side) for side in _read(_source(split=few), folder)] == [{"12"}, {"7"}]
    with pytest.raises(UsageError, match="no image is called 'west'"):
        _read(_source(split={"by": "names", "validate_on": ["west"]}), folder)


def test_colours_are_classes(tmp_path: Path) -> None:
    codes = codes_in_blobs((30, 40), 3)
    save(tmp_path / "images/a.png", picture((30, 40)))
    save(tmp_path / "masks/a.png", np.array([[10, 20, 30], [200, 0, 7], [0, 0, 0]], np.uint8)[codes])
    colours = {"#0a141e": 1, "#c80007": 0, "#000000": "ignore"}
    train, _ = _read(_source(masks_hold="colours", classes=colours), tmp_path)
    np.testing.assert_array_equal(whole(train["a"]), np.array([1, 0, UNLABELLED], np.uint8)[codes])
    with pytest.raises(SceneError, match=r"colour \(0, 0, 0\) at row \d+, column \d+ is no class"):
        whole(_read(_source(masks_hold="colours", classes={"#0a141e": 1, "#c80007": 0}), tmp_path)[0]["a"])
    with pytest.raises(SceneError, match=r"has 3 bands \(red, green, blue\) and no class codes"):
        whole(_read(_source(), tmp_path)[0]["a"])


def test_other_colours_are_what_the_recipe_says(tmp_path: Path) -> None:
    """Only where it says nothing are they refused."""
    codes = codes_in_blobs((30, 30), 3, 0)
    palette = np.array([[10, 20, 30], [200, 0, 0], [7, 7, 7]], np.uint8)
    save(tmp_path / "images/a.png", picture((30, 30), 1))
    save(tmp_path / "masks/a.png", palette[codes])
    classes = {"#0a141e": 0, "#c80000": 1}
    for others, expected in ((0, 0), ("ignore", UNLABELLED), (1, 1)):
        train, _ = _read(_source(classes=classes, masks_hold="colours", others=others), tmp_path, 2)
        np.testing.assert_array_equal(whole(train["a"]), np.where(codes == 2, expected, codes))
    with pytest.raises(SceneError, match=r"colour \(7, 7, 7\)"):
        _read(_source(classes=classes, masks_hold="colours"), tmp_path, 2)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"classes": {"#ff0000": 1, "#000000": 0}}, "#ff0000.*hold codes"),
        ({"classes": {"house": 1, 0: 0}}, "house.*hold codes"),
        ({"classes": {"house": 1}, "masks_hold": "colours"}, "house.*hold colours"),
        ({"classes": {3: 1}, "masks_hold": "colours"}, "3.*hold colours"),
    ],
)
def test_classes_that_cannot_stand_in_the_masks_are_refused(folder: Path, keys: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        _read(_source(**keys), folder)


def test_keys_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValidationError, match="nonzero"):
        _source(codes="nonzero", classes={0: 0, 7: "ignore"})
    for values in ([5, 5], [[0, 1], [2, 2], [0, 1]]):
        with pytest.raises(ValidationError, match="cannot both be"):
            _source(value_range=values)
    assert _source(value_range=[255, 0]).value_range == (255, 0)


def test_the_legends_colours_are_taken_where_none_are_given(tmp_path: Path) -> None:
    codes = codes_in_blobs((30, 40), 2)
    save(tmp_path / "images/a.png", picture((30, 40)))
    save(tmp_path / "masks/a.png", np.array([entry.rgb for entry in TWO.classes], np.uint8)[codes])
    (scene,) = read_source(_source(masks_hold="colours"), "train", tmp_path, TWO)
    np.testing.assert_array_equal(whole(scene), codes)


def test_palettes_give_their_indices(tmp_path: Path) -> None:
    codes = codes_in_blobs((30, 40), 3)
    save(tmp_path / "images/a.png", picture((30, 40)))
    mask = Image.fromarray(codes, "L").convert("P")
    mask.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    (tmp_path / "masks").mkdir()
    mask.save(tmp_path / "masks/a.png")
    train, _ = _read(_source(), tmp_path)
    np.testing.assert_array_equal(whole(train["a"]), codes)


def test_nodata_of_the_legend_and_ignored_codes_have_no_class(tmp_path: Path) -> None:
    codes = codes_in_blobs((30, 40), 3)
    save(tmp_path / "images/a.png", picture((30, 40)))
    save(tmp_path / "masks/a.png", np.array([0, 255, 9], np.uint8)[codes])
    train, _ = _read(_source(classes={0: 1, 255: "ignore"}, others="ignore"), tmp_path)
    np.testing.assert_array_equal(whole(train["a"]), np.array([1, UNLABELLED, UNLABELLED], np.uint8)[codes])
    save(tmp_path / "masks/a.png", np.array([0, 255, 1], np.uint8)[codes])
    train, _ = _read(_source(), tmp_path)
    np.testing.assert_array_equal(whole(train["a"]), np.array([0, UNLABELLED, 1], np.uint8)[codes])


def test_a_mask_of_another_size_is_refused(folder: Path) -> None:
    save(folder / "masks/7.png", codes_in_blobs((41, 56), 3))
    with pytest.raises(SceneError, match=r"masks/7.png: it is not on the grid of the image: it has 41 x 56 pixels"):
        whole(_read(_source(), folder)[0]["7"])


@pytest.mark.parametrize(
    ("pattern", "entry", "name"),
    [
        ("train/*_sat.jpg", "train/12_sat.jpg", "12"),
        ("train/*_sat.jpg", "12_sat", "12"),
        ("train/*_sat.jpg", "12", "12"),
        ("images", "images/a.b.png", "a.b"),
        ("top/top_area*.tif", "top_area7.tif", "7"),
    ],
)
def test_names_are_found_in_entries_of_lists(pattern: str, entry: str, name: str) -> None:
    assert name_of(pattern, entry) == name


def test_a_pattern_finds_its_files_by_name(tmp_path: Path) -> None:
    for name in ("1_sat.jpg", "2_sat.jpg", "1_mask.png", "_sat.jpg", ".hidden_sat.jpg"):
        (tmp_path / name).touch()
    assert set(find_files(tmp_path, "*_sat.jpg")) == {"1", "2", ".hidden"}
    assert find_files(tmp_path, "1_sat.jpg") == {"1_sat": tmp_path / "1_sat.jpg"}


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
@pytest.mark.parametrize(
    ("name", "count", "classes"), [("gsi_solar", 24, 2), ("gsi_road", 25, 2), ("amazon_forest_s2", 13, 2)]
)
def test_real_folders(name: str, count: int, classes: int) -> None:
    train, held_out = _read(_source(folder=name, split={"by": "share"}, gsd_m=0.2), DATA, classes)
    assert len(train) + len(held_out) == count
    scene = next(iter(train.values()))
    assert set(np.unique(whole(scene))) <= set(range(classes))
    assert scene.gsd_m == 0.2


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")
def test_real_folder_of_six_bands() -> None:
    keys = {"folder": "csmask_multispectral", "value_range": [0, 10000], "bands": [4, 3, 2]}
    train, _ = _read(_source(**keys), DATA, 5)
    assert set(train) == {"landsat5", "landsat7", "sentinel2"}
    for scene in train.values():
        assert scene.bands == 3
        assert scene.values.dtype == np.float32
        assert 0 <= scene.values.min() < scene.values.max() <= 1
