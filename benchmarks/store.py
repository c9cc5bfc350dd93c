"""Seconds and bytes that the store of blocks costs beside the network.

usage: python benchmarks/store.py [--side 4096]

Predicts a part of the sample town once, then writes and reads its blocks again and again.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from predict import TOWN, enlarge

from geoseg.core.spec import PredictSpec
from geoseg.io.raster.scene import open_scene
from geoseg.io.store import Store
from geoseg.models.model import load_model
from geoseg.run.executor import predict_inputs, read_inputs
from geoseg.run.stages import plan_of

_ROUNDS = 9


def measure(side: int) -> dict[str, float]:
    """Predict one scene and time its blocks' way into the store and out of it."""
    model = load_model("town-unet")
    with tempfile.TemporaryDirectory() as folder:
        scene_path = Path(folder) / "scene.tif"
        enlarge(TOWN, side, scene_path)
        with open_scene(scene_path) as scene:
            plan = plan_of(scene, model, PredictSpec())
            store = Store(Path(folder) / "blocks", plan.blocks, "key", plan.schema)
            begun = time.perf_counter()
            results = [
                predict_inputs(model, plan, source) for source in read_inputs(scene, plan, None, list(plan.blocks))
            ]
            predicted_s = time.perf_counter() - begun
        write_s, read_s = [], []
        for _ in range(_ROUNDS):
            begun = time.perf_counter()
            for result in results:
                store.write(result)
            written = time.perf_counter()
            for result in results:
                assert store.read(result.block) is not None  # noqa: S101 - the benchmark would measure nothing
            write_s.append(written - begun)
            read_s.append(time.perf_counter() - written)
        size = sum(file.stat().st_size for file in store.path.iterdir())
    return {
        "blocks": len(results),
        "predicted_s": round(predicted_s, 3),
        "write_s": round(float(np.median(write_s)), 4),
        "read_s": round(float(np.median(read_s)), 4),
        "write_share": round(float(np.median(write_s)) / predicted_s, 4),
        "bytes_per_pixel": round(size / side**2, 3),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=4096, help="side of the scene, px")
    print(json.dumps(measure(parser.parse_args().side), indent=2))
