"""Measure a network's effective receptive field, to choose the halo by it.

Source: Luo et al., "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks", NeurIPS 2016:
the gradient of a central output by the input, averaged over inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from geoseg.core.card import ModelCard
from geoseg.core.tiling import Blocks, Tiling
from geoseg.errors import UsageError
from geoseg.inference.match import match
from geoseg.inference.prepare import cut_tile, prepare, scene_window
from geoseg.io.raster.scene import open_scene
from geoseg.models.network import load_network

_STEP_PX = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceptiveField:
    """Effective receptive field of a network.

    Attributes:
        radius_px: distance in rows and columns within which the requested share of the influence on a pixel lies.
        halo_px: the radius, rounded up to a multiple of 16.
        tiles: number of tiles averaged over.
        profile: cumulative share of influence within 0, 1, 2... px, up to half a tile.
    """

    radius_px: int
    halo_px: int
    tiles: int
    profile: npt.NDArray[np.float64]


def measure(model: str | Path, *, scene: Path | None = None, share: float = 0.99, tiles: int = 8) -> ReceptiveField:
    """Measure the effective receptive field of a model.

    Args:
        model: bundled name or model file.
        scene: scene to take tiles from; None uses noise, which has no objects and gives a smaller radius.
        share: share of the influence inside the radius, in (0, 1).
        tiles: number of tiles to average over.

    Raises:
        UsageError: the share is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise UsageError(f"--share {share}: a number between 0 and 1 is expected.")
    network, card = load_network(model)
    pixels = _noise(card, tiles) if scene is None else _from_scene(card, scene, tiles)
    profile = influence(network, pixels)
    radius = int(np.searchsorted(profile, share))
    return ReceptiveField(
        radius_px=radius, halo_px=-(-radius // _STEP_PX) * _STEP_PX, tiles=len(pixels), profile=profile
    )


def influence(network: nn.Module, tiles: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Measure the cumulative share of a central pixel's gradient within a distance.

    Args:
        network: returns logits (tile, class, y, x).
        tiles: (tile, band, y, x) float32 network input, square.

    Returns:
        (r,) float64, rising to 1: share within ``max(|rows|, |columns|) <= r``. The four pixels around the middle are
        taken together, since networks that halve the resolution treat them differently.
    """
    side = tiles.shape[-1]
    middle = side // 2
    total = np.zeros((side, side))
    for tile in tiles:
        source = torch.from_numpy(tile[None]).requires_grad_()
        logits = network(source)[..., middle - 1 : middle + 1, middle - 1 : middle + 1]
        top = logits.topk(min(2, logits.shape[1]), dim=1).values
        margin = (top[:, 0] - top[:, -1]).sum() if logits.shape[1] > 1 else logits.sum()
        (gradient,) = torch.autograd.grad(margin, source)
        total += gradient[0].double().pow(2).sum(dim=0).numpy()
    offset = np.abs(np.arange(side) - middle + 0.5) - 0.5
    distance = np.maximum(offset[:, None], offset[None, :]).astype(np.int64)
    rings = np.bincount(distance.ravel(), weights=np.sqrt(total).ravel())
    share: npt.NDArray[np.float64] = np.cumsum(rings) / max(float(rings.sum()), 1e-30)
    return share


def _noise(card: ModelCard, tiles: int) -> npt.NDArray[np.float32]:
    random = np.random.default_rng(0)
    side = min(card.tile_px, 512)
    return random.normal(size=(tiles, len(card.bands), side, side)).astype(np.float32)


def _from_scene(card: ModelCard, path: Path, tiles: int) -> npt.NDArray[np.float32]:
    """Cut tiles as a run would: in the card's bands and at its ground sample distance."""
    with open_scene(path) as scene:
        plan = match(scene, card)
        tiling = Tiling(plan.scene_shape, plan.work_shape, tile_px=min(card.tile_px, 512), halo_px=0)
        blocks = Blocks(tiling, tiling.tile_px)
        chosen = np.random.default_rng(0).permutation(len(blocks))[:tiles]
        cut = []
        for block in (blocks[int(index)] for index in chosen):
            raster = scene.read(scene_window(plan, tiling, block), plan.bands)
            source = prepare(plan, tiling, block, raster)
            cut += [cut_tile(source, tile.read) for tile in tiling.tiles(block.cells)]
    side = min(cut[0].shape[1:])
    return np.stack([tile[:, :side, :side] for tile in cut])
