"""The plan of one run: what is read, how it is tiled, where it goes, and what names it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoseg.core.card import ModelCard
from geoseg.core.digest import sha256_of_json
from geoseg.core.spec import PredictSpec
from geoseg.core.tiling import Blocks, Tiling
from geoseg.engine.match import Described, ReadPlan, match
from geoseg.errors import UsageError
from geoseg.io.area_of_interest import Mask
from geoseg.io.bundle import Bundle
from geoseg.io.formats import READ_CACHE_BYTES
from geoseg.io.read_ahead import READ_AHEAD_BYTES
from geoseg.io.scene import Scene

if TYPE_CHECKING:
    from geoseg.engine.model import Model  # torch; ``geoseg inspect`` plans without it

PIPELINE_VERSION = 1
"""Changed whenever the same input, model and options would give other pixels than before."""


MAX_TILE_PX = 100_000_000
"""Most pixels of the scene that one tile may cover when the scene is shrunk for the network."""


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """Everything a run decides before the first pixel is read."""

    read: ReadPlan
    tiling: Tiling
    blocks: Blocks
    spec: PredictSpec

    def memory_bytes(self, card: ModelCard) -> int:
        """Estimate the arrays of one block in flight, without the network: one being read, one being predicted."""
        block = self.blocks.block(0, 0)
        work = self.tiling.read_window(block).pixels
        per_block = work * len(card.bands) * (4 + 4) + block.window.pixels * (4 + 3)
        taper = block.window.pixels * 4 * len(card.legend) if self.tiling.blend == "taper" else 0
        read_rows, read_cols = self.tiling.read_shape
        tile = read_rows * read_cols * 4 * (len(card.bands) + 2 * len(card.legend))
        reading = min(READ_AHEAD_BYTES, self.read.scene_shape[1] * work // max(1, self.tiling.read_shape[1]))
        return 2 * per_block + taper + tile + reading + READ_CACHE_BYTES

    def disk_bytes(self) -> int:
        """Estimate the disk a run needs at its peak."""
        rows, cols = self.read.scene_shape
        scratch, stored_and_written = 1.34, 0.5  # an uncompressed raster with overviews; the rest as maps compress
        return int(rows * cols * (scratch + stored_and_written)) + 2_000_000


def make_plan(scene: Described, card: ModelCard, spec: PredictSpec) -> RunPlan:
    """Match the scene to the card and lay the tiles.

    Raises:
        MatchError: the model cannot read the scene.
        UsageError: tile and halo do not go together.
    """
    read = match(scene, card, spec)
    tile_px = spec.tile_px or card.tile_px
    halo_px = card.halo_px if spec.halo_px is None else spec.halo_px
    if 2 * halo_px >= tile_px:
        raise UsageError(
            f"--halo-px {halo_px} on each side leaves nothing of a tile of {tile_px} px. "
            "Pass a larger --tile-px or a smaller --halo-px."
        )
    tiling = Tiling(read.scene_shape, read.work_shape, tile_px=tile_px, halo_px=halo_px, blend=spec.blend)
    finer = max(1.0, *(s / w for s, w in zip(read.scene_shape, read.work_shape, strict=True)))
    plan = RunPlan(read=read, tiling=tiling, blocks=Blocks(tiling, int(spec.block_px / finer)), spec=spec)
    pixels = tiling.read_shape[0] * tiling.read_shape[1] * finer**2
    if pixels > MAX_TILE_PX:
        raise UsageError(
            f"a tile of {tile_px} px covers {pixels / 1e6:.0f} Mpx of the scene. Pass a smaller --tile-px."
        )
    return plan


def identity(scene: Scene, model_digest: str, plan: RunPlan) -> dict[str, Any]:
    """Name what a run's answer depends on; two runs of one identity give the same bytes."""
    area = plan.spec.aoi
    return {
        "pipeline": PIPELINE_VERSION,
        "scene": scene.digest(),
        "model": model_digest,
        "tile_px": plan.tiling.tile_px,
        "halo_px": plan.tiling.halo_px,
        "assume_crs": scene.options.assume_crs,
        "assets": list(scene.options.assets),
        "aoi": None
        if area is None
        else sha256_of_json(Path(area).read_bytes().hex())
        if Path(area).is_file()
        else area,
        "pixels": plan.spec.pixel_options() | {"aoi": None, "tile_px": None, "halo_px": None},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """Where a run keeps what is not finished: hidden beside the bundle, so that renames stay on one disk."""

    bundle: Bundle

    def _hidden(self, suffix: str) -> Path:
        final = self.bundle.directory
        return final.with_name(f".{final.name}.{suffix}")

    @property
    def lock(self) -> Path:
        """Held while a run is on."""
        return self._hidden("lock")

    @property
    def blocks(self) -> Path:
        """The store of finished blocks."""
        return self._hidden("blocks")

    @property
    def building(self) -> Bundle:
        """The layers being written; renamed to the bundle when all are there."""
        return Bundle(directory=self._hidden("building"), stem=self.bundle.stem)

    @property
    def replaced(self) -> Path:
        """The old bundle while a new one takes its place."""
        return self._hidden("replaced")


@dataclass(frozen=True, kw_only=True)
class Job:
    """One scene to be predicted by one model, decided to the last detail.

    Attributes:
        mask: draws the area of interest on a window of the scene; None: everywhere.
        key: the identity of the answer.
    """

    scene: Scene
    model: Model
    plan: RunPlan
    mask: Mask | None
    work: Workplace
    key: dict[str, Any]
