"""A recipe may name published weights; they are fetched before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from geoseg.errors import ModelError
from geoseg.models import encoder_weights
from geoseg.models.encoder_weights import EncoderWeights, NamedEncoder
from geoseg.training.recipe import Recipe, read_recipe
from geoseg.training.train import train

RECIPE = Path(__file__).parents[2] / "configs" / "train" / "buildings_unet.yaml"


def with_encoder(encoder: dict[str, str]) -> Recipe:
    document = read_recipe(RECIPE).model_dump(mode="json")
    return Recipe.model_validate(document | {"encoder_weights": encoder})


def test_a_recipe_takes_a_name_or_a_pinned_file() -> None:
    assert isinstance(read_recipe(RECIPE).encoder_weights, EncoderWeights)
    named = with_encoder({"name": "timm:mobilenetv2_100.ra_in1k", "licence": "Apache-2.0"})
    assert isinstance(named.encoder_weights, NamedEncoder)
    assert named.card().trained_on[-1].name == "timm:mobilenetv2_100.ra_in1k"
    assert named.card().trained_on[-1].licence == "Apache-2.0"
    with pytest.raises(ValidationError):
        with_encoder({"name": "somewhere:else", "licence": "MIT"})


def test_a_training_that_cannot_fetch_its_encoder_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(weights: object) -> Path:
        raise ModelError("timm:mobilenetv2_100.ra_in1k: cannot be fetched (no route). Offline?")

    monkeypatch.setattr(encoder_weights, "local_file", offline)
    recipe = with_encoder({"name": "timm:mobilenetv2_100.ra_in1k", "licence": "Apache-2.0"})
    with pytest.raises(ModelError, match="cannot be fetched"):
        train(recipe, tmp_path / "data", tmp_path / "out")
    assert not (tmp_path / "out").exists()
