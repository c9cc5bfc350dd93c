"""A panoptic training ends with a model that maps stuff and things, begun with all weights of a U-Net."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from pydantic import ValidationError

import geoseg
from geoseg.core.isprs_legend import BUILDING, CAR, TREE
from geoseg.data.labelled_scene import LabelledImage
from geoseg.inference.panoptic.labelled import panoptic_class_indices, panoptic_map, panoptic_scores_of
from geoseg.io.weights.model_file import read_model
from geoseg.synthetic.town import draw_town
from geoseg.testing.panoptic import PerfectPanoptic
from geoseg.training.recipe import Recipe
from geoseg.training.train import train

LEGEND = {
    "classes": [
        {"code": 0, "name": "impervious surface", "colour": "#ffffff"},
        {"code": 1, "name": "building", "colour": "#0000ff", "countable": True},
        {"code": 2, "name": "low vegetation", "colour": "#00ffff"},
        {"code": 3, "name": "tree", "colour": "#00ff00", "countable": True},
        {"code": 4, "name": "car", "colour": "#ffff00", "countable": True},
        {"code": 5, "name": "clutter", "colour": "#ff0000"},
    ]
}


def recipe(**changes: object) -> Recipe:
    facts = {
        "name": "town",
        "licence": "CC0-1.0",
        "task": "panoptic",
        "architecture": {"name": "panoptic_unet"},
        "bands": [{"name": name} for name in ("red", "green", "blue")],
        "gsd_m": {"min": 0.1, "max": 0.3},
        "tile_px": 96,
        "halo_px": 16,
        "legend": LEGEND,
        "sources": [
            {
                "kind": "towns", "name": "drawn", "licence": "CC0-1.0", "train_seeds": [1, 1], "validate_seeds": [2, 2],
                "shape": [96, 128], "gsd_m": [0.2],
            }
        ],
        "chips": {"size_px": 64, "batch": 2},
        "schedule": {"steps": 2, "save_every": 1},
        "trainer": {"tensorboard": False},
    }  # fmt: skip
    return Recipe.model_validate(facts | changes)


def test_a_town_is_learnt_and_mapped(tmp_path: Path) -> None:
    model, card = train(recipe(), tmp_path, tmp_path / "run", start="town-unet")
    assert card.task == "panoptic"
    assert card.architecture.options["things"] == [1, 3, 4]
    assert {score.metric for score in card.scores} >= {"PQ", "PQ of things", "PQ of stuff", "mean IoU"}
    begun, weights = read_model(geoseg_model("town-unet"))[0], read_model(model)[0]
    assert begun.keys() < weights.keys(), "the U-Net is inside the panoptic one"
    town = draw_town(2, (96, 128), 0.2)
    with rasterio.open(
        tmp_path / "town.tif", "w", driver="GTiff", height=96, width=128, count=3, dtype="uint8", crs="EPSG:32633",
        transform=Affine(0.2, 0, 5e5, 0, -0.2, 5e6), photometric="RGB",
    ) as file:  # fmt: skip
        file.write(town.rgb)
    layers = geoseg.predict(tmp_path / "town.tif", model, tmp_path / "out")
    frame = geopandas.read_file(layers.bundle.segments, layer="segments")
    assert frame.area.sum() == pytest.approx(96 * 128 * 0.04)
    assert set(frame["class_name"]) <= {entry["name"] for entry in LEGEND["classes"]}


def geoseg_model(name: str) -> Path:
    from geoseg.models.bundled import resolve

    return resolve(name)[0]


def test_a_perfect_network_has_a_quality_of_one() -> None:
    rng = np.random.default_rng(0)
    numbers = np.zeros((80, 120), np.int64)
    for number in range(1, 9):
        top, left = divmod(number - 1, 4)
        numbers[top * 40 + 5 : top * 40 + 30, left * 30 + 2 : left * 30 + 28] = number
    below = np.where(rng.random((8, 12)) < 0.5, 0, 2).repeat(10, 0).repeat(10, 1)
    indices = np.where(numbers > 0, np.array([1, 3, 4])[numbers % 3], below).astype(np.uint8)
    card = recipe(bands=[{"name": n, "mean": 0, "std": 1 / 255} for n in ("red", "green")]).card()
    image = LabelledImage(
        name="drawn",
        values=np.stack([numbers, below]).astype(np.uint8),
        valid=np.ones(numbers.shape, bool),
        class_indices=indices,
        gsd_m=0.2,
        objects=numbers,
    )
    network = PerfectPanoptic(6, (1, 3, 4))
    scores = {score.metric: score.value for score in panoptic_scores_of(network, [image], card)}
    assert scores == {"PQ": 1.0, "PQ of things": 1.0, "PQ of stuff": 1.0}
    np.testing.assert_array_equal(panoptic_class_indices(panoptic_map(network, image, card), card), indices)


@pytest.mark.parametrize("countable", [[], [0, 1, 2, 3, 4, 5]])
def test_a_legend_needs_stuff_and_things(countable: list[int]) -> None:
    classes = [{**entry, "countable": entry["code"] in countable} for entry in LEGEND["classes"]]
    with pytest.raises(ValidationError, match="countable"):
        recipe(legend={"classes": classes})


def test_drawn_towns_number_their_things() -> None:
    town = draw_town(3, (200, 240), 0.15)
    thing = np.isin(town.labels, (BUILDING, TREE, CAR))
    np.testing.assert_array_equal(town.objects > 0, thing)
    for number in np.unique(town.objects[thing]):
        assert len(np.unique(town.labels[town.objects == number])) == 1
