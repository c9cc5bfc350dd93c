"""``geoseg.view``: the map in a frame of a notebook."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from geoseg.core.paths import path_text
from geoseg.errors import UsageError
from geoseg.io.publish.bundle import Bundle
from geoseg.io.raster.open_options import OpenOptions
from geoseg.io.raster.scene import Scene
from geoseg.run.predict import Layers
from geoseg.viewer.requirements import missing_package

if TYPE_CHECKING:
    from geoseg.viewer.serve import MapServer

Target = Layers | Bundle | Scene | str | Path
_HEIGHTS_PX = range(200, 4001)


class MapFrame:
    """A map that a notebook shows below the cell; its server runs until ``close`` or the end of the kernel.

    Attributes:
        address: opens the same map in a browser on this machine.
    """

    def __init__(self, server: MapServer, title: str, height_px: int) -> None:
        self._server, self._title, self._height_px = server, title, height_px
        self.address = server.address

    def close(self) -> None:
        """End its server."""
        self._server.stop()

    def _repr_html_(self) -> str:
        source, title = escape(self.address), escape(f"Map of {self._title}")
        style = f"width:100%;height:{self._height_px}px;border:1px solid #8884;border-radius:6px"
        return f'<iframe src="{source}" title="{title}" style="{style}"></iframe>'

    def __repr__(self) -> str:
        return f"MapFrame({self._title!r}, {self._server.access.origin})"


def view(target: Target, *, compare: Target | None = None, height_px: int = 640) -> MapFrame:
    """Show a run, a scene or an archive on a map in a notebook; the same page as ``geoseg view``.

    The notebook's browser must run on the machine of the kernel, since the server listens on 127.0.0.1 only.

    Args:
        target: layers that ``predict`` returned, a folder of output, an archive's output, or a scene.
        compare: another run of the same scenes.
        height_px: height of the frame, 200 to 4000.

    Returns:
        The frame; as the last value of a cell it shows itself.

    Raises:
        UsageError: a package of the extra ``view`` is missing, or there is no output.
        SceneError: the scene is refused.

    Example:
        >>> layers = predict("scene.tif", "buildings-unet", out="out")  # doctest: +SKIP
        >>> geoseg.view(layers)  # doctest: +SKIP
    """
    if height_px not in _HEIGHTS_PX:
        raise UsageError(f"height_px is {height_px}; a whole number from 200 to 4000 is expected.")
    try:
        from geoseg.viewer.opened import MapView, open_run  # noqa: PLC0415 - an extra
        from geoseg.viewer.serve import start_server  # noqa: PLC0415 - same
    except ModuleNotFoundError as error:
        raise missing_package(error) from error
    run = open_run(*_place(target))
    other = None if compare is None else open_run(*_place(compare))
    server = start_server(MapView(run=run, other=other), embedded=True)
    return MapFrame(server, run.title, height_px)


def _place(target: Target) -> tuple[str, OpenOptions]:
    if isinstance(target, Scene):
        return target.uri, target.options
    if isinstance(target, Layers):
        return str(target.bundle.directory), OpenOptions()
    if isinstance(target, Bundle):
        return str(target.directory), OpenOptions()
    return path_text(target, function="view", meant="a folder of output, or a scene"), OpenOptions()
