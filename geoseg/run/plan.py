"""The plan of one run: reading, tiling, paths and identity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from geoseg.core.card import ModelCard
from geoseg.core.crf_spec import MAX_SPAN
from geoseg.core.layer import OutputSchema
from geoseg.core.spec import PredictSpec
from geoseg.core.tiling import Block, Blocks, Tiling
from geoseg.core.types.json_value import UntypedDict
from geoseg.core.window import Margin, Window
from geoseg.errors import UsageError
from geoseg.inference.card_defaults import with_card_defaults
from geoseg.inference.match import Described, ReadPlan, match
from geoseg.inference.passes import InferencePass, bands_read, readable, window_read
from geoseg.inference.tasks.instance_layers import MOST_PIXELS, OBJECT_IDS
from geoseg.inference.tasks.registry import task_of
from geoseg.inference.tile_choice import chosen_tile_px
from geoseg.io.files.drivers import READ_CACHE_BYTES
from geoseg.io.labels.area_of_interest import Mask, area_digest
from geoseg.io.publish.commit import RunPaths
from geoseg.io.raster.pyramid import bytes_with_overviews
from geoseg.io.raster.read_ahead import READ_AHEAD_BYTES
from geoseg.io.raster.scene import Scene
from geoseg.io.raster.surroundings import SurroundedScene, Surroundings

if TYPE_CHECKING:
    from geoseg.models.model import Model  # torch; ``geoseg inspect`` plans without it

PIPELINE_VERSION = 3
"""Version of the pipeline; raised whenever the same input, model and options would give other pixels."""


_NAMED = 2
"""Number of one-byte planes that a class map always has: codes and confidence."""

CRF_BYTES, CRF_CLASS_BYTES = 110, 44
"""Bytes of the CRF per pixel of a textured scene, and per class: 183 were measured with two, 346 with six."""

MAX_TILE_PX = 100_000_000
"""Largest number of scene pixels that one tile may cover when the scene is downsampled for the network."""


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """All decisions of a run before the first pixel is read.

    Attributes:
        read: plan for reading the scene for the first network.
        tiling: tiling of the first network, whose cores make the blocks.
        blocks: units of scheduling and storage.
        spec: the options, with the smallest polygon area filled in.
        passes: all inference passes: every network at every scale.
        members: number of networks.
        schema: the layers that the run makes.
        around: neighbouring scenes whose pixels are read beyond the scene's edges; None: the scene was opened without.
        defaults: notes on values taken from the card because the options did not set them.
    """

    read: ReadPlan
    tiling: Tiling
    blocks: Blocks
    spec: PredictSpec
    passes: tuple[InferencePass, ...]
    members: int
    schema: OutputSchema
    around: Surroundings | None = None
    defaults: tuple[str, ...] = ()

    @property
    def bands(self) -> tuple[int, ...]:
        """1-based bands of the scene that are read."""
        return bands_read(self.passes)

    @property
    def computed_share(self) -> float:
        """Pixels that the networks compute for each pixel of their grids, halos included, over all passes."""
        works = [rows * cols for rows, cols in (one.read.work_shape for one in self.passes)]
        return sum(one.tiling.computed_px for one in self.passes) / sum(works)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user on decisions of the plan, without duplicates."""
        notes = dict.fromkeys(note for one in self.passes for note in one.read.notes)
        return (*notes, *self.defaults, *self._block_notes(), *self._neighbour_notes())

    def _neighbour_notes(self) -> tuple[str, ...]:
        """Note each neighbour that could not be used, with the cause."""
        left_out = () if self.around is None else self.around.left_out
        return tuple(f"done without a neighbour: {cause}" for _, cause in left_out)

    def _block_notes(self) -> tuple[str, ...]:
        """Note that blocks are larger than requested, if so, since a block holds whole tiles."""
        finer, block_px = _finer(self.read), self.spec.block_px
        core_px, tile_px = (round(side * finer) for side in (self.tiling.stride_px, self.tiling.tile_px))
        longest_px = round(max(self.read.work_shape) * finer)
        if block_px >= min(core_px, longest_px):
            return ()
        side = "the whole scene" if len(self.blocks) == 1 else f"{core_px} px"
        answered = f"block_px {block_px} is less than the {core_px} px that a tile of {tile_px} px answers for"
        return (f"{answered}: a block holds a whole tile, so each is {side}",)

    def window_read(self, block: Block) -> Window:
        """Return the window of the scene, or of its margin too, that is read for a block."""
        return window_read(self.passes, self.seen(block))

    def reader(self, scene: Scene) -> Scene | SurroundedScene:
        """Return what the windows of the blocks are read from: the scene, with the margin that the plan has."""
        if self.around is None or not self.around.pieces:
            return scene
        return SurroundedScene(scene, self.around, readable(self.passes))

    def seen(self, block: Block) -> Block:
        """Return the block grown by the context of the CRF; unchanged without a CRF."""
        if self.spec.crf is None:
            return block
        window = block.window.expanded(self.spec.crf.reach_px).intersection(self._answerable())
        return replace(block, window=window, cells=self.tiling.cells(window))

    def _answerable(self) -> Window:
        """Return the scene with the pixels of its margin that have a halo of their own."""
        halo_px, read = self.tiling.halo_px, self.read
        top, bottom, left, right = (max(0, side - halo_px) for side in read.margin.sides)
        inner = Margin(top=top, bottom=bottom, left=left, right=right)
        return inner.scaled(read.work_shape, read.scene_shape).around(read.scene_shape)

    def memory_bytes(self, card: ModelCard) -> int:
        """Estimate the bytes of the arrays of a block being read and one being predicted, without the network."""
        one_block = self.blocks.block(0, 0)
        block = self.seen(one_block)
        window, classes = block.window.pixels, len(card.legend)
        works = [one.tiling.read_window(one.block(block)).pixels for one in self.passes]
        work = max(works)
        native = self.window_read(one_block).pixels * len(self.bands) * 4 if len(self.passes) > 1 else 0
        per_block = work * len(card.bands) * (4 + 4) + native + window * (4 + 1 + self._pixel_bytes())
        # one mean of several answers, with room for its step; with taper one answer beside it
        planes = 2 * classes + 2 if self.spec.answers(self.members) > 1 or len(self.schema.planes) > _NAMED else 0
        planes += classes if self.tiling.blend == "taper" else 0
        read_rows, read_cols = self.tiling.read_shape
        tile = read_rows * read_cols * 4 * (len(card.bands) + 2 * classes)
        reading = min(READ_AHEAD_BYTES, self.read.scene_shape[1] * works[0] // max(1, read_cols))
        crf = 0 if self.spec.crf is None else window * (CRF_BYTES + CRF_CLASS_BYTES * classes)
        return 2 * per_block + window * 4 * planes + crf + tile + reading + READ_CACHE_BYTES

    def _pixel_bytes(self) -> int:
        """Bytes that are stored per pixel."""
        return sum(np.dtype(layer.dtype).itemsize for layer in self.schema.planes)

    def disk_bytes(self) -> int:
        """Estimate the peak disk use of a run, bytes; a noisy map, with a polygon every few pixels, takes more."""
        rows, cols = self.read.scene_shape
        stored_and_written = 0.5 + 0.7 * max(
            0, self._pixel_bytes() - _NAMED
        )  # as maps compress; percentages are less smooth
        at_once = min(2, sum(layer.published for layer in self.schema.planes))  # rasters that are written side by side
        return at_once * bytes_with_overviews((rows, cols)) + int(rows * cols * stored_and_written) + 2_000_000


def make_plan(
    scene: Described,
    card: ModelCard,
    spec: PredictSpec,
    *,
    others: Sequence[ModelCard] = (),
    whole: ModelCard | None = None,
) -> RunPlan:
    """Match the scene to the card and tile it.

    Args:
        scene: the scene.
        card: card of the network, or of the first of several.
        spec: options; those of tiles, bands and ground sample distance hold for every network.
        others: cards of further networks, each matched and tiled by its own card.
        whole: card of all networks together, whose task and legend decide the layers; None: those of ``card`` do.

    Raises:
        MatchError: a network cannot read the scene.
        UsageError: tile and halo do not go together.
    """
    cards = (card, *others)
    spec, defaults = with_card_defaults(spec, cards)
    first, *_ = alone = [_alone(scene, one, member, spec) for member, one in enumerate(cards)]
    finer = _finer(first.read)
    answering = card if whole is None else whole
    plan = RunPlan(
        read=first.read,
        tiling=first.tiling,
        blocks=Blocks(first.tiling, int(spec.block_px / finer)),
        spec=spec,
        passes=tuple(_scaled(one, scale) for one in alone for scale in spec.tta_scales),
        members=len(cards),
        schema=task_of(answering).schema(spec, answering.legend, len(cards)),
        defaults=defaults,
    )
    if plan.schema.detects:
        _check_objects(plan)
    if spec.crf is not None and max(plan.seen(plan.blocks.block(0, 0)).window.shape) > MAX_SPAN * spec.crf.xy_px:
        raise UsageError(
            f"--crf: a block spans more than {MAX_SPAN:g} standard deviations of {spec.crf.xy_px:g} px. "
            "Pass a smaller --block-px."
        )
    return plan


def _check_objects(plan: RunPlan) -> None:
    """Refuse plans whose objects could not be joined over tiles, or not be numbered.

    Raises:
        UsageError: the halo is too small, or the scene too large for the raster of ids.
    """
    read, tiling = plan.read, plan.tiling
    finer = max(work / scene for scene, work in zip(read.scene_shape, read.work_shape, strict=True))
    least = math.ceil(2 * finer)
    if len(tiling) > 1 and tiling.halo_px < least:
        raise UsageError(f"--halo-px {tiling.halo_px}: objects are joined where tiles overlap; pass at least {least}.")
    rows, cols = read.scene_shape
    if OBJECT_IDS in plan.schema and rows * cols > MOST_PIXELS:
        raise UsageError(
            f"--object-ids: a scene of {rows * cols} pixels has ids that uint32 cannot hold; leave it out."
        )


def with_margin(plan: RunPlan, available: Margin) -> RunPlan:
    """Return a plan that also reads beyond the scene's edges, as far as its halos need it.

    Args:
        plan: the plan without a margin.
        available: pixels beyond each edge of the scene that neighbours have, on the scene's grid.
    """
    first = _with_margin(InferencePass(member=0, scale=1.0, read=plan.read, tiling=plan.tiling), plan.spec, available)
    return replace(
        plan,
        read=first.read,
        tiling=first.tiling,
        blocks=replace(plan.blocks, tiling=first.tiling),
        passes=tuple(_with_margin(one, plan.spec, available) for one in plan.passes),
    )


def _alone(scene: Described, card: ModelCard, member: int, spec: PredictSpec) -> InferencePass:
    """Plan the pass of one network over the scene, independently of the others."""
    read = match(scene, card, spec)
    limit_px = int(MAX_TILE_PX * min(1.0, *spec.tta_scales) ** 2 / _finer(read) ** 2)
    tile_px = chosen_tile_px(card, spec, work_shape=read.work_shape, limit_px=limit_px)
    halo_px = card.halo_px if spec.halo_px is None else spec.halo_px
    if 2 * halo_px >= tile_px:
        raise UsageError(
            f"--halo-px {halo_px} on each side leaves nothing of a tile of {tile_px} px. "
            "Pass a larger --tile-px or a smaller --halo-px."
        )
    tiling = Tiling(read.scene_shape, read.work_shape, tile_px=tile_px, halo_px=halo_px, blend=spec.blend)
    _check_cores(tiling)
    return InferencePass(member=member, scale=1.0, read=read, tiling=tiling)


def _check_cores(tiling: Tiling) -> None:
    """Check that a tile answers for two pixels of the scene or more along each side, where there are several.

    Raises:
        UsageError: the network reads a pixel of the scene as so many that it does not.
    """
    for scene_px, work_px in zip(tiling.scene_shape, tiling.work_shape, strict=True):
        if work_px > max(scene_px, tiling.tile_px) and tiling.stride_px * scene_px < 2 * work_px:
            raise UsageError(
                f"--tile-px {tiling.tile_px} with --halo-px {tiling.halo_px}: a tile answers less than two pixels of "
                f"the scene, of which {scene_px} are read as {work_px}. Pass a larger --tile-px."
            )


def _scaled(one: InferencePass, scale: float) -> InferencePass:
    """Scale a pass: read the scene at another resolution, with tiles and halos of the same size in pixels.

    So a halo covers ``1 / scale`` times as much ground, as the network's view does.
    """
    rows, cols = (max(1, round(side * scale)) for side in one.read.work_shape)
    read = replace(one.read, work_shape=(rows, cols))
    tiling = replace(one.tiling, work_shape=(rows, cols))
    _check_cores(tiling)
    pixels = tiling.read_shape[0] * tiling.read_shape[1] * _finer(read) ** 2
    if pixels > MAX_TILE_PX:
        raise UsageError(
            f"a tile of {tiling.tile_px} px covers {pixels / 1e6:.0f} Mpx of the scene. Pass a smaller --tile-px."
        )
    return replace(one, scale=scale, read=read, tiling=tiling)


def _with_margin(one: InferencePass, spec: PredictSpec, available: Margin) -> InferencePass:
    """Let a pass read beyond the scene's edges as far as its halo, and the context of a CRF, need it."""
    read = one.read
    reach_px = 0 if spec.crf is None else spec.crf.reach_px
    rows, cols = (
        one.tiling.halo_px + math.ceil(reach_px * work / scene)
        for scene, work in zip(read.scene_shape, read.work_shape, strict=True)
    )
    margin = available.scaled(read.scene_shape, read.work_shape).at_most(rows, cols)
    return replace(one, read=replace(read, margin=margin), tiling=replace(one.tiling, margin=margin))


def _finer(read: ReadPlan) -> float:
    """Return the number of scene pixels per pixel of the working grid, along a side; at least 1."""
    return max(1.0, *(scene / work for scene, work in zip(read.scene_shape, read.work_shape, strict=True)))


def identity(scene: Scene, model_digest: str, plan: RunPlan) -> UntypedDict:
    """Return everything that a run's result depends on; runs of equal identity give equal bytes.

    Args:
        scene: the scene.
        model_digest: digest of the model.
        plan: plan of the run.

    Returns:
        JSON values; their digest is the key of the block store.
    """
    area = plan.spec.aoi
    given = {
        "alpha": scene.options.alpha,
        "nodata": str(scene.options.nodata),
        "assume_gsd_m": scene.options.assume_gsd_m,
        "subdataset": scene.subdataset,
    }
    given = {name: value for name, value in given.items() if value not in {"auto", "None", None}}
    if plan.around is not None and plan.around.pieces:
        given["neighbours"] = plan.around.digest
    return {
        "pipeline": PIPELINE_VERSION,
        "scene": scene.digest(),
        "model": model_digest,
        "tile_px": plan.tiling.tile_px,
        "halo_px": plan.tiling.halo_px,
        "assume_crs": scene.options.assume_crs,
        "assets": list(scene.options.assets),
        "aoi": None if area is None else area_digest(area),
        "pixels": plan.spec.pixel_options() | {"aoi": None, "tile_px": None, "halo_px": None},
    } | given


@dataclass(frozen=True, kw_only=True)
class Job:
    """One scene to be predicted by one model, with its plan.

    Attributes:
        mask: function that burns the area of interest onto a window of the scene; None: everywhere.
        key: the identity of the result.
    """

    scene: Scene
    model: Model
    plan: RunPlan
    mask: Mask | None
    work: RunPaths
    key: UntypedDict
