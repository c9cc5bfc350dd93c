"""A training on clicks ends with a model that takes clicks, scores and a report, and goes on to the same weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from pydantic import ValidationError

import geoseg
from geoseg.interactive.model import load_click_model
from geoseg.interactive.session import ClickSession
from geoseg.io.weights.model_file import read_model
from geoseg.training.recipe import Recipe
from geoseg.training.train import train

SIDE = 96


def recipe(**changes: object) -> Recipe:
    facts = {
        "name": "squares",
        "licence": "CC0-1.0",
        "task": "interactive",
        "architecture": {"name": "clicks_unet"},
        "bands": [{"name": name} for name in ("red", "green", "blue")],
        "gsd_m": {"min": 0.1, "max": 0.3},
        "tile_px": 96,
        "halo_px": 16,
        "legend": {
            "classes": [
                {"code": 0, "name": "background", "colour": "#d9d9d9"},
                {"code": 1, "name": "object", "colour": "#d7301f", "countable": True},
            ]
        },
        "sources": [
            {
                "kind": "files", "name": "squares", "licence": "CC0-1.0", "image": "image.tif", "labels": "objects.tif",
                "codes": "nonzero", "train": [0, 64], "validate_on": [64, SIDE],
            }
        ],
        "chips": {"size_px": 64, "batch": 2},
        "schedule": {"steps": 2, "save_every": 1},
        "trainer": {"tensorboard": False},
    }  # fmt: skip
    return Recipe.model_validate(facts | changes)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bright numbered squares on dark ground."""
    folder = tmp_path_factory.mktemp("squares")
    numbers = np.zeros((SIDE, SIDE), np.uint8)
    for number, (row, col) in enumerate(((r, c) for r in range(4, SIDE - 16, 24) for c in range(4, SIDE - 16, 24)), 1):
        numbers[row : row + 16, col : col + 16] = number
    image = np.where(numbers > 0, 200, 40).astype(np.uint8)
    place = {
        "driver": "GTiff", "height": SIDE, "width": SIDE, "dtype": "uint8", "crs": "EPSG:32633",
        "transform": Affine(0.2, 0, 5e5, 0, -0.2, 5e6),
    }  # fmt: skip
    with rasterio.open(folder / "image.tif", "w", count=3, photometric="RGB", **place) as file:
        file.write(np.repeat(image[None], 3, axis=0))
    with rasterio.open(folder / "objects.tif", "w", count=1, **place) as file:
        file.write(numbers[None])
    return folder


def test_squares_are_learnt_scored_and_clicked_on(data: Path, tmp_path: Path) -> None:
    path, card = train(recipe(), data, tmp_path / "run")
    assert card.task == "interactive"
    assert {score.metric for score in card.scores} >= {"NoC@85", "NoC@90"}
    assert all(0 < score.value <= 20 for score in card.scores if score.metric.startswith("NoC"))
    assert (tmp_path / "run" / "squares_report" / "report.html").is_file()
    model = load_click_model(str(path))
    with geoseg.open_scene(data / "image.tif") as scene:
        mask = ClickSession(scene, model).predict([(500002.4, 4999997.6, True)])
    assert mask.mask.shape == mask.probability.shape == mask.window.shape
    assert mask.mask.any(), "a click on an object is inside its mask"


@pytest.mark.slow
def test_a_stopped_training_goes_on_to_the_same_weights(data: Path, tmp_path: Path) -> None:
    whole, _ = train(recipe(), data, tmp_path / "whole")
    stopped = tmp_path / "stopped"

    def stop(*_: object) -> None:
        if (stopped / "squares.checkpoint").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe(), data, stopped, report=stop)
    again, _ = train(recipe(), data, stopped, resume=True)
    one, other = read_model(whole)[0], read_model(again)[0]
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name])


@pytest.mark.slow
def test_classes_alone_teach_their_connected_regions(data: Path, tmp_path: Path) -> None:
    with rasterio.open(data / "objects.tif") as file:
        classes, profile = (file.read() > 0).astype(np.uint8), file.profile
    with rasterio.open(data / "classes.tif", "w", **profile) as file:
        file.write(classes)
    source = recipe().sources[0].model_dump(exclude_defaults=True) | {"kind": "files", "labels": "classes.tif"}
    source.pop("codes")
    _, card = train(recipe(sources=[source]), data, tmp_path / "run")
    assert {score.metric for score in card.scores} >= {"NoC@85", "NoC@90"}


def test_what_cannot_take_clicks_is_refused() -> None:
    with pytest.raises(ValidationError, match="clicks are"):
        recipe(architecture={"name": "unet"})
