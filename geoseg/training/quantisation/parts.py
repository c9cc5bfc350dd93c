"""Pixels for a quantisation: from labelled images, or from halves of scenes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from geoseg.core.card import ModelCard
from geoseg.core.tiling import Block, Blocks, Tiling
from geoseg.data.labelled_scene import UNLABELLED, LabelledScene
from geoseg.inference.match import match
from geoseg.inference.predict import tile_answers
from geoseg.inference.prepare import prepare, scene_window
from geoseg.io.raster.scene import open_scene
from geoseg.runtimes.runtime import Answer, Runtime
from geoseg.training.score import image_answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Outputs for the core of one tile, with what is known of its pixels.

    Attributes:
        answer: outputs (class, y, x) by name.
        valid: (y, x) True where the image has data.
        class_indices: (y, x) labels; ``UNLABELLED`` where there are none.
    """

    answer: Answer
    valid: npt.NDArray[np.bool_]
    class_indices: npt.NDArray[np.uint8]


MOST_BLOCKS: Final = 64
"""Most tiles that are taken from half of a scene."""

Parts = Callable[[Runtime, ModelCard], Iterator[Part]]
"""Runs a runtime over pixels, by tiles as a run cuts them."""


def of_images(images: Sequence[LabelledScene]) -> Parts:
    """Take pixels from labelled images."""

    def parts(runtime: Runtime, card: ModelCard) -> Iterator[Part]:
        for image in images:
            for tile, answer in image_answers(runtime, image, card):
                sample, (rows, cols) = image.read(tile.core), tile.core.within(tile.read)
                cut = {name: array[:, rows, cols] for name, array in answer.items()}
                yield Part(answer=cut, valid=sample.valid, class_indices=sample.class_indices)

    return parts


def _drawn(blocks: Blocks, middle_row: float, *, upper: bool) -> list[Block]:
    half = [b for b in blocks if ((b.window.row_start + b.window.row_stop) / 2 < middle_row) is upper]
    chosen = np.random.default_rng(0).permutation(len(half))[:MOST_BLOCKS]
    return [half[index] for index in sorted(chosen)]


def of_scenes(scenes: Sequence[Path], *, upper: bool) -> Parts:
    """Take pixels from the upper or the lower half of scenes, in the bands and at the pixel size that a run reads.

    Of a half of more than ``MOST_BLOCKS`` tiles so many are drawn.

    Raises:
        SceneError, MatchError: a scene cannot be read, or does not fit the model's card.
    """

    def parts(runtime: Runtime, card: ModelCard) -> Iterator[Part]:
        for path in scenes:
            with open_scene(path) as scene:
                plan = match(scene, card)
                tiling = Tiling(plan.scene_shape, plan.work_shape, tile_px=card.tile_px, halo_px=card.halo_px)
                for block in _drawn(Blocks(tiling, card.tile_px), plan.work_shape[0] / 2, upper=upper):
                    source = prepare(plan, tiling, block, scene.read(scene_window(plan, tiling, block), plan.bands))
                    for tile, answer in tile_answers(runtime, tiling, source):
                        rows, cols = tile.core.within(tile.read)
                        valid = source.valid[tile.core.within(block.window)]
                        yield Part(
                            answer={name: array[:, rows, cols] for name, array in answer.items()},
                            valid=valid,
                            class_indices=np.full(valid.shape, UNLABELLED),
                        )

    return parts
