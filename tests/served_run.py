"""A real run of a small scene, and real servers that show runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx
import numpy as np
import rasterio
from affine import Affine

from geoseg.core.spec import ObjectChoice, PredictSpec
from geoseg.io.raster.open_options import OpenOptions
from geoseg.models.model import load_model
from geoseg.run.predict import predict
from geoseg.viewer.opened import MapView, open_run
from geoseg.viewer.serve import MapServer, start_server

SPEC = PredictSpec(tile_px=96, halo_px=16, uncertainty=True, objects=ObjectChoice(classes="roof"))
Served = tuple[MapServer, httpx.Client]
Serve = Callable[..., Served]


def small_run(folder: Path, model: Path, values: np.ndarray) -> Path:
    """Segment a scene of half-metre pixels; returns the folder of the output."""
    _, height, width = values.shape
    facts = {"driver": "GTiff", "dtype": "uint8", "count": 3, "height": height, "width": width, "photometric": "RGB"}
    place = {"crs": "EPSG:32632", "transform": Affine(0.5, 0, 500000, 0, -0.5, 5400000)}
    with rasterio.open(folder / "scene.tif", "w", **facts, **place) as target:
        target.write(values)
    network = load_model(model, device="cpu", runtime="torch", precision="fp32")
    predict(folder / "scene.tif", network, folder / "out", spec=SPEC)
    return folder / "out"


def starter(closing: ExitStack) -> Serve:
    """Return ``serve(path, other=None, edit=False)``: a server by uvicorn, and a client that knows its token."""

    def serve(
        path: Path | str, other: Path | None = None, *, edit: bool = False, options: OpenOptions | None = None
    ) -> Served:
        opening = options or OpenOptions()
        second = None if other is None else open_run(str(other), opening)
        server = start_server(MapView(run=open_run(str(path), opening), other=second, edit=edit))
        closing.callback(server.stop)
        headers = {"Authorization": f"Bearer {server.access.token}"}
        client = httpx.Client(base_url=server.access.origin, headers=headers, trust_env=False, timeout=30)
        return server, closing.enter_context(client)

    return serve
