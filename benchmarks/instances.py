"""Time and memory of putting detected objects together, with a detector that costs next to nothing.

    python benchmarks/instances.py [--side 8192] [--rows 8192]

Draws a scene with an object every 58 pixels, runs a network that reads the objects off the pixels, and prints objects,
seconds and the largest memory of the process. Run it with different ``--rows``: memory must hardly grow.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

import geoseg
from geoseg.core.card import Architecture, CardBand, GsdRange, ModelCard
from geoseg.core.legend import Legend, LegendClass
from geoseg.core.spec import InstanceChoice, PredictSpec
from geoseg.run.report import Silence
from geoseg.testing.instances import PerfectDetector

PITCH_PX, SIDE_PX, PERIOD = 58, 40, 15


def draw(path: Path, rows: int, cols: int) -> int:
    """Draw squares numbered so that no two near each other have one number; return how many."""
    facts = {"count": 1, "height": rows, "width": cols, "dtype": "uint8", "tiled": True, "compress": "deflate"}
    transform = Affine(0.5, 0, 500000, 0, -0.5, 4000000)
    x = np.arange(cols)
    with rasterio.open(path, "w", driver="GTiff", crs="EPSG:32632", transform=transform, **facts) as file:
        for top in range(0, rows, 512):
            y = np.arange(top, min(top + 512, rows))[:, None]
            number = y // PITCH_PX % PERIOD * PERIOD + x // PITCH_PX % PERIOD + 1
            inside = (y % PITCH_PX < SIDE_PX) & (x % PITCH_PX < SIDE_PX)
            values = np.where(inside, number, 0).astype(np.uint8)
            file.write(values, 1, window=((top, top + len(y)), (0, cols)))
    return -(-rows // PITCH_PX) * -(-cols // PITCH_PX)


def main() -> None:
    """Read the command line and print one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--rows", type=int)
    options = parser.parse_args()
    legend = Legend(
        classes=[
            LegendClass(code=0, name="background", colour="#000000"),
            LegendClass(code=1, name="square", colour="#ff0000"),
        ]
    )
    card = ModelCard(
        name="perfect",
        architecture=Architecture(name="own"),
        task="instance",
        bands=(CardBand(name="pan", mean=0, std=1 / 255),),
        gsd_m=GsdRange(min=0.1, max=1),
        tile_px=512,
        halo_px=64,
        legend=legend,
        licence="CC0-1.0",
    )
    model = geoseg.load_model(PerfectDetector(), card=card)
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / "scene.tif"
        drawn = draw(scene, options.rows or options.side, options.side)
        begun = time.process_time()
        choice = InstanceChoice(object_ids=True)
        record = geoseg.predict(
            scene, model, Path(folder) / "out", spec=PredictSpec(instances=choice), reporter=Silence()
        ).record
        took = time.process_time() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"{drawn} objects drawn, {record['objects']} found, {took:.0f} s of processor, {peak:.2f} GiB, "
        f"{record['timings']}"
    )


if __name__ == "__main__":
    main()
