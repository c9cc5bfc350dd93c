"""Progress is reported tile by tile, and adds up to the pixels of the scene."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import WriteScene, blobs

from geoseg.core.spec import PredictSpec
from geoseg.models.model import load_model
from geoseg.run.predict import predict


class Recorder:
    def __init__(self) -> None:
        self.steps: list[int] = []
        self.predicting = False

    def stage(self, name: str, total_px: int, done_px: int = 0) -> None:
        self.predicting = name == "predict"

    def advance(self, pixels: int) -> None:
        if self.predicting:
            self.steps.append(pixels)

    def note(self, text: str) -> None: ...


@pytest.mark.slow_after(3)
@pytest.mark.parametrize(
    "spec",
    [
        PredictSpec(),
        PredictSpec(block_px=128),
        PredictSpec(blend="taper"),
        PredictSpec(tta="flip", tta_scales=(0.75, 1), uncertainty=True),
    ],
)
@pytest.mark.parametrize("fill", [None, 7])
def test_tiles_are_reported_and_add_up_to_the_scene(
    spec: PredictSpec, fill: int | None, write_scene: WriteScene, tiny_model: Path, tmp_path: Path
) -> None:
    values = blobs((300, 260))
    values[:, :100] = values[:, :100] if fill is None else fill  # tiles that no network sees
    recorder = Recorder()
    model = load_model(tiny_model, device="cpu", runtime="torch", precision="fp32")
    predict(write_scene(values, nodata=7), model, tmp_path, spec=spec, reporter=recorder)
    assert sum(recorder.steps) == 300 * 260
    assert min(recorder.steps) > 0
    assert len(recorder.steps) > 9  # one block of many tiles is not one step
