"""The data sets of ISPRS and DeepGlobe, in the folders they are published in, segmented as archives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from conftest import tiny_card

from geoseg import nn
from geoseg.archive.config import ArchiveConfig
from geoseg.archive.run import run_archive
from geoseg.core.card import CardBand, GsdRange
from geoseg.core.spec import PredictSpec
from geoseg.io.weights.model_file import write_model
from geoseg.models.model import load_model
from geoseg.run.predict import predict

SAMPLES = Path(__file__).resolve().parents[2] / "sample_tiles"


@pytest.fixture
def model_of(tmp_path: Path) -> Any:
    def make(*bands: str, gsd_m: float) -> str:
        torch.manual_seed(3)
        network = nn.build("unet", len(bands), 3, width=4, depth=2)
        card = tiny_card(bands=tuple(CardBand(name=name) for name in bands), gsd_m=GsdRange(min=gsd_m, max=gsd_m))
        path = tmp_path / f"{'_'.join(bands)}.safetensors"
        write_model(path, {name: tensor.numpy() for name, tensor in network.state_dict().items()}, card)
        return str(path)

    return make


def archive(tmp_path: Path, model: str, source: dict[str, Any], **opening: Any) -> ArchiveConfig:
    return ArchiveConfig.model_validate(
        {"source": source, "model": model, "out": tmp_path / "out", "opening": opening, "workers": 0}
        | {"device": "cpu", "runtime": "torch", "precision": "fp32"}
    )


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("source", "numbers"),
    [
        ({"kind": "vaihingen", "path": str(SAMPLES / "vaihingen")}, ("2", "3", "1")),
        ({"kind": "potsdam", "path": str(SAMPLES / "potsdam"), "images": "rgbir"}, ("1", "2", "4")),
        ({"kind": "potsdam", "path": str(SAMPLES / "potsdam"), "images": "irrg"}, ("2", "3", "1")),
    ],
    ids=["vaihingen", "potsdam RGBIR", "potsdam IRRG"],
)
def test_bands_are_those_of_the_data_set(
    source: dict[str, Any], numbers: tuple[str, ...], model_of: Any, tmp_path: Path
) -> None:
    model = model_of("red", "green", "nir", gsd_m=0.09)
    config = archive(tmp_path, model, source)
    assert run_archive(config).done == 2
    loaded = load_model(model, device="cpu", runtime="torch", precision="fp32")
    for item in sorted(config.out.glob("*/run.json")):
        uri, name = json.loads(item.read_text())["scene"]["uri"], item.parent.name
        by_number = predict(uri, loaded, tmp_path / "alone", spec=PredictSpec(bands=numbers), name=name)
        assert by_number.bundle.classes.read_bytes() == (item.parent / f"{name}_classes.tif").read_bytes()


def test_a_band_that_is_not_there_is_named(model_of: Any, tmp_path: Path) -> None:
    source = {"kind": "vaihingen", "path": str(SAMPLES / "vaihingen")}
    report = run_archive(archive(tmp_path, model_of("red", "green", "blue", gsd_m=0.09), source))
    assert [record.exit_code for record in report.failed] == [3, 3]
    assert "it has bands (nir, red, green); model tiny needs blue" in report.failed[0].cause


def test_pictures_without_a_place_need_a_pixel_size(model_of: Any, tmp_path: Path) -> None:
    source = {"kind": "deepglobe", "path": str(SAMPLES / "deepglobe")}
    model = model_of("red", "green", "blue", gsd_m=0.5)
    refused = run_archive(archive(tmp_path, model, source))
    assert [(record.exit_code, "no CRS" in record.cause) for record in refused.failed] == [(3, True)] * 2
    config = archive(tmp_path, model, source, assume_gsd_m=0.5)
    assert run_archive(config).done == 2
    for item in config.out.glob("*/*_classes.tif"):
        with rasterio.open(item) as classes:
            assert classes.shape == (256, 256)
            assert classes.res == (0.5, 0.5)
        ran = json.loads((item.parent / "run.json").read_text())
        assert sum(entry["area_m2"] for entry in ran["classes"]) == pytest.approx(np.square(128), rel=2e-3)
        assert "nowhere on Earth" in " ".join(ran["notes"])
