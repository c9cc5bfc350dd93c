"""Map a drawn scene by a perfect panoptic network, and die, like by SIGKILL, at the Nth progress of a stage.

usage: killed_panoptic.py SCENE OUT STAGE N
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from drawn_panoptic import THINGS, panoptic_card

import geoseg
from geoseg.core.spec import PredictSpec
from geoseg.run.report import Silence
from geoseg.testing.panoptic import PerfectPanoptic


class Mortal(Silence):
    """Ends the process without any clean-up."""

    def __init__(self, stage: str, left: int) -> None:
        self.dies_in, self.left, self.now = stage, left, ""

    def stage(self, name: str, total_px: int, done_px: int = 0) -> None:
        self.now = name

    def advance(self, pixels: int) -> None:
        self.left -= self.now == self.dies_in
        if self.left == 0:
            os._exit(9)


if __name__ == "__main__":
    scene, out, stage, count = sys.argv[1:]
    model = geoseg.load_model(PerfectPanoptic(5, THINGS), card=panoptic_card())
    spec = PredictSpec(value_range=(0, 255), min_area_m2=0, block_px=64)
    geoseg.predict(scene, model, out, spec=spec, reporter=Mortal(stage, int(count)))
