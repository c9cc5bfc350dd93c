"""A training of objects ends with a model that detects them, scored by objects and pixels, begun with an encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine

import geoseg
from geoseg import nn
from geoseg.core.card import Architecture
from geoseg.errors import UsageError
from geoseg.io.weights.model_file import read_model, write_model
from geoseg.nn.zoo.pretrained import find_encoder
from geoseg.training.recipe import Recipe
from geoseg.training.train import train
from geoseg.training.training_module import TrainingModule

OPTIONS = {"backbone": "mobilenetv2_050", "width": 16, "prototypes": 8, "min_score": 0.001}


def recipe(**changes: object) -> Recipe:
    facts = {
        "name": "squares",
        "licence": "CC0-1.0",
        "task": "instance",
        "architecture": {"name": "yolact_mobilenet", "options": OPTIONS},
        "bands": [{"name": name} for name in ("red", "green", "blue")],
        "gsd_m": {"min": 0.4, "max": 0.6},
        "tile_px": 96,
        "halo_px": 16,
        "legend": {
            "classes": [
                {"code": 0, "name": "background", "colour": "#000000"},
                {"code": 1, "name": "roof", "colour": "#ff0000"},
            ]
        },
        "sources": [
            {
                "kind": "files", "name": "drawn", "licence": "CC0-1.0", "image": "scene.tif", "labels": "numbers.tif",
                "codes": "nonzero", "train": [0, 96], "validate_on": [96, 160],
            }
        ],
        "chips": {"size_px": 64, "batch": 2},
        "schedule": {"steps": 2, "save_every": 1},
        "trainer": {"tensorboard": False},
    }  # fmt: skip
    return Recipe.model_validate(facts | changes)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    numbers = np.zeros((160, 128), np.int32)
    for number in range(24):
        top, left = divmod(number, 4)
        numbers[top * 26 + 4 : top * 26 + 22, left * 32 + 4 : left * 32 + 24] = number + 1
    rgb = np.random.default_rng(0).integers(0, 60, (3, 160, 128)).astype(np.uint8)
    rgb[:, numbers > 0] += 150
    transform = Affine(0.5, 0, 500000, 0, -0.5, 4000000)
    facts = {"driver": "GTiff", "height": 160, "width": 128, "crs": "EPSG:32632", "transform": transform}
    for name, values in (("scene", rgb), ("numbers", numbers[None])):
        with rasterio.open(tmp_path / f"{name}.tif", "w", count=len(values), dtype=values.dtype, **facts) as file:
            file.write(values)
    return tmp_path


def test_a_training_of_objects_ends_with_a_model_that_detects(data: Path) -> None:
    model, card = train(recipe(), data, data / "out")
    assert card.task == "instance"
    assert {score.metric for score in card.scores} >= {"IoU roof", "object F1 (IoU 0.5)"}
    assert 0.05 <= card.min_score <= 0.95
    assert (data / "out" / "squares_report" / "report.html").is_file()
    layers = geoseg.predict(data / "scene.tif", model, data / "maps")
    assert layers.record["layers"] == ["classes", "confidence", "objects"]


@pytest.mark.slow
def test_the_encoder_of_a_class_map_begins_and_stays_where_it_is_frozen(data: Path, tmp_path: Path) -> None:
    made = recipe(optimiser={"encoder_rate": 0})
    other = nn.build("timm_unet", 3, 2, encoder="mobilenetv2_050", widths=[8, 8, 8, 8])
    state = {key: value.numpy() for key, value in other.state_dict().items()}
    card = made.card().model_copy(
        update={
            "task": "semantic",
            "name": "classes",
            "architecture": Architecture(
                name="timm_unet", options={"encoder": "mobilenetv2_050", "widths": [8, 8, 8, 8]}
            ),
        }
    )
    start = tmp_path / "classes.safetensors"
    write_model(start, state, card, exact=True)
    theirs = find_encoder(other).state_dict()
    model, found = train(made, data, tmp_path / "out", start=start)
    assert found.recipe["started_from"]["model"] == "classes"
    tensors, _ = read_model(model)
    built = nn.build("yolact_mobilenet", 3, 2, **OPTIONS)
    built.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in tensors.items()})
    for key, value in find_encoder(built).state_dict().items():
        torch.testing.assert_close(value, theirs[key], rtol=2e-3, atol=1e-4)
    assert any(p.requires_grad for p in TrainingModule(made).network.parameters())


def test_a_watershed_unet_begins_with_all_weights_of_a_unet(tmp_path: Path) -> None:
    options = {"encoder": "mobilenetv2_050", "widths": [8, 8, 8, 8]}
    made = recipe(architecture={"name": "watershed_unet", "options": options})
    unet = nn.build("timm_unet", 3, 2, **options)
    state = {key: value.numpy() for key, value in unet.state_dict().items()}
    card = made.card().model_copy(
        update={"task": "semantic", "architecture": Architecture(name="timm_unet", options=options)}
    )
    start = tmp_path / "classes.safetensors"
    write_model(start, state, card, exact=True)
    module = TrainingModule(made)
    module.load_initial_weights(str(start))
    for network in (module.network, module.average):
        own = network.state_dict()
        for key, value in unet.state_dict().items():
            assert torch.equal(own[key], value), key


def test_labels_that_do_not_tell_objects_apart_are_refused(data: Path) -> None:
    source = recipe().sources[0].model_dump(mode="json") | {"codes": "values", "classes": {"0": 0}, "others": 1}
    with pytest.raises(UsageError, match="separate objects"):
        train(recipe(sources=[source]), data, data / "out")
