"""The models that come with geoseg: whole, small, documented, and as good as their cards say."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from geoseg.data.labelled import read_source
from geoseg.errors import ModelError
from geoseg.inference.objects.count import object_scores_of
from geoseg.inference.panoptic.labelled import panoptic_scores_of
from geoseg.io.weights.model_file import read_card, read_model, read_quantised
from geoseg.models.bundled import BUNDLED, CLICK_MODELS, MODELS, resolve
from geoseg.nn import build
from geoseg.nn.instance.watershed import WatershedNetwork
from geoseg.training.quantisation.quantise import MAX_LOSS, MIN_AGREEMENT
from geoseg.training.recipe import read_recipe
from geoseg.training.score import confusion, iou, predict_class_indices

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data"
RECIPES = {
    "buildings-instances": "buildings_instances.yaml",
    "buildings-separate": "buildings_separate.yaml",
    "buildings-unet": "buildings_unet.yaml",
    "forest-unet": "forest.yaml",
    "landcover-unet": "landcover_dubai.yaml",
    "roads-unet": "roads.yaml",
    "solar-unet": "solar.yaml",
    "town-panoptic": "town_panoptic.yaml",
    "town-unet": "town_unet.yaml",
}
"""By which each was made."""
WITHOUT_INT8 = {"buildings-instances", "landcover-unet", "town-panoptic"}
"""Models of whose pixels too few keep their class in int8, and those whose task has no such form."""


def _network(name: str) -> torch.nn.Module:
    tensors, card = read_model(*resolve(name))
    network = build(card.architecture.name, len(card.bands), len(card.legend), **card.architecture.options)
    network.load_state_dict({key: torch.from_numpy(np.array(array)) for key, array in tensors.items()})
    return network.eval()


def _class_maps(network: torch.nn.Module, image: torch.Tensor) -> torch.Tensor:
    if isinstance(network, WatershedNetwork):
        logits: torch.Tensor = network.body(image)[0]
        return logits
    answer = network(image)
    return answer if isinstance(answer, torch.Tensor) else torch.stack([one["semantic"] for one in answer])


def test_the_folder_holds_the_models_and_a_preview_of_each() -> None:
    previews = {f"{name}.jpg" for name in BUNDLED}
    assert {path.name for path in MODELS.iterdir()} == {
        file for file, _ in (*BUNDLED.values(), *CLICK_MODELS.values())
    } | previews


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_model_is_the_one_it_says(name: str) -> None:
    path, sha256 = resolve(name)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    assert path.stat().st_size < 15e6
    _, card = read_model(path, sha256)
    assert card.name == name


@pytest.mark.parametrize("name", BUNDLED)
def test_its_card_leaves_nothing_open(name: str) -> None:
    _, card = read_model(*resolve(name))
    assert card.title
    assert card.description
    assert card.licence
    assert card.weights_sha256
    assert card.min_area_m2 > 0
    assert card.trained_on
    assert all(source.licence and source.split for source in card.trained_on)
    assert card.scores
    assert card.recipe["steps"] > 100
    assert "shared" not in card.model_dump_json()


@pytest.mark.parametrize("name", BUNDLED)
def test_its_int8_form_is_whole_within_the_limits_and_taken_on_request_only(name: str) -> None:
    path, sha256 = resolve(name)
    card, form = read_card(path), read_quantised(path, sha256)
    assert (form is None) == (name in WITHOUT_INT8) == (card.int8 is None)
    if card.int8 is not None:
        assert card.int8.agreement >= MIN_AGREEMENT
        assert card.int8.score_fp32 is not None
        assert card.int8.score_int8 is not None
        assert card.int8.score_fp32 - card.int8.score_int8 <= MAX_LOSS
        assert not card.int8.preferred


@pytest.mark.parametrize("name", BUNDLED)
def test_its_recipe_is_the_shipped_one(name: str) -> None:
    _, card = read_model(*resolve(name))
    recipe = read_recipe(ROOT / "configs" / "train" / RECIPES[name])
    fields = (
        "architecture",
        "bands",
        "legend",
        "gsd_m",
        "tile_px",
        "halo_px",
        "min_area_m2",
        "objects",
        "licence",
        "title",
        "description",
    )
    for field in fields:
        assert getattr(card, field) == getattr(recipe, field), field
    assert recipe.card().recipe.items() <= card.recipe.items()


@pytest.mark.slow_after(2)
@pytest.mark.parametrize("name", BUNDLED)
def test_missing_pixels_beside_the_picture_change_little_far_from_them(name: str) -> None:
    """A hole is the mean to the network; what lies a halo away keeps its class."""
    _, card = read_model(*resolve(name))
    network = _network(name)
    scene = torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    x = torch.nn.functional.interpolate(scene, (256, 384), mode="bicubic") * 2 - 1
    holed = x.clone()
    holed[..., : 384 - 2 * card.halo_px] = 0
    with torch.inference_mode():
        whole, part = (_class_maps(network, image).argmax(1) for image in (x, holed))
    far = (whole == part)[..., 384 - card.halo_px // 2 :]
    assert far.float().mean() > 0.9


@pytest.mark.parametrize("name", CLICK_MODELS)
def test_a_model_of_clicks_is_the_one_it_says_and_answers_a_click(name: str) -> None:
    path, sha256 = resolve(name)
    assert path.stat().st_size < 16e6
    _, card = read_model(path, sha256)
    assert (card.name, card.task) == (name, "interactive")
    assert card.scores
    assert all(source.licence and source.split for source in card.trained_on)
    recipe = read_recipe(ROOT / "configs" / "train" / f"{name}.yaml")
    for field in ("architecture", "bands", "legend", "gsd_m", "tile_px", "halo_px", "licence", "title", "description"):
        assert getattr(card, field) == getattr(recipe, field), field
    x = torch.zeros(1, 3, 96, 96)
    x[..., 30:60, 30:60] = 1.5
    with torch.inference_mode():
        logits = _network(name)(x, torch.tensor([[[45.0, 45.0], [10.0, 10.0]]]))
    assert logits[0, 0, 45, 45] > logits[0, 0, 10, 10]


def test_names_and_paths_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    assert resolve(str(path)) == (path, None)
    assert resolve("own.safetensors") == (Path("own.safetensors"), None)
    with pytest.raises(ModelError, match=r"'building-unet' is unknown; bundled: buildings-unet"):
        resolve("building-unet")
    with pytest.raises(ModelError, match="bundled: "):
        resolve("zzz")


@pytest.mark.parametrize(
    ("name", "things"),
    [
        ("buildings-separate", {"building"}),
        ("buildings-unet", {"building"}),
        ("solar-unet", {"solar panel"}),
        ("town-unet", {"building", "car"}),
    ],
)
def test_cards_of_countable_things_tell_object_scores_beside_pixel_scores(name: str, things: set[str]) -> None:
    _, card = read_model(*resolve(name))
    for thing in things:
        pixels = {score.on for score in card.scores if score.metric == f"IoU {thing}"}
        objects = {score.on for score in card.scores if score.metric == f"object F1 {thing} (IoU 0.5)"}
        assert objects == pixels


def test_things_are_countable_and_ground_is_not() -> None:
    things = {
        name: {entry.name for entry in read_model(*resolve(name))[1].legend.classes if entry.countable}
        for name in BUNDLED
    }
    assert things == {
        "buildings-instances": {"building"},
        "buildings-separate": {"building"},
        "buildings-unet": {"building"},
        "forest-unet": set(),
        "landcover-unet": {"building"},
        "roads-unet": set(),
        "solar-unet": {"solar panel"},
        "town-panoptic": {"building", "tree", "car"},
        "town-unet": {"building", "tree", "car"},
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["buildings-separate", "buildings-unet", "solar-unet", "town-unet"])
def test_its_object_scores_can_be_measured_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not DATA.exists():
        pytest.skip(f"{DATA} is not there")
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from objects import object_scores

    _, card = read_model(*resolve(name))
    claimed = {(score.on, score.metric): score.value for score in card.scores}
    for score in object_scores(name, DATA):
        assert score.value == pytest.approx(claimed[score.on, score.metric], abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", BUNDLED)
def test_its_scores_can_be_measured_again(name: str) -> None:
    recipe = read_recipe(ROOT / "configs" / "train" / RECIPES[name])
    if not DATA.exists() and any(source.kind != "towns" for source in recipe.sources):
        pytest.skip(f"{DATA} is not there")
    _, card = read_model(*resolve(name))
    network = _network(name)
    claimed = {(score.on, score.metric): score.value for score in card.scores}
    images = [image for s in recipe.sources for image in read_source(s, "validate", DATA, recipe.legend)]
    assert images
    counts: dict[str, npt.NDArray[np.int64]] = {}
    for image in images:
        one = confusion(image.class_indices, predict_class_indices(network, image, card), len(card.legend))
        counts[image.scored_as] = counts.get(image.scored_as, 0) + one
    answered = Counter[str]()
    for on, count in counts.items():
        for class_name, value in zip(card.legend.names, iou(count), strict=True):
            if (on, f"IoU {class_name}") in claimed:
                assert value == pytest.approx(claimed[on, f"IoU {class_name}"], abs=0.002)
                answered["IoU"] += 1
    for score in panoptic_scores_of(network, images, card) if card.task == "panoptic" else ():
        assert score.value == pytest.approx(claimed[score.on, score.metric], abs=0.002)
        answered["PQ"] += 1
    for score in object_scores_of(network, images, card) if card.task == "instance" else ():
        assert score.value == pytest.approx(claimed[score.on, score.metric], abs=0.002)
        answered["F1"] += 1
    assert answered.keys() == {"IoU"} | {"panoptic": {"PQ"}, "instance": {"F1"}}.get(card.task, set())
