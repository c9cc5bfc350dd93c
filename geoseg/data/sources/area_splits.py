"""Splits by area: rows, blocks or polygons of every scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Protocol, TypeVar

import numpy as np
from odc.geo.geobox import GeoBox
from pydantic import Field, model_validator

from geoseg.core.window import Window
from geoseg.data.labelled_scene import LabelledScene
from geoseg.data.regions import Cells, covering, disjoint, keep_away, seen_from
from geoseg.data.sources.model import Config, Share
from geoseg.errors import UsageError
from geoseg.io.vectors.read import VectorRequest, read_polygons

Side = Annotated[int, Field(ge=16)]
_LEAST_PX = 16
"""Least width of a strip for training, pixels."""


class ByRows(Config):
    """Split by rows: some rows of every scene are for validation, the others for training.

    Attributes:
        validate_on: validation rows, half-open; or
        validate_share: share of the rows of each scene, from its end.
    """

    by: Literal["rows"]
    validate_on: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=1)]] | None = None
    validate_share: Share | None = None

    @model_validator(mode="after")
    def _one(self) -> ByRows:
        if (self.validate_on is None) == (self.validate_share is None):
            raise ValueError("give validate_on (rows) or validate_share, one of the two")
        return self


class ByBlocks(Config):
    """Split by blocks: random blocks of every scene are for validation.

    Attributes:
        block_px: side of a block.
        validate_share: share of the blocks.
        seed: seed of the draw.
    """

    by: Literal["blocks"]
    block_px: Side = 1024
    validate_share: Share = 0.2
    seed: Annotated[int, Field(ge=0)] = 1


class ByArea(Config):
    """Split by polygons of the validation area.

    Attributes:
        validate_on: vector file (or ``FILE:LAYER``) of the validation area, relative to the source's folder, any CRS.
        train: the same for training; None: everywhere else.
        cell_px: the area is rounded outwards to cells of this side before the guard band is applied.
    """

    by: Literal["area"]
    validate_on: str
    train: str | None = None
    cell_px: Side = 256


class PlacedScene(LabelledScene, Protocol):
    """A labelled scene on a georeferenced grid."""

    @property
    def geobox(self) -> GeoBox:
        """The grid."""
        ...


Placed = TypeVar("Placed", bound=PlacedScene)
AreaSplit = ByRows | ByBlocks | ByArea


@dataclass(frozen=True, slots=True)
class Ground:
    """Validation ground of a scene, and its possible training ground before the guard band is applied.

    Attributes:
        scored: rectangles that do not overlap.
        free: rectangles without any scored pixel; they may overlap.
    """

    scored: list[Window]
    free: list[Window]


def divide(scene: PlacedScene, split: AreaSplit, folder: Path) -> Ground:
    """Divide a scene.

    Args:
        scene: the scene.
        split: the split from the recipe.
        folder: folder that vector files are relative to.

    Raises:
        UsageError: rows are outside of the scene.
        SceneError: an area cannot be read.
    """
    height, width = scene.shape
    if isinstance(split, ByRows):
        rows = split.validate_on
        if split.validate_share is not None:
            rows = (height - max(1, round(split.validate_share * height)), height)
        assert rows is not None  # noqa: S101 - the model has one of the two
        if rows[1] > height or rows[0] >= rows[1]:
            raise UsageError(f"{scene.name}: rows {rows} do not lie inside its {height} rows")
        around = [Window(0, rows[0], 0, width), Window(rows[1], height, 0, width)]
        return Ground([Window(*rows, 0, width)], [window for window in around if window.pixels])
    if isinstance(split, ByBlocks):
        cells = Cells(scene.shape, split.block_px)
        scored = cells.drawn(split.validate_share, split.seed, scene.name)
        free = ~scored
    else:
        cells = Cells(scene.shape, split.cell_px)
        scored = _touched(cells, scene, folder / split.validate_on)
        free = ~scored if split.train is None else ~scored & _touched(cells, scene, folder / split.train)
    return Ground([cells.window(c) for c in disjoint(scored)], [cells.window(c) for c in covering(free)])


def whole(scene: PlacedScene, *, scored: bool) -> Ground:
    """Put a whole scene on one side."""
    everything = [Window.whole(scene.shape)]
    return Ground(everything, []) if scored else Ground([], everything)


def training_windows(scenes: Sequence[Placed], grounds: Sequence[Ground], guard_px: int) -> list[tuple[Placed, Window]]:
    """Shrink training ground to keep ``guard_px`` away from the validation ground of all scenes.

    Args:
        scenes: all scenes of the source.
        grounds: ground of each scene.
        guard_px: width of the guard band.

    Returns:
        Windows of scenes for training.
    """
    parts = []
    for scene, ours in zip(scenes, grounds, strict=True):
        avoided = list(ours.scored)
        for other, theirs in zip(scenes, grounds, strict=True):
            if other is not scene:
                seen = (seen_from(scene.geobox, other.geobox, window) for window in theirs.scored)
                avoided += [window for window in seen if window is not None]
        kept = {keep_away(window, avoided, guard_px) for window in ours.free}
        wide = [w for w in kept if w is not None and min(w.shape) >= min(_LEAST_PX, *scene.shape)]
        parts += [(scene, window) for window in sorted(wide)]
    return parts


def _touched(cells: Cells, scene: PlacedScene, path: Path) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    request = VectorRequest(name=str(path), grid=scene.geobox, of_grid="image", must_meet="nothing", others="leave out")
    return cells.touched(scene.geobox, read_polygons(request).geometry.to_list())
