"""Networks that were exported for other programs give geoseg's map in GeoDeep."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from conftest import LEGEND, WriteModel, WriteScene, blobs

from geoseg.models.export_model import export_model
from geoseg.models.model import load_model
from geoseg.run.predict import predict

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    geodeep = pytest.importorskip("geodeep")
    utils = pytest.importorskip("geodeep.utils")
pytest.importorskip("onnxscript")


@pytest.fixture
def exported(write_tiny: WriteModel, tmp_path: Path) -> tuple[Path, Path]:
    """A model of bands that are far from a mean of 0, with a temperature, and its network for other programs."""
    model = write_tiny(3, temperature=1.7)
    export_model(str(model), "onnx", tmp_path / "net.onnx", probabilities=True)
    return model, tmp_path / "net.onnx"


def test_geodeep_gives_the_map(exported: tuple[Path, Path], write_scene: WriteScene, tmp_path: Path) -> None:
    model, network = exported
    scene = write_scene(blobs((300, 340)), tiled=True, blockxsize=64, blockysize=64)
    layers = predict(scene, load_model(model, device="cpu", runtime="torch", precision="fp32"), tmp_path / "out")
    with rasterio.open(layers.bundle.classes) as file:
        codes = file.read(1)
    channel = np.searchsorted(LEGEND.codes, codes).astype(np.uint8)
    assert (np.bincount(channel.ravel(), minlength=3) > 10_000).sum() >= 2, "the map has several classes"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = np.squeeze(geodeep.run(str(scene), str(network)))
    smoothed = utils.median_filter(channel, 5)  # as GeoDeep does at its end
    apart = 24  # tiles of both meet the edge of the scene with other pixels beyond it
    inside = (slice(apart, -apart), slice(apart, -apart))
    assert (found[inside] == smoothed[inside]).mean() > 0.99


def test_it_is_a_model_of_geoseg_too(exported: tuple[Path, Path], write_scene: WriteScene, tmp_path: Path) -> None:
    scene = write_scene()
    own, other = (load_model(path, device="cpu", precision="fp32") for path in exported)
    maps = []
    for name, model in (("own", own), ("other", other)):
        with rasterio.open(predict(scene, model, tmp_path / name).bundle.confidence) as file:
            maps.append(file.read(1).astype(int))
    assert np.abs(maps[0] - maps[1]).max() <= 1
    assert np.unique(maps[0]).size > 10
