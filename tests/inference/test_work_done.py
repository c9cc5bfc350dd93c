"""Work that a run does for each pixel, counted instead of timed, so that speed is not lost unnoticed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import WriteScene, blobs

from geoseg.core.spec import PredictSpec
from geoseg.core.window import Window
from geoseg.io.raster.scene import Scene, open_scene
from geoseg.io.weights.model_file import read_card
from geoseg.models.model import load_model
from geoseg.run.executor import predict_inputs, read_inputs
from geoseg.run.plan import make_plan
from geoseg.runtimes.openvino_runtime import OpenvinoRuntime

SPEC = PredictSpec(tile_px=96, halo_px=16, block_px=128)
SIDE = 512
LAYOUTS = [{"tiled": True, "blockxsize": 64, "blockysize": 64}, {"blockysize": 1}, {"blockysize": 16}]


@pytest.mark.parametrize("layout", LAYOUTS, ids=["tiles", "rows", "strips"])
def test_each_block_of_the_file_is_decoded_once(
    write_scene: WriteScene, tiny_model: Path, layout: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: Counter[tuple[int, int]] = Counter()
    read = Scene.read

    def counted(scene: Scene, window: Window, *more: Any) -> Any:
        rows, cols = scene.block_shape
        decoded.update(
            (row, col)
            for row in range(window.row_start // rows, -(-window.row_stop // rows))
            for col in range(window.col_start // cols, -(-window.col_stop // cols))
        )
        return read(scene, window, *more)

    monkeypatch.setattr(Scene, "read", counted)
    with open_scene(write_scene(blobs((SIDE, SIDE)), **layout)) as scene:
        plan = make_plan(scene, read_card(tiny_model), SPEC)
        rows, cols = scene.block_shape
        assert len(plan.blocks) > 9
        assert len(list(read_inputs(scene, plan, None, plan.blocks))) == len(plan.blocks)
    assert len(decoded) == (SIDE // rows) * (SIDE // cols)
    assert set(decoded.values()) == {1}


def test_the_network_computes_each_tile_once_and_is_compiled_once(
    write_scene: WriteScene, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(tiny_model, device="cpu", runtime="openvino", threads=2)
    runtime = model.runtime
    computed, compiled = [], []
    run, compile_ = OpenvinoRuntime.run, OpenvinoRuntime._compile

    def counted(self: OpenvinoRuntime, tiles: np.ndarray) -> Any:
        computed.extend(tile.shape[-2:] for tile in tiles)
        return run(self, tiles)

    def recorded(self: OpenvinoRuntime, shape: tuple[int, ...], hints: Any) -> Any:
        compiled.append(shape)
        return compile_(self, shape, hints)

    monkeypatch.setattr(OpenvinoRuntime, "run", counted)
    monkeypatch.setattr(OpenvinoRuntime, "_compile", recorded)
    assert isinstance(runtime, OpenvinoRuntime)
    with open_scene(write_scene(blobs((SIDE, SIDE)))) as scene:
        plan = make_plan(scene, model.card, SPEC)
        for source in read_inputs(scene, plan, None, plan.blocks):
            predict_inputs(model, plan, source)
    assert computed == [(96, 96)] * len(plan.tiling)
    assert sum(rows * cols for rows, cols in computed) == plan.tiling.computed_px
    assert compiled == [(3, 96, 96)]
