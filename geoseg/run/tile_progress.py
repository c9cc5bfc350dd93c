"""Progress by tiles, since a block may take minutes and a scene may be one block."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from geoseg.core.tiling import Block
from geoseg.run.plan import RunPlan
from geoseg.runtimes.runtime import Answer, Runtime


class TileProgress:
    """Converts tiles that a network has run into pixels of the scene.

    The pixels of a block are reported as its tiles are run, and add up to those of the block when it is done: tiles
    without a valid pixel are never run.

    Args:
        plan: tilings of all passes.
        advance: called with pixels of the scene.
    """

    def __init__(self, plan: RunPlan, advance: Callable[[int], None]) -> None:
        self._plan, self._advance = plan, advance
        self._tiles = self._run = self._reported_px = 0
        self._pixels = 0

    def start(self, block: Block) -> None:
        """Start a block."""
        views = self._plan.spec.answers()
        seen = self._plan.seen(block)
        tiles = sum(one.tiling.contributors(one.block(seen)).pixels for one in self._plan.passes)
        self._tiles = max(1, tiles * views // len(self._plan.spec.tta_scales))
        self._run = self._reported_px = 0
        self._pixels = block.window.pixels

    def add(self, tiles: int) -> None:
        """Count tiles that were run."""
        self._run = min(self._tiles, self._run + tiles)
        self._report(self._pixels * self._run // (self._tiles + 1))  # the last part is reported when all is stored

    def finish(self) -> None:
        """Report the remaining pixels of the block."""
        self._report(self._pixels)

    def watched(self, runtime: Runtime) -> Runtime:
        """Wrap a runtime so that its tiles are counted."""
        return _WatchedRuntime(runtime, self.add)

    def _report(self, pixels: int) -> None:
        if pixels > self._reported_px:
            self._advance(pixels - self._reported_px)
            self._reported_px = pixels


class _WatchedRuntime:
    def __init__(self, runtime: Runtime, count: Callable[[int], None]) -> None:
        self._runtime, self._count = runtime, count
        self.info = runtime.info

    @property
    def batch(self) -> int:
        return self._runtime.batch

    def run(self, tiles: npt.NDArray[np.float32]) -> Answer:
        answer = self._runtime.run(tiles)
        self._count(len(tiles))
        return answer
