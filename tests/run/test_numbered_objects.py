"""A detector that numbers pixels gives the files of one that answers a mask for each object."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from known_objects import BANDS, SCORES, detector_card
from scipy import ndimage

import geoseg
from geoseg.core.spec import InstanceChoice, PredictSpec
from geoseg.errors import ModelError
from geoseg.testing.instances import PerfectDetector


class NumberingDetector(PerfectDetector):
    """Answers ``numbers`` instead of masks."""

    def _found(self, numbers: torch.Tensor) -> dict[str, torch.Tensor]:
        found = super()._found(numbers)
        masks = found.pop("masks")
        order = torch.arange(1, len(masks) + 1, dtype=torch.int32)
        plane = (masks.to(torch.int32) * order[:, None, None]).sum(0).to(torch.int32)
        return {**found, "numbers": plane.reshape(numbers.shape[-2:])}


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    random = np.random.default_rng(3)
    seeds = ndimage.zoom(random.integers(0, 2, (15, 19)), 13, order=0).astype(np.uint8)
    numbers, count = ndimage.label(seeds)
    assert 10 < count < 250
    bands = np.zeros((BANDS, *numbers.shape), np.uint8)
    bands[0] = numbers
    path = tmp_path / "scene.tif"
    transform = Affine(0.5, 0, 500000, 0, -0.5, 4000000)
    facts = {"count": BANDS, "height": bands.shape[1], "width": bands.shape[2], "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", crs="EPSG:32632", transform=transform, **facts) as file:
        file.write(bands)
    return path


@pytest.mark.parametrize(
    "options", [{}, {"block_px": 64, "tile_px": 96, "halo_px": 24}, {"tta": "d4"}, {"gsd_m": 0.25}]
)
def test_the_files_are_the_same(scene: Path, tmp_path: Path, options: dict[str, object]) -> None:
    choice = InstanceChoice(min_score=0.0, nms_iou=1.0, object_ids=True)
    spec = PredictSpec(instances=choice, **options)
    made = []
    for name, detector in (("masks", PerfectDetector(2, SCORES)), ("numbers", NumberingDetector(2, SCORES))):
        model = geoseg.load_model(detector, card=detector_card())
        made.append(geoseg.predict(scene, model, tmp_path / name, spec=spec))
    one, other = made
    assert one.record["objects"] == other.record["objects"] > 0
    for role in ("classes", "confidence", "object_ids"):
        first, second = (layers.bundle.by_role()[role] for layers in made)
        with rasterio.open(first) as a, rasterio.open(second) as b:
            np.testing.assert_array_equal(a.read(), b.read())


def test_numbers_of_another_size_are_refused() -> None:
    class Small(NumberingDetector):
        def _found(self, numbers: torch.Tensor) -> dict[str, torch.Tensor]:
            found = super()._found(numbers)
            return {**found, "numbers": found["numbers"][1:]}

    with pytest.raises(ModelError, match="numbers"):
        geoseg.load_model(Small(), card=detector_card())
