"""Choice of the side of a run's tiles: given, the card's, or the largest that memory allows."""

from __future__ import annotations

import psutil

from geoseg.core.card import ModelCard
from geoseg.core.spec import PredictSpec
from geoseg.core.tiling import largest_tile_px
from geoseg.errors import UsageError
from geoseg.nn.zoo.local import activation_bytes

_MEMORY_SHARE = 0.2
"""Share of the machine's memory that the activations of one tile may take. The share does not depend on the number of
workers, so that neither does the map."""


def chosen_tile_px(card: ModelCard, spec: PredictSpec, *, work_shape: tuple[int, int], limit_px: int) -> int:
    """Choose the side of the tiles of one network.

    Args:
        card: card of the network.
        spec: options of the run.
        work_shape: (rows, columns) of the grid that the network sees.
        limit_px: largest number of pixels of a tile, whatever the memory.

    Raises:
        UsageError: the largest tile is requested for a network whose answers depend on the size of a tile.
    """
    if spec.tile_px != "largest":
        return spec.tile_px or card.tile_px
    architecture = card.architecture
    pixel_bytes = activation_bytes(architecture.name, architecture.options)
    if pixel_bytes is None:
        raise UsageError(
            f"--tile-px largest: {card.name} is a network ({architecture.name}) whose answers depend on the size of "
            f"its tiles; it was trained for {card.tile_px} px. Leave the option out, or pass a number."
        )
    memory_px = int(psutil.virtual_memory().total * _MEMORY_SHARE / pixel_bytes)
    halo_px = card.halo_px if spec.halo_px is None else spec.halo_px
    tile_px = max(card.tile_px, 2 * halo_px + 1)
    return largest_tile_px(work_shape, tile_px=tile_px, halo_px=halo_px, limit_px=min(memory_px, limit_px))
