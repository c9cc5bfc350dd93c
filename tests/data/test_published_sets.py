"""Each published layout is read as its publishers describe it: on samples written here, and on the real files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from PIL import Image
from pydantic import TypeAdapter
from written_sets import (
    by_name,
    codes_in_blobs,
    kaggle_runs,
    legend_of,
    picture,
    save,
    whole,
    write_annotations,
    write_csv,
)

from geoseg.data.labelled import UNLABELLED, Split, read_source
from geoseg.data.sources.kinds import Source
from geoseg.data.sources.model import SourceModel
from geoseg.errors import SceneError, UsageError

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
real = pytest.mark.skipif(not DATA.is_dir(), reason="the shared data are not here")


def _source(kind: str, **keys: Any) -> SourceModel:
    found: SourceModel = TypeAdapter(Source).validate_python({"kind": kind, "name": "s", "licence": "CC0"} | keys)
    return found


def _sides(source: SourceModel, folder: Path, classes: int = 2) -> tuple[dict[str, Any], dict[str, Any]]:
    legend = legend_of(classes)
    train, held_out = (by_name(read_source(source, side, folder, legend)) for side in ("train", "validate"))
    assert sum(scene.weight for scene in train.values()) == pytest.approx(1)
    return train, held_out


def _names(source: SourceModel, split: Split, folder: Path, classes: int = 2) -> set[str]:
    return {scene.name.removeprefix("s ") for scene in read_source(source, split, folder, legend_of(classes))}


def test_isbi_membranes(tmp_path: Path) -> None:
    truth = {str(n): codes_in_blobs((40, 50), 2, n) for n in range(6)}
    for name, codes in truth.items():
        save(tmp_path / f"train/image/{name}.png", picture((40, 50))[..., 0])
        save(tmp_path / f"train/label/{name}.png", (codes * 255).astype(np.uint8))
    train, held_out = _sides(_source("isbi_membrane"), tmp_path)
    assert (len(train), len(held_out)) == (4, 2)
    for name, scene in (train | held_out).items():
        assert scene.bands == 1
        np.testing.assert_array_equal(whole(scene), truth[name])
    turned = read_source(_source("isbi_membrane", cell=0, membrane=1), "train", tmp_path, legend_of(2))
    np.testing.assert_array_equal(whole(turned[0]), 1 - truth[turned[0].name.split()[-1]])


def test_berkeley_boundaries_are_what_enough_people_drew(tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).random((5, 30, 40)) < 0.3
    for of_set, name in (("train", "8049"), ("val", "3096"), ("test", "100007")):
        save(tmp_path / f"images/{of_set}/{name}.jpg", picture((30, 40)))
        write_annotations(tmp_path / f"groundTruth/{of_set}/{name}.mat", [codes_in_blobs((30, 40), 3)] * 5, list(drawn))
    train, held_out = _sides(_source("bsds500"), tmp_path)
    assert (set(train), set(held_out)) == ({"8049"}, {"3096"})
    votes = drawn.sum(0)
    np.testing.assert_array_equal(whole(train["8049"]), np.where(votes >= 3, 1, np.where(votes == 0, 0, UNLABELLED)))
    other = _source("bsds500", train_sets=["train", "val"], validate_sets=["test"], edge_share=0.2, none_share=0.1)
    assert _names(other, "train", tmp_path) == {"8049", "3096"}
    np.testing.assert_array_equal(
        whole(by_name(read_source(other, "validate", tmp_path, legend_of(2)))["100007"]), votes > 0
    )
    with pytest.raises(ValueError, match="none_share must be less"):
        _source("bsds500", edge_share=0.2, none_share=0.2)


def test_clouds(tmp_path: Path) -> None:
    rows, masks = [], {}
    for number in range(3):
        masks[f"{number:07x}"] = {k: codes_in_blobs((35, 52), 3, 9 * number + i) == 1 for i, k in enumerate(_CLOUDS)}
        masks[f"{number:07x}"]["Flower"][:] = False
    for name, by_kind in masks.items():
        save(tmp_path / f"train_images/{name}.jpg", picture((35, 52)))
        rows += [[f"{name}.jpg_{kind}", kaggle_runs(mask)] for kind, mask in by_kind.items()]
    write_csv(tmp_path / "train.csv", ["Image_Label", "EncodedPixels"], rows)
    train, held_out = _sides(_source("clouds", split={"by": "share", "validate_share": 0.4}), tmp_path, 5)
    assert (len(train), len(held_out)) == (2, 1)
    for name, scene in (train | held_out).items():
        stack = np.stack([masks[name][kind] for kind in _CLOUDS])
        expected = np.where(stack.sum(0) > 1, UNLABELLED, (stack * np.arange(1, 5)[:, None, None]).sum(0))
        np.testing.assert_array_equal(whole(scene), expected)
    alone = read_source(_source("clouds", formations={"Sugar": 1}), "train", tmp_path, legend_of(2))
    for scene in alone:
        np.testing.assert_array_equal(whole(scene), masks[scene.name.split()[-1]]["Sugar"])
    save(tmp_path / "train_images/fffffff.jpg", picture((35, 52)))
    with pytest.raises(SceneError, match=r"train.csv: it has no row for image fffffff"):
        read_source(_source("clouds", split={"by": "none", "all": "train"}), "train", tmp_path, legend_of(5))


_CLOUDS = ("Fish", "Flower", "Gravel", "Sugar")


def test_idrid_lesions(tmp_path: Path) -> None:
    """Masks are TIFFs of a palette or of colours; an image without a lesion has no file of it."""
    rng = np.random.default_rng(0)
    truth = {}
    lesions = (("3. Hard Exudates", "EX"), ("1. Microaneurysms", "MA"), ("5. Optic Disc", "OD"))
    for of_set, name in (("a. Training Set", "IDRiD_01"), ("b. Testing Set", "IDRiD_55")):
        save(tmp_path / f"1. Original Images/{of_set}/{name}.jpg", picture((40, 60)))
        masks = {short: rng.random((40, 60)) < 0.3 for _, short in lesions}
        truth[name] = np.select([masks["MA"], masks["EX"], masks["OD"]], [1, 3, 5])
        for place, short in lesions:
            path = tmp_path / f"2. All Segmentation Groundtruths/{of_set}/{place}/{name}_{short}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            if short == "EX":  # painted red
                save(path, np.stack([masks[short] * 255, *(2 * [masks[short] * 0])], -1).astype(np.uint8))
                continue
            indices = Image.fromarray(masks[short].astype(np.uint8), "L").convert("P")
            indices.putpalette([0, 0, 0, 255, 0, 0])
            indices.save(path)
    train, held_out = _sides(_source("idrid"), tmp_path, 6)
    assert (set(train), set(held_out)) == ({"IDRiD_01"}, {"IDRiD_55"})
    for name, scene in (train | held_out).items():
        np.testing.assert_array_equal(whole(scene), truth[name])
    only = read_source(_source("idrid", lesions={"optic disc": 1}), "train", tmp_path, legend_of(2))
    assert set(np.unique(whole(only[0]))) == {0, 1}
    assert whole(only[0]).mean() == pytest.approx(0.3, abs=0.04)


def test_salt(tmp_path: Path) -> None:
    """101 x 101 px; an empty mask has an empty field; the depth is a band of its own when it is asked for."""
    masks = {f"{n:010x}": codes_in_blobs((101, 101), 2, n) == 1 for n in range(4)}
    masks["0000000001"][:] = False
    for name, mask in masks.items():
        save(tmp_path / f"train/images/{name}.png", picture((101, 101)))
        save(tmp_path / f"train/masks/{name}.png", mask.astype(np.uint16) * 65535)
    write_csv(tmp_path / "train.csv", ["id", "rle_mask"], [[n, kaggle_runs(m)] for n, m in masks.items()])
    write_csv(
        tmp_path / "depths.csv", ["id", "z"], [["zzz", "1"], *([n, str(50 + 300 * i)] for i, n in enumerate(masks))]
    )
    train, held_out = _sides(_source("tgs_salt", split={"by": "names", "validate_on": ["0000000003"]}), tmp_path)
    for name, scene in (train | held_out).items():
        np.testing.assert_array_equal(whole(scene), masks[name])
        assert scene.values.dtype == np.uint8
    deep = read_source(_source("tgs_salt", depth_range=[0, 1000]), "train", tmp_path, legend_of(2))
    for scene in deep:
        place = list(masks).index(scene.name.split()[-1])
        assert scene.bands == 2
        np.testing.assert_allclose(scene.values[1], (50 + 300 * place) / 1000, rtol=1e-6)
        plain = by_name(read_source(_source("tgs_salt"), "train", tmp_path, legend_of(2)))[scene.name.split()[-1]]
        np.testing.assert_allclose(scene.values[0], plain.values[0] / 255, atol=1e-6)
    write_csv(tmp_path / "depths.csv", ["id", "z"], [["zzz", "1"]])
    with pytest.raises(SceneError, match=r"depths.csv: it has no row for image"):
        read_source(_source("tgs_salt", depth_range=[0, 1000]), "train", tmp_path, legend_of(2))


def test_cracks(tmp_path: Path) -> None:
    """CrackForest wraps its one structure in no cell; a third segment is not explained and has no class."""
    segments = codes_in_blobs((32, 48), 3) + 1
    save(tmp_path / "image/001.jpg", picture((32, 48)))
    (tmp_path / "groundTruth").mkdir()
    structure = {"Segmentation": segments.astype(np.uint8), "Boundaries": (segments == 2)}
    scipy.io.savemat(tmp_path / "groundTruth/001.mat", {"groundTruth": structure})
    (scene,) = read_source(
        _source("crackforest", split={"by": "none", "all": "train"}), "train", tmp_path, legend_of(2)
    )
    np.testing.assert_array_equal(whole(scene), np.array([9, 0, 1, UNLABELLED])[segments])


@real
def test_real_membranes() -> None:
    train, held_out = _sides(_source("isbi_membrane", folder="isbi_membrane"), DATA)
    assert len(train) + len(held_out) == 20
    assert len(held_out) == 7
    share = np.mean([whole(scene).mean() for scene in train.values()])
    assert 0.6 < share < 0.9  # most of the picture is the inside of cells
    name, scene = next(iter(train.items()))
    expected = np.asarray(Image.open(DATA / f"isbi_membrane/train/label/{name}.png")) > 0
    np.testing.assert_array_equal(whole(scene), expected)


@real
def test_real_berkeley_drawings() -> None:
    source = _source("bsds500", folder="bsds500", split={"by": "share"}, train_sets=["test"], validate_sets=[])
    train, held_out = _sides(source, DATA)
    assert set(train) | set(held_out) == {"100007", "100039", "100099"}
    for scene in train.values():
        counts = np.bincount(whole(scene).ravel(), minlength=256)
        assert 0.001 < counts[1] / counts.sum() < 0.05
        assert counts[UNLABELLED] > counts[1]
    missing = _source("bsds500", folder="bsds500")
    with pytest.raises(SceneError, match="there is no such file"):
        read_source(missing, "train", DATA, legend_of(2))


@real
def test_real_cracks() -> None:
    train, held_out = _sides(_source("crackforest", folder="crackforest"), DATA)
    assert len(train) + len(held_out) == 40
    counts = sum(np.bincount(whole(s).ravel(), minlength=256) for s in (train | held_out).values())
    assert 0.005 < counts[1] / counts.sum() < 0.04
    assert counts[UNLABELLED] == 5 + 172


def test_a_data_set_that_is_not_there_is_named(tmp_path: Path) -> None:
    for kind in ("isbi_membrane", "bsds500", "clouds", "idrid", "tgs_salt", "crackforest", "deepglobe", "vaihingen"):
        with pytest.raises((SceneError, UsageError), match=str(tmp_path)):
            read_source(_source(kind), "train", tmp_path, legend_of(6))
