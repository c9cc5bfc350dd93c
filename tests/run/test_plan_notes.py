"""A plan says what was decided otherwise than it was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import blobs

from geoseg.core.spec import PredictSpec
from geoseg.io.raster.scene import open_scene
from geoseg.io.weights.model_file import read_card
from geoseg.run.plan import make_plan


@pytest.mark.parametrize(
    ("block_px", "scene_px", "said"),
    [(32, 200, "each is 48 px"), (32, 60, "each is the whole scene"), (32, 30, None), (48, 200, None), (64, 200, None)],
)
def test_blocks_that_are_larger_than_asked_for_are_noted(
    write_scene: Any, tiny_model: Path, block_px: int, scene_px: int, said: str | None
) -> None:
    spec = PredictSpec(block_px=block_px, tile_px=64, halo_px=8)
    with open_scene(write_scene(blobs((scene_px, scene_px)))) as scene:
        plan = make_plan(scene, read_card(tiny_model), spec)
    notes = [note for note in plan.notes if "block_px" in note]
    first = plan.blocks.block(0, 0).window
    halo_px = 8  # the first block reaches to the scene's edge, where no tile needs one
    assert bool(notes) == (max(first.shape) > block_px + halo_px) == (said is not None)
    for note in notes:
        assert f"block_px {block_px} is less than the 48 px that a tile of 64 px answers for" in note
        assert note.endswith(str(said))
