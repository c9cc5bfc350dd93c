"""``--zonal IMAGE[:BAND,...]``: bands for zonal statistics."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geoseg.io.raster.band_scene import BandScene
    from geoseg.io.raster.scene import Scene


def open_bands(classes: Scene, asked: list[str], assume_crs: str | None, stack: ExitStack) -> BandScene | None:
    """Open the images of some ``--zonal`` options until ``stack`` closes.

    Args:
        classes: the class raster whose grid they must be on.
        asked: ``IMAGE`` for all its bands or ``IMAGE:BAND,...`` for some, by number or name.
        assume_crs: CRS of images that carry none.
        stack: closes them.

    Raises:
        SceneError: an image cannot be read, or lies on another grid.
        UsageError: there is no such band.
    """
    from geoseg.io.raster.band_scene import BandScene
    from geoseg.io.raster.scene import open_scene

    if not asked:
        return None
    images = []
    for text in asked:
        name, requested = _split(text)
        image = stack.enter_context(open_scene(name, assume_crs=assume_crs, palette_codes=True))
        images.append((image, requested))
    return BandScene(classes, images)


def _split(text: str) -> tuple[str, list[str]]:
    """Split an option into image and bands; a colon in an address or an existing file's name is not a separator."""
    name, colon, bands = text.rpartition(":")
    if not colon or "/" in bands or Path(text).exists():
        return text, []
    return name, [band.strip() for band in bands.split(",") if band.strip()]
