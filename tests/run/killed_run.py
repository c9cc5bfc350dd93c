"""Run ``geoseg.predict`` in a process of its own and die, like by SIGKILL, at the Nth thing it reports.

usage: killed_run.py SCENE MODEL OUT DIE_AT [BLEND]
"""

from __future__ import annotations

import os
import sys

from geoseg.core.spec import PredictSpec
from geoseg.engine.model import load_model
from geoseg.run.predict import predict


class Mortal:
    """Counts reports and ends the process without any clean-up when the count is reached."""

    def __init__(self, die_at: int) -> None:
        self.left = die_at

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            os._exit(9)

    def stage(self, name: str, total_px: int, done_px: int = 0) -> None:
        self._count()

    def advance(self, pixels: int) -> None:
        self._count()

    def note(self, text: str) -> None:
        self._count()


if __name__ == "__main__":
    scene, model, out, die_at = sys.argv[1:5]
    loaded = load_model(model, device="cpu", runtime="torch", precision="fp32")
    predict(scene, loaded, out, spec=PredictSpec(block_px=128), reporter=Mortal(int(die_at)))
