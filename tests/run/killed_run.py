"""Run ``geoseg.predict`` in a process of its own and die, like by SIGKILL, at the Nth thing it reports.

Of the parts of a block only the last counts: it is reported when the block is stored.

usage: killed_run.py SCENE MODEL OUT DIE_AT [BLEND]
"""

from __future__ import annotations

import os
import sys
from itertools import accumulate

from geoseg.core.spec import PredictSpec
from geoseg.io.raster.scene import open_scene
from geoseg.models.model import load_model
from geoseg.run.predict import predict
from geoseg.run.stages import plan_of


class Mortal:
    """Counts reports and ends the process without any clean-up when the count is reached."""

    def __init__(self, die_at: int, block_ends_px: set[int]) -> None:
        self.left, self.block_ends_px = die_at, block_ends_px
        self.stage_name, self.done_px = "", 0

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            os._exit(9)

    def stage(self, name: str, total_px: int, done_px: int = 0) -> None:
        self.stage_name, self.done_px = name, done_px
        self._count()

    def advance(self, pixels: int) -> None:
        self.done_px += pixels
        if self.stage_name != "predict" or self.done_px in self.block_ends_px:
            self._count()

    def note(self, text: str) -> None:
        self._count()


if __name__ == "__main__":
    scene, model, out, die_at = sys.argv[1:5]
    loaded = load_model(model, device="cpu", runtime="torch", precision="fp32")
    spec = PredictSpec(block_px=128)
    with open_scene(scene) as opened:
        ends = set(accumulate(block.window.pixels for block in plan_of(opened, loaded, spec).blocks))
    predict(scene, loaded, out, spec=spec, reporter=Mortal(int(die_at), ends))
