"""A training run learns, stops at any step, goes on to the same weights, and refuses what does not fit."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from small_training import chip_maker, document, no_look, recipe, write_squares

from geoseg.core.isprs_legend import BUILDING
from geoseg.data.chips import ChipMaker
from geoseg.data.labelled import read_source
from geoseg.errors import ModelError, OutputError, UsageError
from geoseg.io.weights.model_file import read_model
from geoseg.nn import build
from geoseg.score.matrix import iou
from geoseg.synthetic.town import draw_town
from geoseg.training.fit import FitPaths, fit
from geoseg.training.recipe import Recipe, read_recipe
from geoseg.training.schedule import learning_rate
from geoseg.training.score import confusion
from geoseg.training.train import TrainingProgress, train
from geoseg.training.training_module import TrainingModule


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_squares(tmp_path_factory.mktemp("data"))


def _recipe(**schedule: Any) -> Recipe:
    return recipe(schedule=schedule)


def _images(recipe: Recipe, data: Path) -> list[Any]:
    return read_source(recipe.sources[0], "train", data, recipe.legend)


def test_twenty_steps_learn_and_the_card_says_how_well(data: Path, tmp_path: Path) -> None:
    reports: list[TrainingProgress] = []
    path, card = train(_recipe(), data, tmp_path, report=reports.append)
    assert [p.step for p in reports] == list(range(1, 21))
    assert reports[-1].loss < 0.6 * reports[0].loss
    scores = {s.metric: s.value for s in card.scores}
    assert scores["pixel accuracy"] > 0.9
    assert scores["IoU square"] > 0.6
    assert card.scores[0].on == "squares rows 64-95"
    assert (card.trained_on[0].name, card.trained_on[0].split) == ("squares", "rows 0 to 63")
    assert card.recipe["steps"] == 20
    stored, found = read_model(path)
    assert found == card
    assert all(np.isfinite(array).all() for array in stored.values())


def test_a_run_cut_in_two_ends_with_the_same_weights(data: Path, tmp_path: Path) -> None:
    recipe = _recipe(steps=6, save_every=3)
    whole, _ = train(recipe, data, tmp_path / "whole")

    class PulledPlug(Exception):  # noqa: N818 - not an error of ours
        pass

    def pull(progress: TrainingProgress) -> None:
        if progress.step == 5:
            raise PulledPlug

    with pytest.raises(PulledPlug):
        train(recipe, data, tmp_path / "cut", report=pull)
    steps: list[int] = []
    again, _ = train(recipe, data, tmp_path / "cut", resume=True, report=lambda p: steps.append(p.step))
    assert steps == [4, 5, 6]
    for (name, a), (_, b) in zip(read_model(whole)[0].items(), read_model(again)[0].items(), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


def test_another_seed_gives_other_weights() -> None:
    one, two = _recipe(), _recipe().model_copy(update={"seed": 4})
    a, b = (TrainingModule(recipe).network.state_dict() for recipe in (one, two))
    assert any(not torch.equal(a[name], b[name]) for name in a)


def test_the_result_is_the_moving_average_of_the_weights(data: Path, tmp_path: Path) -> None:
    wanted = _recipe(ema=0.5, steps=3)
    learner = TrainingModule(wanted)
    name = "head.bias"
    average = learner.average.state_dict()[name].clone()

    def follow(progress: TrainingProgress) -> None:
        nonlocal average
        decay = min(0.5, (1 + progress.step) / (10 + progress.step))
        average = decay * average + (1 - decay) * learner.network.state_dict()[name]
        torch.testing.assert_close(learner.average.state_dict()[name], average)

    places = FitPaths(checkpoint=tmp_path / "c", log=tmp_path / "l", tensorboard=tmp_path / "t")
    assert fit(learner, chip_maker(wanted, data), places, look=no_look, report=follow)
    torch.testing.assert_close(learner.result().state_dict()[name], average)


def test_the_learning_rate_rises_straight_and_falls_as_a_cosine() -> None:
    schedule = _recipe(warm_up=0.2, learning_rate=1.0).schedule
    rates = [learning_rate(p / 100, schedule) for p in range(101)]
    assert rates[0] == pytest.approx(0.04)
    assert max(rates) == rates[20] == pytest.approx(1.0)
    assert rates[60] == pytest.approx(0.5, abs=0.01)
    assert rates[100] == pytest.approx(0.001)


def test_the_time_allowed_ends_the_run(data: Path, tmp_path: Path) -> None:
    _, card = train(_recipe(steps=100_000, minutes=0.001), data, tmp_path)
    assert 1 <= card.recipe["steps"] < 100


def test_a_training_can_begin_with_the_weights_of_a_model(data: Path, tmp_path: Path) -> None:
    first, card = train(_recipe(), data, tmp_path / "first")
    reports: list[TrainingProgress] = []
    second, tuned = train(
        _recipe(steps=2, learning_rate=1e-6), data, tmp_path / "second", start=first, report=reports.append
    )
    assert tuned.recipe["started_from"]["weights_sha256"] == card.weights_sha256
    assert {source.name for source in tuned.trained_on} >= {source.name for source in card.trained_on}
    for (name, a), (_, b) in zip(read_model(first)[0].items(), read_model(second)[0].items(), strict=True):
        if name.endswith("weight"):
            np.testing.assert_allclose(a, b, atol=1e-3, err_msg=name)


def test_weights_of_another_network_are_no_start(data: Path, tmp_path: Path) -> None:
    first, _ = train(_recipe(steps=1), data, tmp_path / "first")
    changed = document()
    changed["architecture"]["options"]["widths"] = [8, 24]
    with pytest.raises(ModelError, match=r"squares\.safetensors: its weights do not fit"):
        train(Recipe.model_validate(changed), data, tmp_path / "second", start=first)


def test_a_recipe_with_encoder_weights_begins_with_them_and_says_so(data: Path, tmp_path: Path) -> None:
    weights = build("timm_unet", 3, 2, widths=[8, 8, 8, 8]).body.encoder.state_dict()
    torch.save(weights, tmp_path / "weights.pt")
    pinned = {
        "name": "pictures",
        "licence": "CC0",
        "file": "weights.pt",
        "sha256": hashlib.sha256((tmp_path / "weights.pt").read_bytes()).hexdigest(),
        "get": "fetch weights",
    }
    options = {"name": "timm_unet", "options": {"widths": [8, 8, 8, 8]}}
    schedule = {"steps": 1, "learning_rate": 1e-9}
    changed = document(**schedule) | {"architecture": options, "encoder_weights": pinned}
    recipe = Recipe.model_validate(changed)
    with pytest.raises(UsageError, match="Pass --encoder-weights with it.*fetch weights"):
        train(recipe, data, tmp_path / "without")
    path, card = train(recipe, data, tmp_path / "with", encoder=tmp_path / "weights.pt")
    assert ("pictures", "CC0") in {(source.name, source.licence) for source in card.trained_on}
    assert card.recipe["encoder_weights"] == pinned
    stored, _ = read_model(path)
    np.testing.assert_allclose(stored["body.encoder.conv_stem.weight"], weights["conv_stem.weight"], atol=1e-3)
    with pytest.raises(UsageError, match="leave out --encoder-weights"):
        train(_recipe(), data, tmp_path / "other", encoder=tmp_path / "weights.pt")


def test_drawn_towns_can_be_recoded_to_another_legend() -> None:
    recipe = _recipe()
    town = {"kind": "towns", "name": "towns", "licence": "MIT", "train_seeds": [1, 2], "shape": [96, 128]}
    source = Recipe.model_validate(document() | {"sources": [town | {"recode": {1: 1}, "gsd_m": [0.2, 0.3]}]}).sources[
        0
    ]
    images = read_source(source, "train", Path(), recipe.legend)
    assert [image.gsd_m for image in images] == [0.2, 0.3]
    assert sum(image.weight for image in images) == pytest.approx(1.0)
    for seed, image in enumerate(images, 1):
        town_labels = draw_town(seed, (96, 128), image.gsd_m).labels
        np.testing.assert_array_equal(image.class_indices, town_labels == BUILDING)
    assert read_source(source, "validate", Path(), recipe.legend) == []


def test_an_existing_model_is_not_overwritten(data: Path, tmp_path: Path) -> None:
    (tmp_path / "squares.safetensors").write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists already"):
        train(_recipe(), data, tmp_path)


def test_a_checkpoint_of_another_recipe_is_refused(data: Path, tmp_path: Path) -> None:
    train(_recipe(steps=1), data, tmp_path)
    (tmp_path / "squares.safetensors").unlink()
    with pytest.raises(OutputError, match="another recipe"):
        train(_recipe(steps=2), data, tmp_path, resume=True)
    (tmp_path / "squares.checkpoint").write_bytes(b"rubbish")
    with pytest.raises(OutputError, match="that can be resumed"):
        train(_recipe(steps=2), data, tmp_path, resume=True)


def test_a_checkpoint_that_started_elsewhere_is_not_resumed(data: Path, tmp_path: Path) -> None:
    first, _ = train(_recipe(steps=1), data, tmp_path / "first")
    train(_recipe(steps=1), data, tmp_path / "run")
    (tmp_path / "run" / "squares.safetensors").unlink()
    with pytest.raises(OutputError, match="started from other weights"):
        train(_recipe(steps=1), data, tmp_path / "run", start=first, resume=True)
    train(_recipe(steps=1), data, tmp_path / "run", resume=True)


def test_labels_outside_the_legend_are_named(data: Path) -> None:
    changed = document()
    changed["sources"][0]["codes"] = "values"
    recipe = Recipe.model_validate(changed)
    with pytest.raises(UsageError, match=r"labels\.tif: labels \[7\]"):
        _images(recipe, data)


def test_rows_to_learn_and_rows_to_score_must_not_overlap() -> None:
    changed = document()
    changed["sources"][0]["validate_on"] = [60, 96]
    with pytest.raises(ValueError, match="overlap"):
        Recipe.model_validate(changed)


def test_a_batch_is_the_same_whenever_it_is_asked_for(data: Path) -> None:
    recipe = _recipe()

    def maker() -> ChipMaker:
        return ChipMaker(_images(recipe, data), recipe.chips, recipe.augment, ([0.5] * 3, [0.25] * 3), seed=recipe.seed)

    first = maker()
    first.batch(0)
    one, other = first.batch(7), maker().batch(7)
    assert torch.equal(one.inputs, other.inputs)
    assert torch.equal(one.class_indices, other.class_indices)
    assert not torch.equal(one.inputs, first.batch(8).inputs)


def test_confusion_counts_true_rows_against_answered_columns() -> None:
    truth = np.array([[0, 0, 1], [2, 255, 1]], np.uint8)
    answer = np.array([[0, 1, 1], [2, 0, 0]], np.uint8)
    counts = confusion(truth, answer, 3)
    np.testing.assert_array_equal(counts, [[1, 1, 0], [1, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(iou(counts), [1 / 3, 1 / 3, 1])


def test_a_class_that_never_occurs_has_no_iou() -> None:
    assert np.isnan(iou(np.array([[4, 0], [0, 0]]))[1])


def test_a_recipe_reads_back_from_yaml(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(document()))
    assert read_recipe(path) == _recipe()


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[2].glob("configs/train/*.yaml")), ids=lambda p: p.stem)
def test_shipped_recipes_are_valid_and_make_a_card(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.card().name == recipe.name
    assert "shared" not in path.read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [", "not YAML"),
        ("a: 1\na: 2", "'a' stands twice"),
        ("a: &x 1\nb: *x", "aliases"),
        ("a: !!python/object/apply:os.system [ls]", "not YAML"),
        ("name: Bad Name\ncolour: 1", r"name: .*; licence: .*colour: "),
        ("- 1", "top: "),
    ],
)
def test_a_bad_recipe_is_refused_with_every_fault_on_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words) as refused:
        read_recipe(path)
    assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tile_px": 16, "halo_px": 0}, "tile_px: .* 32"),
        ({"tile_px": 64, "halo_px": 32}, "a halo of 32 px"),
        ({"bands": [{"name": "red"}, {"name": "red"}, {"name": "blue"}]}, "bands repeat"),
        ({"chips": {"size_px": 32, "gsd_factor": [2, 0.5]}}, r"chips: .*gsd_factor.*\(line \d+\)"),
        ({"chips": {"size_px": 32, "gsd_m": [1, 0.1]}}, "gsd_m starts at 1"),
    ],
)
def test_what_could_not_be_a_model_is_refused_before_it_is_trained(
    tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    path = tmp_path / "squares.yaml"
    path.write_text(yaml.safe_dump(document() | change))
    with pytest.raises(UsageError, match=words):
        read_recipe(path)


def test_recipes_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_recipe(tmp_path / "absent.yaml")
    (tmp_path / "latin.yaml").write_bytes("name: é".encode("latin-1"))
    with pytest.raises(UsageError, match="UTF-8"):
        read_recipe(tmp_path / "latin.yaml")
    (tmp_path / "huge.yaml").write_bytes(b"#" * 1_000_001)
    with pytest.raises(UsageError, match="at most"):
        read_recipe(tmp_path / "huge.yaml")
