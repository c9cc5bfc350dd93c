"""Validation and calibration predict what a run predicts, also where a scene is smaller than a tile or has holes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from conftest import LEGEND, blobs

import geoseg
from geoseg.core.spec import PredictSpec
from geoseg.data.labelled import LabelledImage
from geoseg.models.network import load_network
from geoseg.training.score import core_logits, predict_class_indices


@pytest.mark.parametrize("shape", [(50, 70), (40, 300), (200, 260)])
def test_an_image_gets_the_classes_that_a_run_gives_it(
    shape: tuple[int, int], tiny_model: Path, write_scene: Any, tmp_path: Path
) -> None:
    values = blobs(shape)
    values[:, : shape[0] // 3, : shape[1] // 3] = 0
    model = geoseg.load_model(tiny_model, device="cpu", runtime="torch", precision="fp32")
    scene = write_scene(values, nodata=0)
    layers = geoseg.predict(scene, model, tmp_path / "out", spec=PredictSpec(vector=False, min_area_m2=0))
    with rasterio.open(layers.bundle.classes) as file:
        codes = file.read(1)
    valid = values.any(axis=0)
    image = LabelledImage(name="drawn", values=values, valid=valid, class_indices=np.zeros(shape, np.uint8), gsd_m=0.5)
    network, card = load_network(tiny_model)
    found = np.array(LEGEND.codes)[predict_class_indices(network, image, card)]
    assert (found[valid] == codes[valid]).mean() > 0.9999
    covered = np.zeros(shape, int)
    for core, logits in core_logits(network, image, card):
        assert logits.shape == (len(LEGEND), *core.shape)
        covered[core.slices] += 1
    assert (covered[valid] == 1).all()
