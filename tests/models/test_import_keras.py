"""A file of Keras becomes a model: matterport/Mask_RCNN."""

from __future__ import annotations

from pathlib import Path

import pytest
from keras_weights import keras_weights, write_keras

from geoseg.errors import ModelError
from geoseg.models.import_model import ImportRequest, import_model

pytest.importorskip("h5py")


def test_the_card_of_an_imported_mask_rcnn_tells_its_scaling_and_what_was_assumed(tmp_path: Path) -> None:
    path = write_keras(tmp_path / "mask_rcnn_balloon.h5", keras_weights(classes=2), whole=True)
    model, card = import_model(path, "maskrcnn_r50_fpn", tmp_path / "balloons.safetensors", request=ImportRequest())
    assert model.stat().st_size > 100e6
    assert card.task == "instance"
    assert card.name == "mask_rcnn_balloon"
    assert [band.name for band in card.bands] == ["red", "green", "blue"]
    assert [255 * band.mean for band in card.bands] == pytest.approx([123.7, 116.8, 103.9])
    assert [255 * band.std for band in card.bands] == pytest.approx([1, 1, 1])
    assert len(card.legend) == 2
    assert card.architecture.options["pooling"] == "crop"
    assert any("min_score=0.7" in warning and "anchor_px" in warning for warning in card.warnings)


def test_weights_of_another_network_of_keras_are_refused(tmp_path: Path) -> None:
    weights = {name: values for name, values in keras_weights().items() if name.startswith(("conv1", "res2a"))}
    path = write_keras(tmp_path / "resnet50.h5", weights)
    with pytest.raises(ModelError, match=r"resnet50\.h5: is of no layout known for maskrcnn_r50_fpn"):
        import_model(path, "maskrcnn_r50_fpn", tmp_path / "out.safetensors")
