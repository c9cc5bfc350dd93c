"""An archive that a test publishes: scenes in grids of all kinds, and some that have no layers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import rasterio
from affine import Affine
from conftest import LEGEND, blobs
from rasterio.control import GroundControlPoint

from geoseg.archive.publish import ArchiveFiles, publish_archive
from geoseg.archive.record import SceneRecord
from geoseg.archive.report.read_records import read_records
from geoseg.io.files.gdal_messages import suppress_gdal_messages
from geoseg.models.model import load_model
from geoseg.run.predict import predict

PLACED = {
    "plain": {"crs": "EPSG:32632", "transform": Affine(0.5, 0, 500000, 0, -0.5, 5400000)},
    "beside": {"crs": "EPSG:32632", "transform": Affine(0.55, 0, 500055, 0, -0.5, 5400000)},
    "degrees": {"crs": "EPSG:4326", "transform": Affine(6e-6, 0, 9.0, 0, -5e-6, 48.75)},
    "turned": {"crs": "EPSG:32632", "transform": Affine(0.4, 0.3, 500200, 0.3, -0.4, 5400000)},
}


@dataclass
class Made:
    out: Path
    files: ArchiveFiles
    records: list[SceneRecord]

    @property
    def done(self) -> list[SceneRecord]:
        return [record for record in self.records if record.state == "done"]


def further(moment: datetime) -> list[SceneRecord]:
    """Scenes without layers; their names are as bad as names can be."""
    square: dict[str, Any] = {"type": "Polygon", "coordinates": [[[9, 48], [9.01, 48], [9.01, 48.01], [9, 48]]]}
    facts: dict[str, Any] = {"started": moment, "finished": moment + timedelta(seconds=2), "attempts": 3}
    return [
        SceneRecord(name="</td><b>|x", uri="/data/b.tif", state="failed", cause="/data/b.tif: <no CRS>", exit_code=3)
        .model_copy(update=facts | {"footprint": square}),
        SceneRecord(name="line\nbreak é", uri="s3://bucket/b.tif", state="failed", cause="", exit_code=5),
        SceneRecord(name="later", uri="later.tif"),
    ]  # fmt: skip


def publish(home: Path, tiny_model: Path) -> Made:
    """Segment the scenes in a folder, and publish them with the others."""
    (home / "in").mkdir()
    model = load_model(str(tiny_model), device="cpu", runtime="torch", precision="fp32")
    for seed, name in enumerate([*PLACED, "points"]):
        values = blobs((90, 110), seed=seed)
        options: dict[str, Any] = {"driver": "GTiff", "count": 3, "height": 90, "width": 110, "dtype": "uint8"}
        path = home / "in" / f"{name}.tif"
        with suppress_gdal_messages(), rasterio.open(path, "w", **options, **PLACED.get(name, {}), nodata=0) as target:
            values[:, :20, :30] = 0
            target.write(values)
            if name == "points":
                corners = [(0, 0), (0, 110), (90, 0), (90, 110)]
                ground = [(500300 + 0.5 * c + 0.05 * r, 5400000 - 0.5 * r) for r, c in corners]
                points = [GroundControlPoint(r, c, x, y) for (r, c), (x, y) in zip(corners, ground, strict=True)]
                target.gcps = (points, rasterio.CRS.from_epsg(32632))
        predict(path, model, home / "out")
    records = [*read_records(home / "out"), *further(datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC))]
    files = publish_archive(home / "out", iter(records), legend=LEGEND, title="Nördlinger <Ries>", model=tiny_model)
    return Made(home / "out", files, records)
